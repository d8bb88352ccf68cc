"""Children that move windows: each writes into the target itself; one that dies is replaced, and none lives on."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from time import monotonic

import pytest

from streamconsole.engines.errors import SideLost
from streamconsole.engines.migration.cluster import PROCESSES_FROM, ChildLost, Cluster, Tally, processes_for
from streamconsole.engines.migration.columns import ColumnType, infer
from streamconsole.engines.migration.moving import Move, Needs, Task
from streamconsole.engines.migration.sources.generate import GenerateReader
from streamconsole.engines.migration.sources.ndjson import NdjsonReader
from streamconsole.engines.migration.targets.sqlite import SqliteTarget
from streamconsole.engines.migration.targets.target import SchemaMoved, WindowWriter, Written
from streamconsole.engines.units import Reject, Window
from tests.unit.loading import declared, read

ORDERS = GenerateReader("orders", 1)


class Owner:
    """The parent of a cluster: gives turns in one target and keeps rejects."""

    def __init__(self, target: SqliteTarget) -> None:
        self.target = target
        self.kept: list[Reject] = []
        self.keeping = threading.Event()
        self.keeping.set()
        self.asked = threading.Event()

    def turn(self, task: Move) -> AbstractContextManager[None]:
        return self.target.turn(task.writer)

    def keep_rejects(self, task: Task, rejects: Sequence[Reject]) -> None:
        self.asked.set()
        assert self.keeping.wait(20)
        self.kept += rejects

    def orders(self, number: int, count: int = 50, writer: WindowWriter | None = None) -> Move:
        """A window of generated orders."""
        lo = number * 1000
        return Move(ORDERS, writer or self.target.writer(), Window(number, lo, lo + count, 0, count))

    def lines(self, path: Path, number: int, *lines: str, attempt: int = 1) -> Move:
        """A window of lines."""
        content = "".join(f"{line}\n" for line in lines).encode()
        path.write_bytes(content)
        return Move(NdjsonReader(path), self.target.writer(), Window(number, 0, len(content), 0, len(lines)), attempt)


@asynccontextmanager
async def cluster(path: Path, processes: int) -> AsyncIterator[tuple[Cluster, Owner]]:
    target = SqliteTarget(path, "t")
    sample = [row for _, row in ORDERS.rows(Window(1, 0, 200, 0, 200), lambda *_: None)]
    target.use(target.inspect(infer(sample), ("id",))["schema"])
    await target.open("run-1", 1)
    owner = Owner(target)
    moving = Cluster(processes, owner)
    try:
        yield moving, owner
    finally:
        await moving.close()
        await target.close()


def children() -> set[int]:
    """Children of this process that move windows."""
    path = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    found = {int(each) for task in path.parent.parent.glob("*/children") for each in task.read_text().split()}
    return {pid for pid in found if b"spawn_main" in _command(pid)}


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def is_running(pid: int) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def test_processes_only_where_they_pay() -> None:
    assert processes_for(PROCESSES_FROM - 1, 8) == 0
    assert 1 <= processes_for(PROCESSES_FROM, 8) <= 4
    assert processes_for(None, 1) == 1


async def test_threads_and_children_move_alike(tmp_path: Path) -> None:
    found = []
    for processes in (0, 2):
        path = tmp_path / f"{processes}.db"
        async with cluster(path, processes) as (moving, owner):
            moved = await asyncio.gather(*(moving.move(owner.orders(number)) for number in range(6)))
            assert moved == [Written(50, 50, 0)] * 6
            assert moving.tally == Tally(300, 300, 0)
        found.append(read(path, "SELECT * FROM t ORDER BY id"))
    assert found[0] == found[1]
    assert len(found[0]) == 300
    assert children() == set()


async def test_windows_go_round_the_ring(tmp_path: Path) -> None:
    async with cluster(tmp_path / "t.db", 2) as (moving, owner):
        await asyncio.gather(moving.move(owner.orders(0)), moving.move(owner.orders(1)))
        one, other = moving._ring
        for number in range(2, 6):
            await moving.move(owner.orders(number))
            assert [*moving._ring] == ([other, one] if number % 2 == 0 else [one, other])


async def test_a_window_is_claimed_once_whoever_moves_it(tmp_path: Path) -> None:
    async with cluster(tmp_path / "t.db", 2) as (moving, owner):
        first, second = await asyncio.gather(moving.move(owner.orders(1)), moving.move(owner.orders(1)))
        assert first == second == Written(50, 50, 0)
    assert len(read(tmp_path / "t.db")) == 50


@pytest.mark.parametrize("processes", [0, 1])
async def test_what_the_target_lacks_is_told_and_nothing_written(tmp_path: Path, processes: int) -> None:
    path = tmp_path / "t.db"
    async with cluster(path, processes) as (moving, owner):
        task = owner.lines(tmp_path / "f", 1, '{"id":1,"more":"x"}')
        needs = await moving.move(task)
        assert needs == Needs({"more": ColumnType.TEXT})
        assert read(path) == []
        await owner.target.widen({"more": ColumnType.TEXT})
        assert await moving.move(owner.lines(tmp_path / "f", 1, '{"id":1,"more":"x"}')) == Written(1, 1, 0)
    assert declared(path)["more"] == "TEXT"


@pytest.mark.parametrize("processes", [0, 1])
async def test_rows_fitted_before_a_type_was_widened_are_not_written(tmp_path: Path, processes: int) -> None:
    path = tmp_path / "t.db"
    async with cluster(path, processes) as (moving, owner):
        old = owner.target.writer()
        await owner.target.widen({"total": ColumnType.TEXT})
        with pytest.raises(SchemaMoved):
            await moving.move(owner.orders(1, writer=old))
        assert await moving.move(owner.orders(1)) == Written(50, 50, 0)
    assert len(read(path)) == 50


@pytest.mark.parametrize("processes", [0, 1])
async def test_rejects_are_kept_before_the_window_commits(tmp_path: Path, processes: int) -> None:
    path = tmp_path / "t.db"
    async with cluster(path, processes) as (moving, owner):
        owner.keeping.clear()
        moved = asyncio.ensure_future(moving.move(owner.lines(tmp_path / "f", 1, '{"id":1}', "{", '{"id":1}')))
        await asyncio.to_thread(owner.asked.wait, 20)
        assert read(path) == []
        owner.keeping.set()
        assert await moved == Written(3, 1, 2)
    assert [(reject.line, reject.column) for reject in owner.kept] == [(2, None), (3, "id")]
    assert len(read(path)) == 1


@pytest.mark.parametrize("processes", [0, 1])
@pytest.mark.parametrize("attempt", [1, 2])
async def test_a_second_attempt_replaces_rejects_even_by_none(tmp_path: Path, processes: int, attempt: int) -> None:
    async with cluster(tmp_path / "t.db", processes) as (moving, owner):
        await moving.move(owner.lines(tmp_path / "f", 1, '{"id":1}', attempt=attempt))
        assert owner.asked.is_set() == (attempt == 2)


async def test_an_error_in_a_child_is_the_error(tmp_path: Path) -> None:
    async with cluster(tmp_path / "t.db", 1) as (moving, owner):
        gone = Move(NdjsonReader(tmp_path / "gone"), owner.target.writer(), Window(1, 0, 10, 0, 1))
        with pytest.raises(SideLost, match="cannot be read any more") as caught:
            await moving.move(gone)
        assert caught.value.side == "source"
        # The child is not lost by it.
        before = children()
        assert await moving.move(owner.orders(1)) == Written(50, 50, 0)
        assert children() == before
        assert moving.tally.replaced == 0


async def test_a_child_that_dies_is_told_and_replaced(tmp_path: Path) -> None:
    async with cluster(tmp_path / "t.db", 1) as (moving, owner):
        await moving.move(owner.orders(1))
        (first,) = children()
        os.kill(first, signal.SIGKILL)
        with pytest.raises(ChildLost):
            await moving.move(owner.orders(2))
        assert await moving.move(owner.orders(2)) == Written(50, 50, 0)
        assert first not in children()
        assert moving.tally == Tally(100, 100, 1)


async def test_a_child_that_dies_in_its_turn_gives_the_turn_back(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    async with cluster(path, 1) as (moving, owner):
        owner.keeping.clear()
        task = owner.lines(tmp_path / "f", 1, '{"id":1}', "{")
        moved = asyncio.ensure_future(moving.move(task))
        await asyncio.to_thread(owner.asked.wait, 20)
        (pid,) = children()
        os.kill(pid, signal.SIGKILL)
        owner.keeping.set()
        with pytest.raises(ChildLost):
            await asyncio.wait_for(moved, 10)
        assert read(path) == []
        assert await asyncio.wait_for(moving.move(task), 10) == Written(2, 1, 1)


async def test_closing_does_not_wait_for_what_hangs(tmp_path: Path) -> None:
    async with cluster(tmp_path / "t.db", 1) as (moving, owner):
        await moving.move(owner.orders(1))
        (pid,) = children()
        os.kill(pid, signal.SIGSTOP)
        waiting = asyncio.ensure_future(moving.move(owner.orders(2)))
        await asyncio.sleep(0)
        await asyncio.wait_for(moving.close(), 10)
        with pytest.raises(ChildLost):
            await asyncio.wait_for(waiting, 10)
        assert not is_running(pid)


PARENT = """
import asyncio, sys
from pathlib import Path
from tests.unit.test_cluster import children, cluster

async def main():
    async with cluster(Path(sys.argv[1]), 2) as (moving, owner):
        await asyncio.gather(moving.move(owner.orders(1)), moving.move(owner.orders(2)))
        print(*children(), flush=True)
        # One is left idle, one at work that lasts longer than any test.
        await moving.move(owner.orders(3, 10**9))

if __name__ == "__main__":
    asyncio.run(main())
"""


async def test_a_killed_parent_leaves_no_children(tmp_path: Path) -> None:
    program = tmp_path / "parent.py"
    program.write_text(PARENT)
    root = str(Path(__file__).parents[2])
    parent = subprocess.Popen(
        [sys.executable, str(program), str(tmp_path / "t.db")],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": root},
    )
    assert parent.stdout is not None
    try:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert pids
        assert all(map(is_running, pids))
    finally:
        parent.kill()
        parent.wait(10)
        parent.stdout.close()
    killed = monotonic()
    while any(map(is_running, pids)) and monotonic() - killed < 10:
        await asyncio.sleep(0.02)
    left = [pid for pid in pids if is_running(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []
