"""pgqueuer: so many jobs that do nothing, dequeued 100 at a time. Prints jobs a second."""

from __future__ import annotations

import asyncio
import sys
from time import monotonic

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.models import Job
from pgqueuer.queries import Queries
from pgqueuer.types import QueueExecutionMode


async def main(count: int, url: str) -> float:
    connection = await asyncpg.connect(url)
    queries = Queries.from_asyncpg_connection(connection)
    await queries.install()
    for at in range(0, count, 1000):
        size = min(1000, count - at)
        await queries.enqueue(["noop"] * size, [b'{"a":1}'] * size, [0] * size)
    queuer = PgQueuer.from_asyncpg_connection(connection)

    @queuer.entrypoint("noop")
    async def noop(job: Job) -> None:
        return None

    began = monotonic()
    await queuer.run(batch_size=100, mode=QueueExecutionMode.drain)
    return count / (monotonic() - began)


sys.stdout.write(f"{asyncio.run(main(int(sys.argv[1]), sys.argv[2]))}\n")
