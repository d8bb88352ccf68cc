"""A worker process that is killed: `python -m tests.crash.queue_program WORKSPACE`.

Effects of jobs named `fenced` are in the transaction that completes them; those of others are not.
"""

from __future__ import annotations

import asyncio
import random
import sys
from time import monotonic

from sqlalchemy import Connection

from streamconsole.engines.queue import Job, Worker
from streamconsole.engines.workspace import Workspace


def fenced(connection: Connection, job: Job) -> None:
    connection.exec_driver_sql("INSERT INTO effects VALUES (?, 'fenced')", (job.payload,))
    job.complete(connection, "done")


def plain(connection: Connection, job: Job) -> None:
    connection.exec_driver_sql("INSERT INTO effects VALUES (?, 'plain')", (job.payload,))


async def main(url: str) -> None:
    workspace = await Workspace.open(url)
    longest = 0.0

    async def process(job: Job) -> None:
        nonlocal longest
        await asyncio.sleep(random.random() * 0.02)
        began = monotonic()
        await workspace.write(fenced if job.name == "fenced" else plain, job)
        longest = max(longest, monotonic() - began)

    async with Worker(workspace, "mail", process, concurrency=10) as worker:
        await worker.until_empty()
    await workspace.close()
    print(f"longest write {longest:.3f}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
