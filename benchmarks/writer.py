"""The workspace's writer: durable single operations from many callers, beside one commit each."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path
from time import monotonic

from sqlalchemy import Connection

from benchmarks.pairs import Result
from streamconsole.engines.workspace import Workspace
from streamconsole.engines.workspace.writer import Bulk

CALLERS = 200
PROCESSES = 4


def measure(*, short: bool) -> list[Result]:
    """The writer's benchmarks."""
    count = 5_000 if short else 50_000
    with tempfile.TemporaryDirectory() as folder:
        single, bulk = asyncio.run(_writers(Path(folder), count))
        alone = _one_commit_each(Path(folder), count // 50)
        wait = _longest_wait(Path(folder) / "shared.db", 2.0 if short else 6.0)
    return [
        Result(f"durable single operations, {CALLERS} callers", f"{single:,.0f}/s", single, 10_000),
        Result("the same as a bulk kind", f"{bulk:,.0f}/s", bulk, 10_000),
        Result("bare sqlite3, one durable commit each", f"{alone:,.0f}/s", alone),
        Result(f"longest wait of a write, {PROCESSES} processes on one file", f"{wait:.2f} s", wait, 1, at_most=True),
    ]


async def _writers(folder: Path, count: int) -> tuple[float, float]:
    workspace = await Workspace.open(str(folder / "workspace.db"))
    await workspace.write(
        lambda connection: connection.exec_driver_sql("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)")
    )
    kind = Bulk("insert", _insert_many)
    try:
        single = await _rate(lambda: workspace.write(_insert, "a value"), count)
        return single, await _rate(lambda: workspace.write_bulk(kind, "a value"), count)
    finally:
        await workspace.close()


async def _rate(operation: Callable[[], Awaitable[None]], count: int) -> float:
    left = count

    async def caller() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await operation()

    began = monotonic()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return count / (monotonic() - began)


def _insert(connection: Connection, value: str) -> None:
    connection.exec_driver_sql("INSERT INTO t (b) VALUES (?)", (value,))


def _insert_many(connection: Connection, values: Sequence[str]) -> None:
    connection.exec_driver_sql("INSERT INTO t (b) VALUES (?)", [(value,) for value in values])


def _one_commit_each(folder: Path, count: int) -> float:
    with closing(sqlite3.connect(folder / "alone.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)")
        began = monotonic()
        for _ in range(count):
            connection.execute("INSERT INTO t (b) VALUES (?)", ("a value",))
        return count / (monotonic() - began)


def _longest_wait(path: Path, seconds: float) -> float:
    """Of all that several processes write at once, as fast as they can."""
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        return max(pool.map(_write_for, [path] * PROCESSES, [seconds] * PROCESSES))


def _write_for(path: Path, seconds: float) -> float:
    return asyncio.run(_writing(path, seconds))


async def _writing(path: Path, seconds: float) -> float:
    workspace = await Workspace.open(str(path))
    longest, until = 0.0, monotonic() + seconds

    async def caller() -> None:
        nonlocal longest
        while (began := monotonic()) < until:
            await workspace.write(_insert, "a value")
            longest = max(longest, monotonic() - began)

    try:
        await workspace.write(
            lambda connection: connection.exec_driver_sql(
                "CREATE TABLE IF NOT EXISTS t (a INTEGER PRIMARY KEY, b TEXT)"
            )
        )
        await asyncio.gather(*(caller() for _ in range(20)))
        return longest
    finally:
        await workspace.close()
