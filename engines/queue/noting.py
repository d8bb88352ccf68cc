"""What jobs in hand say of themselves, written down at most ten times a second for all of them together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container

from streamconsole.engines.errors import StreamConsoleError
from streamconsole.engines.queue import journal, notes
from streamconsole.engines.queue.job import Job
from streamconsole.engines.queue.states import Happened
from streamconsole.engines.queue.telling import Teller
from streamconsole.engines.workspace import Workspace
from streamconsole.engines.workspace.clock import now_ms

COALESCE = 0.1
"""Seconds between two writes of progress and log lines."""


class Noting:
    """Gathers progress and log lines. Made in the event loop.

    Args:
        workspace: where they are written.
        queue: whose jobs these are.
        in_hand: numbers of jobs still worked on: what others said is written with their end.
        written: called after each write.
        teller: told of it.
    """

    def __init__(
        self, workspace: Workspace, queue: str, in_hand: Container[int], written: Callable[[str], None], teller: Teller
    ) -> None:
        self._workspace = workspace
        self._queue = queue
        self._in_hand = in_hand
        self._written = written
        self._teller = teller
        self._loop = asyncio.get_running_loop()
        self._say = asyncio.Event()
        self._noisy: set[Job] = set()

    def noted(self, job: Job) -> None:
        """A job has something to be written down. From any thread."""
        self._noisy.add(job)
        self._loop.call_soon_threadsafe(self._say.set)

    def happened(self, name: Happened, numbers: list[int], data: str) -> None:
        """Something happened to jobs in hand that changes nothing about them."""
        writing = asyncio.ensure_future(
            self._workspace.write(journal.append, now_ms(), self._queue, name, numbers, data)
        )
        writing.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def write(self) -> None:
        """Write what is said, until cancelled."""
        while True:
            await self._say.wait()
            self._say.clear()
            noisy, self._noisy = self._noisy, set()
            noted = [said for job in noisy if job.row.seq in self._in_hand and (said := job.take_noted()) is not None]
            if noted:
                try:
                    await self._workspace.write(notes.write, self._queue, noted)
                    self._teller.progressed(list(noisy))
                    self._written(self._queue)
                except StreamConsoleError as error:
                    self._teller.troubled(f"progress of {len(noted)} jobs is not kept: {error}")
            await asyncio.sleep(COALESCE)
