"""The writer: "done" is said after the commit, a bad operation fails alone, nobody sees a lock."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import Connection

from streamconsole.engines.errors import SideLost
from streamconsole.engines.workspace import Workspace, writer
from streamconsole.engines.workspace.writer import Bulk


def execute(connection: Connection, statement: str, *parameters: object) -> None:
    connection.exec_driver_sql(statement, parameters)


def insert(connection: Connection, number: int) -> int:
    execute(connection, "INSERT INTO t VALUES (?)", number)
    return number


def numbers(path: Path) -> list[int]:
    """What another connection sees: only what is committed."""
    with closing(sqlite3.connect(path)) as other:
        return [number for (number,) in other.execute("SELECT n FROM t ORDER BY rowid")]


class Gate:
    """Keeps the writer's thread busy with one operation while others gather behind it."""

    def __init__(self, workspace: Workspace) -> None:
        self._reached, self._open = threading.Event(), threading.Event()
        self._done = asyncio.ensure_future(workspace.write(self._wait))

    def _wait(self, _: Connection) -> None:
        self._reached.set()
        self._open.wait(30)

    async def __aenter__(self) -> None:
        await asyncio.to_thread(self._reached.wait, 30)

    async def __aexit__(self, *_: object) -> None:
        # A turn of the loop: what was started inside the block is handed over before the gate opens.
        await asyncio.sleep(0)
        self._open.set()
        await self._done


@pytest_asyncio.fixture
async def table(workspace: Workspace) -> AsyncIterator[Workspace]:
    await workspace.write(execute, "CREATE TABLE t (n INTEGER NOT NULL CHECK (n >= 0))")
    yield workspace


async def test_a_caller_is_woken_only_after_the_commit(table: Workspace) -> None:
    for number in range(20):
        await table.write(insert, number)
        assert numbers(table.path)[-1] == number


async def test_results_come_back_to_their_callers(table: Workspace) -> None:
    assert await asyncio.gather(*(table.write(insert, n) for n in range(300))) == list(range(300))


async def test_what_gathers_shares_one_commit_in_the_order_given(table: Workspace) -> None:
    async with Gate(table):
        before = table.writer.commits
        tasks = [asyncio.ensure_future(table.write(insert, n)) for n in range(200)]
    await asyncio.gather(*tasks)
    # The gate's own commit, and one for all.
    assert table.writer.commits - before == 2
    assert numbers(table.path) == list(range(200))


async def test_a_bad_operation_fails_alone(table: Workspace) -> None:
    async with Gate(table):
        tasks = [asyncio.ensure_future(table.write(insert, n)) for n in (1, 2, -3, 4, 5)]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[:2] + results[3:] == [1, 2, 4, 5]
    assert "CHECK constraint" in str(results[2])
    assert numbers(table.path) == [1, 2, 4, 5]


async def test_half_of_a_bad_operation_is_not_kept(table: Workspace) -> None:
    def half(connection: Connection) -> None:
        insert(connection, 7)
        raise KeyError("in the middle")

    async with Gate(table):
        bad = asyncio.ensure_future(table.write(half))
        good = asyncio.ensure_future(table.write(insert, 8))
    with pytest.raises(KeyError, match="in the middle"):
        await bad
    await good
    assert numbers(table.path) == [8]


