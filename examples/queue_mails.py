"""A queue and its worker: simple, delayed and retried jobs, listeners, a graceful end.

python -m examples.queue_mails mails.workspace
"""

from __future__ import annotations

import asyncio
import sys

from streamconsole.engines.queue import Job, Queue, Worker
from streamconsole.engines.workspace import Workspace


async def send(job: Job) -> str:
    job.add_log(f"to {job.payload['to']}")
    if job.name == "flaky" and job.attempts_made == 0:
        raise ConnectionError("no answer")
    job.update_progress(100)
    return f"sent to {job.payload['to']}"


async def main(workspace_url: str) -> None:
    workspace = await Workspace.open(workspace_url)
    queue = Queue(workspace, "mails")
    await queue.add("simple", {"to": "ann"})
    await queue.add("delayed", {"to": "bob"}, delay=200)
    await queue.add("flaky", {"to": "cy"}, attempts=3, backoff={"type": "exponential", "delay": 300})
    worker = Worker(workspace, "mails", send, concurrency=5)
    worker.on("worker.job.processed", lambda job, result: print(result))
    worker.on("worker.job.errored", lambda job, failure: print(f"{job.name}: {failure}" if job else failure))
    async with worker:
        await worker.until_empty()
    print({str(state): count for state, count in (await queue.counts()).items() if count})
    await workspace.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
