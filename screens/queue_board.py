"""All queues of the workspace, as of the last look: read again when something has changed, at a beat of its own.

Jobs may end by the thousand a second: nobody is told of each. What workers here have done is a number that is
looked at, what others do is told by the workspace.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from time import monotonic

from sqlalchemy.exc import SQLAlchemyError

from streamconsole.engines.errors import StreamConsoleError
from streamconsole.engines.queue import Worker
from streamconsole.engines.queue.hub import hub_of
from streamconsole.engines.workspace import Workspace
from streamconsole.screens.queue_loading import QueueView, load

LOOK_SECONDS = 0.5
"""Least time between two looks."""

LOOK_FOR_DEAD_SECONDS = 2.0
"""A process that dies changes nothing in the workspace: it must be looked for."""


class QueueBoard:
    """The queues, and the workers of this process.

    Args:
        workspace: where they are.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.queues: Mapping[str, QueueView] = {}
        self.workers: Sequence[Worker] = ()
        self.trouble: str | None = None
        self.version = 0
        """Grows whenever something may have changed in any queue, also in what is not shown of it here."""
        self._workspace = workspace
        self._changed = True
        self._tally: tuple[int, ...] = ()
        self._rest_until = 0.0
        self._looking: asyncio.Task[None] | None = None
        self._news = False
        hub_of(workspace).listen(self._noticed)

    def close(self) -> None:
        """Look no longer."""
        hub_of(self._workspace).unlisten(self._noticed)

    def tick(self) -> bool:
        """Look again where that is due; whether the last look brought something new."""
        tally = self._tally_now()
        if tally != self._tally:
            self._tally, self._changed = tally, True
        now = monotonic()
        if (self._looking is None or self._looking.done()) and now >= self._rest_until + self._wait():
            self._looking = asyncio.create_task(self._look_quietly())
        news, self._news = self._news, False
        return news

    async def look(self) -> None:
        """Read all queues."""
        begun, self._changed = monotonic(), False
        self._rest_until = begun + LOOK_SECONDS
        self.version += 1
        found = await self._workspace.read(load, self._workspace.locks)
        self._news = True
        self.queues = found
        self.trouble = None
        # Reading takes a fifth of the time at most, however many queues there are.
        self._rest_until = max(self._rest_until, begun + 5 * (monotonic() - begun))

    def workers_of(self, queue: str) -> list[Worker]:
        """This process's workers on a queue."""
        return [worker for worker in self.workers if worker.queue == queue]

    def _wait(self) -> float:
        """Seconds to wait after the rest; for ever, when there is nothing to look for."""
        if self._changed:
            return 0.0
        others = any(not each.here for view in self.queues.values() for each in view.at_work)
        return LOOK_FOR_DEAD_SECONDS if others else float("inf")

    async def _look_quietly(self) -> None:
        try:
            await self.look()
        except (StreamConsoleError, SQLAlchemyError, OSError) as error:
            self.trouble = f"the workspace cannot be read now: {error}"
            self._changed = True

    def _tally_now(self) -> tuple[int, ...]:
        return tuple(number for worker in self.workers for number in _numbers(worker))

    def _noticed(self, _: str | None) -> None:
        self._changed = True


def _numbers(worker: Worker) -> tuple[int, ...]:
    """What tells that something has happened at a worker."""
    return worker.done, worker.failed, worker.returned, len(worker.active), worker.concurrency, int(worker.paused)
