"""Decoding in processes: one that dies is replaced, and none outlives its parent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic

import pytest

from streamconsole.engines.errors import SideLost
from streamconsole.engines.migration.batch import Batch, DecodeTask
from streamconsole.engines.migration.decoding import PROCESSES_FROM, Decoder, DecoderLost, processes_for
from streamconsole.engines.migration.sources.generate import GenerateReader
from streamconsole.engines.migration.sources.ndjson import NdjsonReader
from streamconsole.engines.migration.targets.json_rows import JsonRows
from streamconsole.engines.units import Window


def rows(count: int, lo: int = 0) -> DecodeTask:
    return DecodeTask(GenerateReader("users", 1), JsonRows(), Window(1, lo, lo + count, lo, count))


def children() -> set[int]:
    """Decoding processes of this one."""
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


async def test_a_thread_and_a_process_decode_alike() -> None:
    thread, process = Decoder(0), Decoder(1)
    try:
        one, other = await thread.decode(rows(300)), await process.decode(rows(300))
        assert one == other
        assert (one.rows_read, len(one.indexes)) == (300, 300)
    finally:
        await thread.close()
        await process.close()
    assert children() == set()


async def test_an_error_in_a_process_is_the_error(tmp_path: Path) -> None:
    decoder = Decoder(1)
    task = DecodeTask(NdjsonReader(tmp_path / "gone"), JsonRows(), Window(1, 0, 10, 0, 1))
    try:
        with pytest.raises(SideLost, match="cannot be read any more") as caught:
            await decoder.decode(task)
        assert caught.value.side == "source"
        # The process is not lost by it.
        assert isinstance(await decoder.decode(rows(5)), Batch)
    finally:
        await decoder.close()


async def test_a_process_that_dies_is_told_and_replaced() -> None:
    decoder = Decoder(1)
    try:
        await decoder.decode(rows(5))
        (first,) = children()
        os.kill(first, signal.SIGKILL)
        with pytest.raises(DecoderLost):
            await decoder.decode(rows(5))
        assert len((await decoder.decode(rows(5))).indexes) == 5
        assert first not in children()
    finally:
        await decoder.close()


async def test_a_process_that_dies_at_work_is_told() -> None:
    decoder = Decoder(1)
    try:
        await decoder.decode(rows(5))
        (pid,) = children()
        os.kill(pid, signal.SIGSTOP)
        waiting = asyncio.ensure_future(decoder.decode(rows(5)))
        await asyncio.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(DecoderLost):
            await asyncio.wait_for(waiting, 10)
    finally:
        await decoder.close()


async def test_closing_does_not_wait_for_what_hangs() -> None:
    decoder = Decoder(1)
    await decoder.decode(rows(5))
    (pid,) = children()
    os.kill(pid, signal.SIGSTOP)
    waiting = asyncio.ensure_future(decoder.decode(rows(5)))
    await asyncio.sleep(0.01)
    await asyncio.wait_for(decoder.close(), 10)
    with pytest.raises(DecoderLost):
        await asyncio.wait_for(waiting, 10)
    assert not is_running(pid)


PARENT = """
import asyncio
from streamconsole.engines.migration.decoding import Decoder
from tests.unit.test_decoding import children, rows

async def main():
    decoder = Decoder(2)
    await asyncio.gather(decoder.decode(rows(400)), decoder.decode(rows(400, 400)))
    print(*children(), flush=True)
    # One is left idle, one at work that lasts longer than any test.
    await decoder.decode(rows(10**9))

if __name__ == "__main__":
    asyncio.run(main())
"""


async def test_a_killed_parent_leaves_no_children(tmp_path: Path) -> None:
    program = tmp_path / "parent.py"
    program.write_text(PARENT)
    root = str(Path(__file__).parents[2])
    parent = subprocess.Popen(
        [sys.executable, str(program)], stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": root}
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
