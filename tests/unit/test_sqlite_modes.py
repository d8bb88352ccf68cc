"""What becomes of rows that the table holds already: insert, append, upsert, replace; and --no-create."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from streamconsole.engines.errors import Refused, SideLost
from streamconsole.engines.migration.columns import infer
from streamconsole.engines.migration.settings import Mode
from streamconsole.engines.migration.targets.sqlite import SqliteTarget
from streamconsole.engines.migration.targets.target import Written
from tests.unit.loading import declared, loading, read


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "t.db"


def prepare(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)


async def load(path: Path, rows: list[dict[str, Any]], mode: Mode, **options: Any) -> list[str]:
    """Load rows in one window; gives the reasons of those refused."""
    key = options.pop("key", ("id",))
    async with loading(path, rows, key, mode=mode, **options) as loader:
        await loader.load(rows)
    return [reject.reason for reject in loader.kept]


OLD = """
CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, seen TEXT DEFAULT 'never');
INSERT INTO t VALUES (1, 'one', 'x')"""


async def test_insert_wants_an_empty_table(path: Path) -> None:
    prepare(path, OLD)
    with pytest.raises(Refused, match=r"holds rows already.*--mode append, upsert or replace"):
        await load(path, [{"id": 2}], Mode.INSERT)


async def test_append_keeps_what_is_there_and_refuses_its_keys(path: Path) -> None:
    prepare(path, OLD)
    assert await load(path, [{"id": 2, "name": "two"}, {"id": 1, "name": "uno"}], Mode.APPEND) == ["duplicate key 1"]
    assert read(path) == [{"id": 1, "name": "one", "seen": "x"}, {"id": 2, "name": "two", "seen": "never"}]


async def test_append_adds_columns_but_never_changes_types(path: Path) -> None:
    prepare(path, OLD)
    rows: list[dict[str, Any]] = [{"id": 2, "more": 1.5}, {"id": "three"}, {"id": 4, "seen": "now"}]
    async with loading(path, rows[:1], ("id",), mode=Mode.APPEND) as loader:
        await loader.load(rows)
    assert [(each.column, each.reason) for each in loader.kept] == [("id", "the column is integer, the value is text")]
    assert [row["seen"] for row in read(path)] == ["x", None, "now"]
    assert declared(path) == {"id": "INTEGER", "name": "TEXT", "seen": "TEXT", "more": "REAL"}


async def test_append_makes_a_table_that_is_not_there(path: Path) -> None:
    assert await load(path, [{"id": 2}], Mode.APPEND) == []
    assert read(path) == [{"id": 2}]


async def test_upsert_overwrites_by_key_and_leaves_other_columns(path: Path) -> None:
    prepare(path, OLD)
    assert await load(path, [{"id": 1, "name": "uno"}, {"id": 2, "name": "due"}], Mode.UPSERT) == []
    assert read(path) == [{"id": 1, "name": "uno", "seen": "x"}, {"id": 2, "name": "due", "seen": "never"}]


async def test_upsert_takes_the_last_of_equal_keys_in_a_window(path: Path) -> None:
    rows = [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]
    async with loading(path, rows, ("id",), mode=Mode.UPSERT) as loader:
        assert await loader.load(rows) == Written(2, 2, 0)
    assert read(path) == [{"id": 1, "name": "b"}]


async def test_upsert_of_nothing_but_a_key(path: Path) -> None:
    assert await load(path, [{"id": 1}, {"id": 1}], Mode.UPSERT) == []
    assert read(path) == [{"id": 1}]


async def test_upsert_by_a_composite_unique_index(path: Path) -> None:
    prepare(path, 'CREATE TABLE t (a, "b""c" TEXT, v); CREATE UNIQUE INDEX u ON t ("b""c", a)')
    rows = [{"a": "1", 'b"c': "2", "v": "x"}, {"a": "1", 'b"c': "2", "v": "y"}]
    assert await load(path, rows, Mode.UPSERT, key=("a", 'b"c')) == []
    assert read(path) == [{"a": "1", 'b"c': "2", "v": "y"}]


@pytest.mark.parametrize(
    "table",
    ["id, v", "id, v, UNIQUE (id, v)", "v, id INTEGER NOT NULL); CREATE UNIQUE INDEX u ON t (id) WHERE v > 1 --"],
)
async def test_upsert_wants_a_unique_key(path: Path, table: str) -> None:
    prepare(path, f"CREATE TABLE t ({table}\n)" if "--" not in table else f"CREATE TABLE t ({table}")
    with pytest.raises(Refused, match="needs a primary key or a unique index over just id"):
        await load(path, [{"id": "1", "v": "x"}], Mode.UPSERT)
    with pytest.raises(Refused, match="needs a key"):
        await load(path, [{"id": "1"}], Mode.UPSERT, key=())


async def test_replace_swaps_at_the_end_and_not_before(path: Path) -> None:
    prepare(
        path,
        f"{OLD}; CREATE INDEX by_name ON t (name); CREATE TABLE log (n);"
        "CREATE TRIGGER told AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.id); END;"
        "CREATE VIEW v AS SELECT name FROM t",
    )
    rows = [{"id": 1, "name": "uno"}, {"id": 5, "name": "cinque"}]
    async with loading(path, rows, ("id",), mode=Mode.REPLACE) as loader:
        await loader.load(rows)
        assert [row["name"] for row in read(path)] == ["one"]
    assert read(path) == rows
    assert read(path, "SELECT * FROM v") == [{"name": "uno"}, {"name": "cinque"}]
    assert [row["n"] for row in read(path, "SELECT n FROM log")] == []
    belongings = read(path, "SELECT name FROM sqlite_master WHERE tbl_name = 't' AND type <> 'table' ORDER BY 1")
    assert [each["name"] for each in belongings] == ["by_name", "told"]
    assert read(path, "SELECT name FROM sqlite_master WHERE name LIKE '\\_streamconsole\\_new%' ESCAPE '\\'") == []


async def test_replace_is_not_done_while_windows_have_failed(path: Path) -> None:
    prepare(path, OLD)
    target = SqliteTarget(path, "t", Mode.REPLACE)
    target.use(target.inspect(infer([{"id": 1}]), ("id",))["schema"])
    await target.open("run-1", 1)
    await target.finish(whole=False)
    await target.close()
    assert [row["name"] for row in read(path)] == ["one"]
    # The retry of what had failed goes on where the rows wait.
    again = SqliteTarget(path, "t", Mode.REPLACE)
    await again.open("run-1", 2)
    await again.finish(whole=True)
    await again.close()
    assert read(path) == []


async def test_after_the_swap_a_run_goes_on_in_the_table_itself(path: Path) -> None:
    prepare(path, OLD)
    async with loading(path, [{"id": 1}], ("id",), mode=Mode.REPLACE) as loader:
        await loader.load([{"id": 1}])
    async with loading(path, [{"id": 1}], ("id",), epoch=2, mode=Mode.REPLACE) as loader:
        loader.number = 1
        await loader.load([{"id": 2}])
        assert [row["id"] for row in read(path)] == [1, 2]
    assert [row["id"] for row in read(path)] == [1, 2]


async def test_an_index_that_cannot_be_made_again_leaves_the_old_table(path: Path) -> None:
    prepare(path, f"{OLD}; CREATE UNIQUE INDEX names ON t (name)")
    rows = [{"id": 1, "name": "same"}, {"id": 2, "name": "same"}]
    with pytest.raises(SideLost, match="was not replaced: its names cannot be made"):
        await load(path, rows, Mode.REPLACE)
    assert [row["name"] for row in read(path)] == ["one"]
    # Mended by hand, the same run ends well.
    prepare(path, "DROP INDEX names")
    async with loading(path, rows, ("id",), epoch=2, mode=Mode.REPLACE):
        pass
    assert read(path) == rows


async def test_a_view_is_not_replaced(path: Path) -> None:
    prepare(path, "CREATE VIEW t AS SELECT 1 AS id")
    with pytest.raises(Refused, match="is a view"):
        await load(path, [{"id": 1}], Mode.REPLACE)


async def test_no_create_wants_file_table_and_columns(path: Path) -> None:
    with pytest.raises(Refused, match="does not exist, and --no-create"):
        await load(path, [{"id": 1}], Mode.INSERT, create=False)
    prepare(path, "CREATE TABLE other (x)")
    with pytest.raises(Refused, match="has no table t, and --no-create"):
        await load(path, [{"id": 1}], Mode.INSERT, create=False)
    prepare(path, "CREATE TABLE t (id INTEGER PRIMARY KEY, spare TEXT DEFAULT 'd')")
    with pytest.raises(Refused, match="has no column more, and --no-create"):
        await load(path, [{"id": 1, "more": 1}], Mode.INSERT, create=False)


async def test_no_create_refuses_rows_with_other_keys_and_takes_columns_that_come_late(path: Path) -> None:
    prepare(path, "CREATE TABLE t (id INTEGER PRIMARY KEY, late TEXT DEFAULT 'd')")
    async with loading(path, [{"id": 1}], ("id",), create=False) as loader:
        await loader.load([{"id": 1}])
        await loader.load([{"id": 2, "late": "here"}, {"id": 3, "more": 1}])
    assert [(each.column, each.reason) for each in loader.kept] == [
        ("more", "the table has no such column, and --no-create says that none is made")
    ]
    assert read(path) == [{"id": 1, "late": "d"}, {"id": 2, "late": "here"}]
    assert declared(path) == {"id": "INTEGER", "late": "TEXT"}
