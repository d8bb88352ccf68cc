"""The queue on PostgreSQL, beside a bare loop that claims and completes fifty jobs at a time."""

from __future__ import annotations

import asyncio
from contextlib import closing
from time import monotonic

import psycopg

from benchmarks.pairs import Result, pairs, ratio
from benchmarks.queue import CONCURRENCY, noop
from streamconsole.engines.queue import Queue, Worker
from streamconsole.engines.workspace import Workspace
from tests import postgresql

BATCH = 50

CLAIM = (
    "UPDATE bare SET state = 'active' WHERE id IN (SELECT id FROM bare WHERE state = 'waiting' ORDER BY id "
    f"LIMIT {BATCH} FOR UPDATE SKIP LOCKED) RETURNING id"
)


def measure(*, short: bool) -> list[Result]:
    """Jobs that do nothing; nothing where there is no server."""
    if postgresql.program("initdb") is None:
        return [Result("the queue on PostgreSQL", "not measured: it is not installed (`make services`)", 0)]
    count, runs = (5_000, 3) if short else (20_000, 5)
    with postgresql.running() as server:
        ratios = pairs(runs, lambda: ours(server, count), lambda: _bare(server, count))
    return [ratio(f"{count:,} no-op jobs on PostgreSQL beside a bare loop of {BATCH} at a time", ratios, 0.7)]


def ours(server: str, count: int) -> float:
    """Seconds that so many take, on a workspace of their own."""
    with postgresql.database(server) as url:
        return asyncio.run(_drained(url, count))


async def _drained(url: str, count: int) -> float:
    workspace = await Workspace.open(url)
    try:
        await Queue(workspace, "bench").add_bulk([("noop", {"a": 1})] * count)
        began = monotonic()
        async with Worker(workspace, "bench", noop, concurrency=CONCURRENCY) as worker:
            await worker.until_empty()
            return monotonic() - began
    finally:
        await workspace.close()


def _bare(server: str, count: int) -> float:
    with postgresql.database(server) as url, closing(psycopg.connect(url, autocommit=True)) as connection:
        connection.execute("CREATE TABLE bare (id bigserial PRIMARY KEY, payload text, state text)")
        connection.execute("CREATE INDEX ready ON bare (id) WHERE state = 'waiting'")
        connection.execute(
            "INSERT INTO bare (payload, state) SELECT '{\"a\":1}', 'waiting' FROM generate_series(1, %s)", (count,)
        )
        began = monotonic()
        while numbers := [row[0] for row in connection.execute(CLAIM.encode()).fetchall()]:
            connection.execute("UPDATE bare SET state = 'completed' WHERE id = ANY(%s)", (numbers,))
        return monotonic() - began
