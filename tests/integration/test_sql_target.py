"""Any database that SQLAlchemy knows as a target, proven on SQLite: same rows, same promises as its own target."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from streamconsole.engines.errors import Refused, StaleEpoch
from streamconsole.engines.migration.batch import Batch
from streamconsole.engines.migration.columns import ColumnType
from streamconsole.engines.migration.locations import source_of, target_of
from streamconsole.engines.migration.settings import MigrationSettings
from streamconsole.engines.migration.targets.sql import SqlTarget
from streamconsole.engines.migration.targets.target import SchemaMoved, Written
from streamconsole.engines.states import WindowState
from streamconsole.engines.units import Window
from tests.integration.running import House, house, inject, rows_of, write_lines
from tests.program import committed, kill, ledger, run, running, wait_until

MADE = "generate://users?count=1500&seed=3"


def table(folder: Path, file: str = "out", name: str = "t", scheme: str = "sqlite+pysqlite") -> str:
    return f"{scheme}:///{folder / file}.db#{name}"


def ask(path: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


@pytest.mark.parametrize("writers", [0, 2])
async def test_rows_are_those_of_the_special_target(here: House, tmp_path: Path, writers: int) -> None:
    await here.migrate(MADE, table(tmp_path), window_rows=400, writers=writers)
    await here.migrate(MADE, table(tmp_path, "own", scheme="sqlite"), window_rows=400)
    assert rows_of(tmp_path / "out.db", order="id") == rows_of(tmp_path / "own.db", order="id")


async def test_columns_widen_and_change_no_value(here: House, tmp_path: Path) -> None:
    # More of the first kind than are looked at before the run begins.
    plain = ({"id": n, "v": n, "f": 0.1, "b": n % 2 == 0} for n in range(3000))
    late = [{"id": 3000, "v": 2.5, "f": 1e300, "b": "007"}, {"id": 3001, "new": {"a": [1]}}, {"id": 3002, "v": "text"}]
    source = write_lines(tmp_path / "in.ndjson", [*plain, *late, b'{"id": 3003, "f": 1180591620717411303424}'])
    run_ = await here.migrate(source, table(tmp_path), window_rows=500, workers=2)
    assert {each["key"]: each["type"] for each in run_.plan["schema"]["columns"]}["v"] == "integer"
    await here.migrate(source, table(tmp_path, "own", scheme="sqlite"), window_rows=500, workers=2)
    found = rows_of(tmp_path / "out.db", order="id")
    assert found == rows_of(tmp_path / "own.db", order="id")
    assert [row["v"] for row in found[:2]] == ["0", "1"]
    assert [row["b"] for row in found[:2]] == ["true", "false"]


async def test_widening_in_mid_run_rebuilds_the_table(tmp_path: Path) -> None:
    target = target_of(MigrationSettings(source=MADE, target=table(tmp_path)))
    assert isinstance(target, SqlTarget)
    kinds = {"i": ColumnType.INTEGER, "b": ColumnType.BOOLEAN, "f": ColumnType.FLOAT, "x": ColumnType.BINARY}
    target.inspect(kinds, ("i",))
    await target.open("run", 1)
    with closing(sqlite3.connect(tmp_path / "out.db")) as connection, connection:
        connection.execute("INSERT INTO t VALUES (1, 1, 0.1, x'00ff'), (2, NULL, 1e300, NULL)")
    await target.widen({"b": ColumnType.TEXT, "f": ColumnType.TEXT, "x": ColumnType.TEXT, "n": ColumnType.INTEGER})
    assert ask(tmp_path / "out.db", "SELECT * FROM t ORDER BY i") == [
        (1, "true", "0.1", "AP8=", None),
        (2, None, "1e+300", None, None),
    ]
    assert ask(tmp_path / "out.db", "SELECT pk FROM pragma_table_info('t') WHERE name = 'i'") == [(1,)]
    await target.close()


async def test_integers_that_no_double_holds_make_the_column_decimal(tmp_path: Path) -> None:
    target = target_of(MigrationSettings(source=MADE, target=table(tmp_path)))
    target.inspect({"i": ColumnType.INTEGER}, ())
    await target.open("run", 1)
    with closing(sqlite3.connect(tmp_path / "out.db")) as connection, connection:
        connection.execute(f"INSERT INTO t VALUES ({2**53 + 1})")
    await target.widen({"i": ColumnType.FLOAT})
    assert ask(tmp_path / "out.db", "SELECT i FROM t") == [(str(2**53 + 1),)]
    await target.close()


@pytest.mark.parametrize("mode", ["insert", "append", "upsert", "replace"])
async def test_modes(here: House, tmp_path: Path, mode: str) -> None:
    with closing(sqlite3.connect(tmp_path / "out.db")) as connection, connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, other TEXT DEFAULT 'd')")
        connection.execute("INSERT INTO t VALUES (1, 'old', 'kept'), (9, 'old', 'kept')")
    source = write_lines(tmp_path / "in.ndjson", [{"id": 1, "v": "new"}, {"id": 2, "v": "new"}])
    if mode == "insert":
        with pytest.raises(Refused, match="holds rows already"):
            await here.create(source, table(tmp_path))
        return
    run_ = await here.migrate(source, table(tmp_path), mode=mode)
    wanted: dict[str, list[Any]] = {
        "append": [(1, "old", "kept"), (2, "new", "d"), (9, "old", "kept")],
        "upsert": [(1, "new", "kept"), (2, "new", "d"), (9, "old", "kept")],
        "replace": [(1, "new"), (2, "new")],
    }
    assert ask(tmp_path / "out.db", "SELECT * FROM t ORDER BY id") == wanted[mode]
    reasons = [reject["reason"] for reject in await here.rejects(run_)]
    assert reasons == (["duplicate key 1"] if mode == "append" else [])


async def test_rows_that_the_database_refuses_become_rejects(here: House, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "out.db")) as connection, connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT NOT NULL CHECK (v <> 'bad'))")
    rows = [{"id": 1, "v": "a"}, {"id": 1, "v": "b"}, {"id": 2, "v": "bad"}, {"id": 3, "v": None}, {"id": 4, "v": "z"}]
    run_ = await here.migrate(write_lines(tmp_path / "in.ndjson", rows), table(tmp_path))
    assert ask(tmp_path / "out.db", "SELECT * FROM t ORDER BY id") == [(1, "a"), (4, "z")]
    found = [(reject["line"], reject["column"], reject["reason"]) for reject in await here.rejects(run_)]
    assert found[0] == (2, "id", "duplicate key 1")
    assert "CHECK constraint failed" in found[1][2]
    assert "NOT NULL" in found[2][2]


async def test_no_create(here: House, tmp_path: Path) -> None:
    source = write_lines(tmp_path / "in.ndjson", [{"id": 1, "v": "a"}])
    with pytest.raises(Refused, match="does not exist, and --no-create"):
        await here.create(source, table(tmp_path), create=False)
    with closing(sqlite3.connect(tmp_path / "out.db")) as connection, connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    with pytest.raises(Refused, match="has no column v"):
        await here.create(source, table(tmp_path), create=False)


async def test_hostile_names(here: House, tmp_path: Path) -> None:
    names = ["select", 'qu"ote', "emoji 😀", "co:lon", "question?", "Name", "name", "(p)s", "[b]"]
    source = write_lines(tmp_path / "in.ndjson", [{"id": 1} | {name: name for name in names}])
    await here.migrate(source, table(tmp_path, name="or%25der%20%22by%22"))
    (row,) = ask(tmp_path / "out.db", 'SELECT * FROM "or%der ""by"""')
    assert row == (1, *names)


