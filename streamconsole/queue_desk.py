"""The queues of a runbook in the console: their workers, from its opening to the drain at its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING

from streamconsole.engines.errors import StreamConsoleError
from streamconsole.engines.queue import Job, Queue, Worker, WorkerEvent
from streamconsole.engines.workspace import Workspace
from streamconsole.queue_work import SAY_AGAIN, QueueSummary
from streamconsole.sending import Tell
from streamconsole.wording import counted

if TYPE_CHECKING:
    from streamconsole.queue_book import NamedQueue


class QueueDesk:
    """Workers of this process, and what they leave behind.

    Args:
        workspace: where the queues are.
        queues: those to work on.
        tell: tells the operator something.
        failed: is given what stopped a worker by itself: an error of this program.
    """

    def __init__(
        self, workspace: Workspace, queues: Sequence[NamedQueue], tell: Tell, failed: Callable[[Exception], None]
    ) -> None:
        self.workers: list[Worker] = []
        self.left_behind = 0
        self._workspace = workspace
        self._queues = tuple(queues)
        self._tell = tell
        self._failed = failed
        self._began = monotonic()
        self._said: dict[str, float] = {}
        self._watching: list[asyncio.Task[None]] = []
        self._returned: dict[Worker, int] = {}
        self._finishing: asyncio.Task[None] | None = None

    @property
    def at_work(self) -> bool:
        """Whether workers may still take or do jobs."""
        return len(self._returned) < len(self.workers)

    async def start(self) -> None:
        """Set the queues up as the runbook says, and begin to take jobs; what cannot begin is told."""
        # The runbook's part of the queues is loaded only where there is one.
        from streamconsole.queue_book import set_up

        for each in self._queues:
            try:
                await set_up(self._workspace, (each,))
                worker = self._worker(each)
                await worker.start()
            except StreamConsoleError as error:
                self._tell(f"queue {each.name} is not worked on: {error}", bad=True)
                continue
            self.workers.append(worker)
            watching = asyncio.create_task(worker.wait())
            watching.add_done_callback(self._stopped)
            self._watching.append(watching)

    async def close(self, within: float) -> None:
        """Take no more jobs, give active ones so many seconds, hand back what is left."""
        await asyncio.gather(*(self._close(worker, within) for worker in self.workers))

    def finish_soon(self) -> None:
        """Nobody looks any more: go on until the queues are empty, then close."""
        if self._finishing is None and self.at_work:
            self._finishing = asyncio.create_task(self._finish())

    def left(self) -> list[str]:
        """What still has to finish, a line a queue."""
        return [
            f"queue {worker.queue}: {counted(len(worker.active), 'job')} to finish"
            if worker.active
            else f"queue {worker.queue}: saving"
            for worker in self.workers
            if worker not in self._returned
        ]

    async def summaries(self) -> list[QueueSummary]:
        """What this process did with each queue it worked on."""
        return [
            QueueSummary(
                worker.queue,
                worker.done,
                worker.failed,
                self._returned.get(worker, 0),
                monotonic() - self._began,
                await Queue(self._workspace, worker.queue).counts(),
            )
            for worker in self.workers
        ]

    def _worker(self, each: NamedQueue) -> Worker:
        # Without the bus: an event for each job would keep the loop from the screen, and nobody reads them.
        worker = Worker(
            self._workspace, each.name, each.processor, concurrency=each.concurrency, processes=each.processes
        )
        worker.on(WorkerEvent.ERROR, self._troubled)
        return worker

    async def _close(self, worker: Worker, within: float) -> None:
        if worker in self._returned:
            return
        try:
            returned = await worker.close(within)
        except Exception as error:
            # It had stopped by itself: an error of this program.
            self._failed(error)
            returned = 0
        self._returned[worker] = returned
        self.left_behind += worker.left_behind
        if returned:
            self._tell(f"queue {worker.queue}: {counted(returned, 'job')} handed back")

    async def _finish(self) -> None:
        await asyncio.gather(*(self._until_done(worker) for worker in self.workers))
        await self.close(0)

    async def _until_done(self, worker: Worker) -> None:
        """Until its queue is empty, or rests and nobody is there to resume it."""
        emptied = asyncio.ensure_future(worker.until_empty())
        queue = Queue(self._workspace, worker.queue)
        while not emptied.done():
            await asyncio.wait({emptied}, timeout=1.0)
            if not worker.active and (worker.paused or await queue.is_paused()):
                emptied.cancel()
                return

    def _stopped(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._failed(error)

    def _troubled(self, job: Job | None, what: str) -> None:
        now = monotonic()
        if now - self._said.get(what, -SAY_AGAIN) >= SAY_AGAIN:
            self._said[what] = now
            self._tell(f"job {job.id} of queue {job.queue}: {what}" if job else what, bad=True)
