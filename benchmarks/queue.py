"""The queue: no-op jobs, adding, latency and a full table, each beside a bare sqlite3 loop."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from statistics import quantiles
from time import monotonic
from uuid import uuid4

from benchmarks.pairs import Result
from streamconsole.engines.queue import Job, Queue, Worker
from streamconsole.engines.workspace import Workspace

CONCURRENCY = 100


FILL = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
    "INSERT INTO jobs (queue, name, payload, state, priority, position, attempts_made, stalled, epoch, cancel, "
    "created_at, finished_at) SELECT 'bench', 'noop', '{\"a\":1}', 'completed', 0, i, 1, 0, 1, 0, i, i FROM n"
)
"""Finished jobs, as they lie in the table."""


async def noop(job: Job) -> None:
    return None


def measure(*, short: bool) -> list[Result]:
    """The queue's benchmarks."""
    count, many = (10_000, 100_000) if short else (30_000, 1_000_000)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        rates = [(asyncio.run(work(folder, count)), _bare_work(folder, count)) for _ in range(3 if short else 5)]
        adds = [(asyncio.run(_add_bulk(folder)), _bare_add(folder)) for _ in range(3 if short else 5)]
        singles = max(asyncio.run(_add(folder)) for _ in range(3))
        late = asyncio.run(_latency(folder, 50 if short else 200))
        small, large = asyncio.run(_filled(folder, 10_000, count)), asyncio.run(_filled(folder, many, count))
    ours = sorted(rate for rate, _ in rates)[len(rates) // 2]
    worked = sorted(rate / bare for rate, bare in rates)[len(rates) // 2]
    added = sorted(rate / bare for rate, bare in adds)[len(adds) // 2]
    return [
        Result(f"no-op jobs, concurrency {CONCURRENCY}", f"{ours:,.0f}/s", ours, 10_000),
        Result("beside a bare loop, batches of 100", f"{worked:.2f}×", worked, 0.2),
        Result("1,000 concurrent adds, durable", f"{singles:,.0f}/s", singles, 15_000),
        Result("add_bulk of 10,000 beside a bare insert", f"{added:.2f}×", added, 0.5),
        Result("add to start, idle, p99", f"{late:.1f} ms", late, 20, at_most=True),
        Result(f"with {many:,} jobs in the table", f"{large / small:.2f}× of 10,000", large / small, 0.7),
    ]


async def _fresh(folder: Path) -> Workspace:
    return await Workspace.open(f"{folder}/{uuid4().hex}/queue.db")


async def work(folder: Path, count: int) -> float:
    workspace = await _fresh(folder)
    try:
        return await _drained(workspace, count)
    finally:
        await workspace.close()


async def _drained(workspace: Workspace, count: int) -> float:
    await Queue(workspace, "bench").add_bulk([("noop", {"a": 1})] * count)
    began = monotonic()
    async with Worker(workspace, "bench", noop, concurrency=CONCURRENCY) as worker:
        await worker.until_empty()
        return count / (monotonic() - began)


async def _filled(folder: Path, before: int, count: int) -> float:
    """Jobs a second when so many finished ones are there."""
    workspace = await _fresh(folder)
    try:
        await Queue(workspace, "bench").add("noop")
        await workspace.write(lambda connection: connection.exec_driver_sql(FILL, (before,)))
        return await _drained(workspace, count)
    finally:
        await workspace.close()


async def _add(folder: Path) -> float:
    workspace = await _fresh(folder)
    try:
        queue = Queue(workspace, "bench")
        await queue.add("noop")
        began = monotonic()
        for _ in range(5):
            await asyncio.gather(*(queue.add("noop", {"a": 1}) for _ in range(1_000)))
        return 5_000 / (monotonic() - began)
    finally:
        await workspace.close()


async def _add_bulk(folder: Path) -> float:
    workspace = await _fresh(folder)
    try:
        queue = Queue(workspace, "bench")
        await queue.add("noop")
        began = monotonic()
        await queue.add_bulk([("noop", {"a": 1})] * 10_000)
        return 10_000 / (monotonic() - began)
    finally:
        await workspace.close()


async def _latency(folder: Path, count: int) -> float:
    workspace = await _fresh(folder)
    started, late = asyncio.Event(), []

    async def note(job: Job) -> None:
        started.set()

    try:
        queue = Queue(workspace, "bench")
        async with Worker(workspace, "bench", note):
            for _ in range(count):
                started.clear()
                began = monotonic()
                await queue.add("noop")
                await started.wait()
                late.append((monotonic() - began) * 1000)
                await asyncio.sleep(0.005)
        return quantiles(late, n=100)[98]
    finally:
        await workspace.close()


def _bare(folder: Path) -> sqlite3.Connection:
    for file in folder.glob("bare.db*"):
        file.unlink()
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE jobs (id INTEGER PRIMARY KEY, payload TEXT, state TEXT)")
    connection.execute("CREATE INDEX ready ON jobs (id) WHERE state = 'waiting'")
    return connection


def _bare_add(folder: Path) -> float:
    """The same rows into the same tables, by the driver alone, in one transaction."""
    place = folder / uuid4().hex / "queue.db"
    asyncio.run(_made(place))
    row = [None, "bench", None, "noop", '{"a":1}', None, "waiting", 0, 1, None, None, 0, 0, 0, None, 0, None, None]
    jobs = [(*row, None, 1, None, None)] * 10_000
    events = [(1, "bench", 1, "added", None)] * 10_000
    with closing(sqlite3.connect(place, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        began = monotonic()
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(f"INSERT INTO jobs VALUES ({', '.join('?' * 22)})", jobs)
        connection.executemany("INSERT INTO job_events (at, queue, job, name, data) VALUES (?, ?, ?, ?, ?)", events)
        connection.execute("COMMIT")
        return 10_000 / (monotonic() - began)


async def _made(place: Path) -> None:
    await (await Workspace.open(str(place))).close()


def _insert(connection: sqlite3.Connection, count: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("INSERT INTO jobs (payload, state) VALUES (?, 'waiting')", [('{"a":1}',)] * count)
    connection.execute("COMMIT")


def _bare_work(folder: Path, count: int) -> float:
    """Claims and completes in batches of 100."""
    claim = (
        "UPDATE jobs SET state = 'active' WHERE id IN "
        "(SELECT id FROM jobs WHERE state = 'waiting' ORDER BY id LIMIT 100) RETURNING id"
    )
    with closing(_bare(folder)) as connection:
        _insert(connection, count)
        began = monotonic()
        while True:
            connection.execute("BEGIN IMMEDIATE")
            taken = connection.execute(claim).fetchall()
            connection.execute("COMMIT")
            if not taken:
                return count / (monotonic() - began)
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("UPDATE jobs SET state = 'completed' WHERE id = ?", taken)
            connection.execute("COMMIT")