async def test_a_whole_database_into_it(here: House, tmp_path: Path) -> None:
    from streamconsole.engines.migration.whole import broken_references, expand

    with closing(sqlite3.connect(tmp_path / "in.db")) as connection:
        connection.executescript(
            "CREATE TABLE lines (id INTEGER PRIMARY KEY, of TEXT NOT NULL REFERENCES orders (code) ON DELETE CASCADE);"
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE);"
            "INSERT INTO orders VALUES (1, 'a'); INSERT INTO lines VALUES (7, 'a');"
        )
    asked = MigrationSettings(
        source=f"sqlite:///{tmp_path / 'in.db'}", target=f"sqlite+pysqlite:///{tmp_path / 'out.db'}", tables="all"
    )
    tables = expand(asked)
    for _, settings in tables:
        given = settings.model_dump(exclude={"source", "target", "retry"}, exclude_defaults=True)
        await here.migrate(settings.source, settings.target, **given)
    out = tmp_path / "out.db"
    assert ask(out, "SELECT * FROM lines") == [(7, "a")]
    keys = ask(out, 'SELECT "table", "from", "to", on_delete FROM pragma_foreign_key_list(\'lines\')')
    assert keys == [("orders", "of", "code", "CASCADE")]
    with closing(sqlite3.connect(out)) as connection, pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        connection.execute("INSERT INTO orders VALUES (2, 'a')")
    assert broken_references(settings for _, settings in tables) == []


