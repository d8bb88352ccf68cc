"""Migrations out of a database, whole: round trips, resumes, what changes meanwhile."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest

from streamconsole.engines.control import Verb
from streamconsole.engines.errors import Refused
from streamconsole.engines.states import RunState, WindowState
from tests.integration.running import House, Waiter, house, inject, rows_of
from tests.program import committed, kill, ledger, run, running, wait_until

MADE = "generate://users?count=3000&seed=7"


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def table(folder: Path, file: str = "in", name: str = "t") -> str:
    return f"sqlite:///{folder / file}.db#{name}"


def numbers(path: Path, count: int = 100) -> Path:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT NOT NULL)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", ((n, f"row {n}") for n in range(count)))
    return path


@pytest.mark.parametrize("writers", [0, 2])
async def test_a_round_trip_through_sqlite_gives_every_value_back(here: House, tmp_path: Path, writers: int) -> None:
    await here.migrate(MADE, tmp_path / "first.ndjson")
    await here.migrate(MADE, table(tmp_path))
    await here.migrate(table(tmp_path), table(tmp_path, "copy"), window_rows=700, writers=writers)
    await here.migrate(table(tmp_path, "copy"), tmp_path / "last.ndjson", window_rows=900, writers=writers)
    assert (tmp_path / "last.ndjson").read_bytes() == (tmp_path / "first.ndjson").read_bytes()
    assert rows_of(tmp_path / "in.db", order="id") == rows_of(tmp_path / "copy.db", order="id")


async def test_the_source_s_declaration_shapes_the_target(here: House, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "in.db")) as connection, connection:
        connection.execute(
            "CREATE TABLE t (b TEXT NOT NULL, a INTEGER NOT NULL, free REAL, d DECIMAL_TEXT, PRIMARY KEY (a, b))"
        )
    await here.migrate(table(tmp_path), table(tmp_path, "empty"))
    with closing(sqlite3.connect(tmp_path / "empty.db")) as connection:
        found = connection.execute("SELECT name, type, pk FROM pragma_table_info('t')").fetchall()
    assert found == [("b", "TEXT", 2), ("a", "INTEGER", 1), ("free", "REAL", 0), ("d", "DECIMAL_TEXT", 0)]


async def test_into_another_table_of_the_same_file(here: House, tmp_path: Path) -> None:
    numbers(tmp_path / "in.db")
    await here.migrate(table(tmp_path), table(tmp_path, name="copy"), window_rows=7)
    assert rows_of(tmp_path / "in.db") == rows_of(tmp_path / "in.db", "copy")


async def test_just_the_windows_of_a_list(here: House, tmp_path: Path) -> None:
    numbers(tmp_path / "in.db")
    first = await here.migrate(table(tmp_path), tmp_path / "all.ndjson", window_rows=10)
    history = [record.as_json() for record in await here.windows(first)]
    chosen = tuple(
        (each["lo"], each["hi"], each["first_row"], each["bounds"]) for each in history if each["window"] in (2, 10)
    )
    second = await here.migrate(table(tmp_path), tmp_path / "some.ndjson", windows=chosen)
    assert [row["id"] for row in lines_of(tmp_path / "some.ndjson")] == [*range(10, 20), *range(90, 100)]
    assert [record.window.first_row for record in await here.windows(second)] == [10, 90]
    with pytest.raises(Refused, match="not by counting"):
        await here.create(table(tmp_path), tmp_path / "no.ndjson", windows=((0, 5, 0),))
    with pytest.raises(Refused, match="range of keys"):
        await here.create(tmp_path / "all.ndjson", tmp_path / "no.ndjson", windows=chosen)


async def test_from_a_key_and_a_limit(here: House, tmp_path: Path) -> None:
    numbers(tmp_path / "in.db")
    asked = {"from_offset": 42, "limit": 13, "window_rows": 5}
    await here.migrate(table(tmp_path), tmp_path / "out.ndjson", **asked)
    assert [row["id"] for row in lines_of(tmp_path / "out.ndjson")] == list(range(42, 55))
    with pytest.raises(Refused, match="no row from there on"):
        await here.create(table(tmp_path), tmp_path / "no.ndjson", from_offset=100)


async def test_a_stopped_run_goes_on_where_the_last_window_ended(
    here: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers(tmp_path / "in.db", 500)
    run_ = await here.create(table(tmp_path), table(tmp_path, "out"), window_rows=10, workers=1)
    waiter = Waiter(here.bus)
    task = await here.supervisor.start(run_.id)
    await waiter.until("WindowCompleted", 3)
    await here.say(run_, Verb.STOP)
    assert (await task).state is RunState.PAUSED
    with closing(sqlite3.connect(tmp_path / "in.db")) as connection, connection:
        # Before what was cut, and behind the end: the second is seen, the first was another moment's.
        connection.execute("INSERT INTO t VALUES (-1, 'early'), (1000, 'late')")
    assert (await here.work(run_)).state is RunState.COMPLETED
    assert [row["id"] for row in rows_of(tmp_path / "out.db", order="id")] == [*range(500), 1000]
    records = await here.windows(run_)
    assert [record.window.lo for record in records] == list(range(0, 501, 10))


async def test_a_source_with_other_columns_is_refused_at_resume(here: House, tmp_path: Path) -> None:
    numbers(tmp_path / "in.db")
    run_ = await here.create(table(tmp_path), tmp_path / "out.ndjson")
    with closing(sqlite3.connect(tmp_path / "in.db")) as connection, connection:
        connection.execute("ALTER TABLE t ADD COLUMN new TEXT")
    ended = await here.work(run_)
    assert "has changed" in str(ended.error)


async def test_a_database_gone_in_mid_run_is_a_lost_source(
    here: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers(tmp_path / "in.db", 300)
    run_ = await here.create(table(tmp_path), table(tmp_path, "out"), window_rows=10, workers=1)
    waiter = Waiter(here.bus)
    task = await here.supervisor.start(run_.id)
    await waiter.until("WindowCompleted", 1)
    (tmp_path / "in.db").rename(tmp_path / "away.db")
    ended = await task
    assert ended.state is RunState.FAILURE
    assert "removed or replaced" in str(ended.error)
    (tmp_path / "away.db").rename(tmp_path / "in.db")
    assert (await here.work(run_)).state is RunState.COMPLETED
    assert len(rows_of(tmp_path / "out.db")) == 300


async def test_refused_rows_are_shown_as_they_stand_in_the_source(here: House, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "in.db")) as connection, connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)")
        connection.execute("INSERT INTO t VALUES (5, 'ä'), (6, CAST(x'ff41' AS TEXT)), (7, 'z')")
    run_ = await here.migrate(table(tmp_path), table(tmp_path, "out"))
    assert [row["id"] for row in rows_of(tmp_path / "out.db")] == [5, 7]
    (reject,) = await here.rejects(run_)
    assert (reject["line"], reject["column"], reject["reason"]) == (2, "v", "the text is not UTF-8")
    assert reject["row"] == '{"id":6,"v":"\ufffdA"}'


async def test_a_window_that_failed_is_found_again_by_its_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers(tmp_path / "in.db")
    async with house(tmp_path / "w.db") as here:
        inject(monkeypatch, "fail@window.start:4*9")
        run_ = await here.create(table(tmp_path), table(tmp_path, "out"), window_rows=10)
        await here.work(run_)
        assert [r.window.number for r in await here.windows(run_) if r.state is WindowState.FAILED] == [4]
        inject(monkeypatch, "")
    async with house(tmp_path / "w.db") as again:
        await again.work(run_, retry_failed=True)
    assert [row["id"] for row in rows_of(tmp_path / "out.db", order="id")] == list(range(100))


def _more_than(path: Path, floor: int) -> bool:
    return committed(path) > floor


@pytest.mark.crash
@pytest.mark.parametrize("kills", [2])
def test_killed_in_mid_run_and_resumed_it_has_every_row_once(kills: int, tmp_path: Path) -> None:
    numbers(tmp_path / "in.db", 20_000)
    out = tmp_path / "out.db"
    ask: tuple[str, ...] = ("migrate", "sqlite:///in.db#t", "sqlite:///out.db#t", "--window-rows", "100", "--no-ui")
    done = 0
    for _ in range(kills):
        with running(*ask, cwd=tmp_path) as process:
            wait_until(partial(_more_than, out, done + 5), "more windows")
            assert kill(process).killed
        done = committed(out)
        (run_id,) = ledger(out)
        ask = ("runs", "resume", run_id, "--no-ui")
    assert done < 200
    assert run(*ask, cwd=tmp_path).code == 0
    assert [row["id"] for row in rows_of(out, order="id")] == list(range(20_000))
