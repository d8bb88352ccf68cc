"""The queue beside other job queues, in turn: jobs that do nothing, from the first claim to the last end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import queue_postgresql
from benchmarks.pairs import Result, pairs, ratio
from benchmarks.peers import queues
from benchmarks.queue import work
from tests import postgresql


def measure(*, short: bool) -> list[Result]:
    """Each peer that can be had here."""
    count, runs = (3_000, 2) if short else (20_000, 5)
    results = [_beside("BullMQ on Redis, appendonly everysec, 100 at once", runs, count, queues.bullmq, 3)]
    results.append(_beside("huey on SQLite", runs, count, queues.huey, 8))
    if postgresql.program("initdb") is not None:
        with postgresql.running() as server:
            taken = pairs(runs, lambda: queue_postgresql.ours(server, count), lambda: _pgqueuer(server, count))
        results.append(ratio(f"{count:,} no-op jobs on PostgreSQL beside pgqueuer, 100 at once", taken, 2))
    return results


def _beside(name: str, runs: int, count: int, peer: Callable[[int], float | None], bar: float) -> Result:
    """On a file of SQLite, durable at every commit."""
    if peer(count) is None:
        return Result(name, "not measured: what it needs is not installed", 0)

    def theirs() -> float:
        rate = peer(count)
        assert rate is not None
        return count / rate

    return ratio(f"{count:,} no-op jobs beside {name}", pairs(runs, lambda: _ours(count), theirs), bar)


def _ours(count: int) -> float:
    with TemporaryDirectory() as made:
        return count / asyncio.run(work(Path(made), count))


def _pgqueuer(server: str, count: int) -> float:
    with postgresql.database(server) as url:
        return count / queues.pgqueuer(count, url)