class Recorder:
    """A bulk kind that notes how many came at once, and refuses a batch with a negative number."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.kind = Bulk("numbers", self.apply)

    def apply(self, connection: Connection, params: Sequence[int]) -> Sequence[int]:
        self.batches.append(list(params))
        connection.connection.executemany("INSERT INTO t VALUES (?)", [(n,) for n in params])
        return [n * 10 for n in params]


async def test_one_kind_side_by_side_runs_in_bulk(table: Workspace) -> None:
    kind = Recorder()
    async with Gate(table):
        first = [asyncio.ensure_future(table.write_bulk(kind.kind, n)) for n in range(5)]
        between = asyncio.ensure_future(table.write(insert, 100))
        second = [asyncio.ensure_future(table.write_bulk(kind.kind, n)) for n in range(5, 8)]
    assert await asyncio.gather(*first, *second) == [n * 10 for n in range(8)]
    await between
    assert kind.batches == [[0, 1, 2, 3, 4], [5, 6, 7]]
    assert numbers(table.path) == [0, 1, 2, 3, 4, 100, 5, 6, 7]


async def test_a_bad_one_of_a_bulk_kind_fails_alone(table: Workspace) -> None:
    kind = Recorder()
    async with Gate(table):
        tasks = [asyncio.ensure_future(table.write_bulk(kind.kind, n)) for n in (1, -2, 3)]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert (results[0], results[2]) == (10, 30)
    assert isinstance(results[1], Exception)
    assert numbers(table.path) == [1, 3]


async def test_a_long_batch_is_split_so_that_others_get_at_the_file(
    table: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "BUDGET", -1.0)
    async with Gate(table):
        before = table.writer.commits
        tasks = [asyncio.ensure_future(table.write(insert, n)) for n in range(10)]
    await asyncio.gather(*tasks)
    assert table.writer.commits - before == 11
    assert numbers(table.path) == list(range(10))


async def test_a_call_from_a_thread_goes_first(table: Workspace) -> None:
    async with Gate(table):
        normal = asyncio.ensure_future(table.write(insert, 1))
        await asyncio.sleep(0)
        urgent = threading.Thread(target=table.writer.call, args=(insert, 2))
        urgent.start()
        while not table.writer._inbox.urgent:
            await asyncio.sleep(0)
    await normal
    await asyncio.to_thread(urgent.join, 10)
    assert numbers(table.path) == [2, 1]


async def test_a_full_disk_is_told_to_every_caller_of_the_transaction(table: Workspace) -> None:
    def bound(connection: Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    def large(connection: Connection) -> None:
        execute(connection, "CREATE TABLE large AS SELECT zeroblob(1000000)")

    await table.write(bound)
    async with Gate(table):
        tasks = [asyncio.ensure_future(table.write(large)) for _ in range(3)]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, SideLost) and "full" in str(result) for result in results)
    # And the writer is still there.
    await table.write(execute, "PRAGMA max_page_count = 1000000")
    await table.write(insert, 1)
    assert numbers(table.path) == [1]


async def test_a_commit_that_fails_is_told_to_all_and_leaves_the_writer_working(table: Workspace) -> None:
    def promise(connection: Connection) -> None:
        execute(connection, "INSERT INTO child VALUES (?)", 1)

    await table.write(execute, "CREATE TABLE parent (n INTEGER PRIMARY KEY)")
    await table.write(execute, "CREATE TABLE child (n INTEGER REFERENCES parent (n) DEFERRABLE INITIALLY DEFERRED)")
    async with Gate(table):
        tasks = [asyncio.ensure_future(table.write(insert, 1)), asyncio.ensure_future(table.write(promise))]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, Exception) for result in results)
    assert numbers(table.path) == []
    assert await table.write(insert, 2) == 2
    assert numbers(table.path) == [2]


@pytest.mark.parametrize("name", ["full", "readonly"])
async def test_a_word_in_an_error_does_not_make_it_the_disks(table: Workspace, name: str) -> None:
    with pytest.raises(Exception, match="no such column") as caught:
        await table.write(execute, f"UPDATE t SET n = {name}_of_it")
    assert not isinstance(caught.value, SideLost)


async def test_nobody_sees_a_file_that_another_holds(table: Workspace) -> None:
    await table.write(execute, "PRAGMA busy_timeout = 5")
    with closing(sqlite3.connect(table.path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO t VALUES (1)")
        waiting = asyncio.ensure_future(table.write(insert, 2))
        # Longer than many busy timeouts: it is tried again and again.
        done, _ = await asyncio.wait([waiting], timeout=0.2)
        assert not done
        other.execute("COMMIT")
    assert await asyncio.wait_for(waiting, 10) == 2
    assert numbers(table.path) == [1, 2]


async def test_patience_ends_with_a_clear_word(table: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "PATIENCE", 0.0)
    await table.write(execute, "PRAGMA busy_timeout = 1")
    with closing(sqlite3.connect(table.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(SideLost, match="another program") as caught:
            await table.write(insert, 2)
        assert "database is locked" not in str(caught.value)
        other.execute("ROLLBACK")
    assert await table.write(insert, 3) == 3


async def test_two_writers_of_one_file_lose_nothing(table: Workspace) -> None:
    other = await Workspace.open(table.url)
    try:
        await asyncio.gather(
            *(table.write(insert, n) for n in range(150)), *(other.write(insert, 1000 + n) for n in range(150))
        )
    finally:
        await other.close()
    assert sorted(numbers(table.path)) == [*range(150), *range(1000, 1150)]


async def test_a_change_by_another_is_noticed_and_ones_own_is_not(table: Workspace) -> None:
    noticed, loop = asyncio.Event(), asyncio.get_running_loop()

    def note() -> None:
        loop.call_soon_threadsafe(noticed.set)

    table.listen(note)
    while table._store._seen_version < 0:  # type: ignore[attr-defined]
        await table.write(insert, 1)
    for number in range(30):
        await table.write(insert, number)
    looked = table.writer._looked_at
    while table.writer._looked_at == looked:
        await asyncio.sleep(0.01)
    assert not noticed.is_set()
    with closing(sqlite3.connect(table.path)) as other, other:
        other.execute("INSERT INTO t VALUES (99)")
    await asyncio.wait_for(noticed.wait(), 10)


async def test_a_listener_that_fails_does_not_stop_the_writer(table: Workspace) -> None:
    called = threading.Event()

    def fail() -> None:
        called.set()
        raise RuntimeError("of the listener")

    table.listen(fail)
    while table._store._seen_version < 0:  # type: ignore[attr-defined]
        await table.write(insert, 1)
    with closing(sqlite3.connect(table.path)) as other, other:
        other.execute("INSERT INTO t VALUES (99)")
    assert await asyncio.to_thread(called.wait, 10)
    assert await asyncio.wait_for(table.write(insert, 2), 10) == 2


async def test_nobody_waits_for_a_writer_that_is_gone(table: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(_: Connection) -> None:
        raise MemoryError("no more")

    async with Gate(table):
        # The thread comes by here only after the batch that it has in hand.
        monkeypatch.setattr(table.writer, "_gather", break_down)
        left = asyncio.ensure_future(table.write(insert, 1))
    with pytest.raises(SideLost, match="no more"):
        await asyncio.wait_for(left, 10)
    with pytest.raises(SideLost):
        await asyncio.wait_for(table.write(insert, 2), 10)


async def test_a_caller_that_gave_up_disturbs_nobody(table: Workspace) -> None:
    async with Gate(table):
        gone = asyncio.ensure_future(table.write(insert, 1))
        kept = asyncio.ensure_future(table.write(insert, 2))
        await asyncio.sleep(0)
        gone.cancel()
    assert await kept == 2


async def test_closing_writes_what_was_handed_over(tmp_path: Path) -> None:
    workspace = await Workspace.open(str(tmp_path / "w.db"))
    await workspace.write(execute, "CREATE TABLE t (n INTEGER)")
    tasks = [asyncio.ensure_future(workspace.write(insert, n)) for n in range(50)]
    await asyncio.sleep(0)
    await workspace.close()
    await asyncio.gather(*tasks)
    assert numbers(workspace.path) == list(range(50))
    with pytest.raises(SideLost, match="closed"):
        await workspace.write(insert, 1)