async def test_a_late_owner_is_refused_and_a_done_window_is_not_done_again(tmp_path: Path) -> None:
    asked = MigrationSettings(source=MADE, target=table(tmp_path))
    old, new = target_of(asked), target_of(asked)
    for target in (old, new):
        target.inspect({"id": ColumnType.INTEGER}, ("id",))
    await old.open("run", 1)
    await new.open("run", 2)
    with pytest.raises(StaleEpoch):
        await old.widen({"x": ColumnType.TEXT})
    with pytest.raises(StaleEpoch):
        await old.open("run", 1)
    await old.close()
    await new.close()


async def test_replacing_keeps_indexes(here: House, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "out.db")) as connection, connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT UNIQUE, w TEXT)")
        connection.execute("CREATE INDEX by_w ON t (w, v)")
    rows = [{"id": 1, "v": "a", "w": "b"}]
    await here.migrate(write_lines(tmp_path / "in.ndjson", rows), table(tmp_path), mode="replace")
    assert ask(tmp_path / "out.db", "SELECT name FROM pragma_index_info('by_w') ORDER BY seqno") == [("w",), ("v",)]
    with closing(sqlite3.connect(tmp_path / "out.db")) as connection, pytest.raises(sqlite3.IntegrityError):
        connection.execute("INSERT INTO t VALUES (2, 'a', 'c')")


async def test_a_window_is_written_once_and_only_for_the_newest_owner(tmp_path: Path) -> None:
    asked = MigrationSettings(source="generate://users?count=3", target=table(tmp_path))
    target, source = target_of(asked), source_of(asked)
    target.inspect({"id": ColumnType.INTEGER}, ("id",))
    await target.open("run", 1)
    writer, kept = target.writer(), list[Any]()
    batch = Batch([[1], [2, 3]], [0, 1, 2], 3)
    for _ in range(2):
        done = writer.write(Window(1, 0, 3, 0, 3), batch, source.reader, kept.extend)
        assert done == Written(3, 3, 0)
    assert ask(tmp_path / "out.db", "SELECT id FROM t") == [(1,), (2,), (3,)]
    with target.turn(writer):
        pass
    await target.widen({"id": ColumnType.TEXT})
    with pytest.raises(SchemaMoved), target.turn(writer):
        pass
    await target_of(asked).open("run", 2)
    with pytest.raises(StaleEpoch):
        writer.write(Window(2, 3, 4, 3, 1), Batch([["9"]], [0], 1), source.reader, kept.extend)
    assert ask(tmp_path / "out.db", "SELECT count(*) FROM _streamconsole_windows") == [(1,)]
    await target.close()


@pytest.mark.parametrize(
    "point",
    ["window.before_claim", "window.after_claim", "window.after_write", "window.before_commit", "window.after_commit"],
)
async def test_a_window_that_fails_anywhere_is_there_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    async with house(tmp_path / "w.db") as here:
        inject(monkeypatch, f"fail@{point}:2")
        run_ = await here.migrate(MADE, table(tmp_path), window_rows=500)
        assert [record.state for record in await here.windows(run_)] == [WindowState.COMPLETED] * 3
    assert len(rows_of(tmp_path / "out.db")) == 1500


async def test_a_file_that_is_gone_is_a_lost_target(here: House, tmp_path: Path) -> None:
    run_ = await here.create(MADE, table(tmp_path), window_rows=10, workers=1)
    target = target_of(MigrationSettings.model_validate(run_.spec))
    target.use(run_.plan["schema"])
    await target.open(run_.id, 1)
    (tmp_path / "out.db").unlink()
    with pytest.raises(Exception, match="removed or replaced"):
        await target.widen({"x": ColumnType.TEXT})
    await target.close()


async def test_the_workspace_is_no_target(here: House, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="is the workspace itself"):
        await here.create(MADE, f"sqlite+pysqlite:///{tmp_path / 'workspace.db'}#t")


@pytest.mark.crash
def test_killed_in_mid_run_and_resumed_it_has_every_row_once(tmp_path: Path) -> None:
    write_lines(tmp_path / "in.ndjson", ({"id": n, "v": str(n)} for n in range(20_000)))
    out = tmp_path / "out.db"
    options = ("in.ndjson", "sqlite+pysqlite:///out.db#t", "--window-rows", "100", "--no-ui")
    with running("migrate", *options, cwd=tmp_path) as process:
        wait_until(lambda: committed(out) > 5, "windows")
        assert kill(process).killed
    (run_id,) = ledger(out)
    assert committed(out) < 200
    assert run("runs", "resume", run_id, "--no-ui", cwd=tmp_path).code == 0
    assert [row["id"] for row in rows_of(out, order="id")] == list(range(20_000))
    assert orjson.loads(run("runs", "list", "--json", cwd=tmp_path).out)["rows"] == 20_000
