"""Working on queues without a screen: until they are empty, or until a signal."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from time import monotonic
from typing import Any

from streamconsole import exit_codes
from streamconsole.engines.bus import Bus
from streamconsole.engines.errors import StreamConsoleError
from streamconsole.engines.queue import Job, JobState, Queue, Worker, WorkerEvent
from streamconsole.engines.states import EngineKind
from streamconsole.engines.workspace import Workspace
from streamconsole.wording import counted

SAY_AGAIN = 30.0
"""Seconds between two complaints of the same kind."""

PATIENCE = 30.0
"""Seconds for which a lost workspace is tried again: a server that is started anew is back by then."""


@dataclass(frozen=True, slots=True)
class QueueWork:
    """A queue to be worked on.

    Args:
        name: the queue's.
        processor: `module:function` or `exec:COMMAND`.
        concurrency: jobs at once.
        processes: each call in a process of its own, which can be killed.
    """

    name: str
    processor: str
    concurrency: int = 1
    processes: bool = False


@dataclass(frozen=True, slots=True)
class QueueSummary:
    """What this process did with one queue.

    Args:
        counts: jobs by state when it ended.
        returned: jobs handed back because they were not done in time.
        error: what stopped it.
    """

    name: str
    completed: int
    failed: int
    returned: int
    seconds: float
    counts: dict[JobState, int]
    error: StreamConsoleError | None = None

    def exit_code(self) -> int:
        """What this queue alone would make the program exit with."""
        if self.error is not None:
            return exit_codes.FAILURE
        return exit_codes.UNITS_FAILED if self.failed else exit_codes.DONE

    def as_json(self) -> dict[str, Any]:
        """The queue's entry in the summary line."""
        words = {exit_codes.DONE: "completed", exit_codes.FAILURE: "failure"}
        return {
            "run": self.name,
            "engine": str(EngineKind.QUEUE),
            "name": self.name,
            "status": words.get(self.exit_code(), "incomplete"),
            "units": {"completed": self.completed, "failed": self.failed, "handed_back": self.returned},
            "counts": {str(state): count for state, count in self.counts.items()},
            "seconds": round(self.seconds, 3),
        }

    def sentence(self) -> str:
        """One line for the operator."""
        parts = [f"queue {self.name}: {counted(self.completed, 'job')} completed"]
        if self.failed:
            parts.append(f"{self.failed:,} failed (`streamconsole queue list {self.name} --state failed`)")
        if self.returned:
            parts.append(f"{self.returned:,} handed back")
        left = sum(count for state, count in self.counts.items() if state not in (JobState.COMPLETED, JobState.FAILED))
        if left:
            parts.append(f"{left:,} left")
        line = f"{', '.join(parts)}, {self.seconds:,.1f} s"
        if self.error is not None:
            line += (
                f"; stopped by a failure: {self.error}: jobs it had in hand are given to another worker; "
                f"when the workspace is back, `streamconsole queue work {self.name} …` goes on"
            )
        return line


class QueueWorkers:
    """Workers on some queues, stopped by signals.

    Args:
        workspace: where the queues are.
        bus: is told what happens.
        say: tells the operator something.
        within: seconds that active jobs get when the program is told to end.
        on_hangup: what a lost terminal does: `continue` or `drain`.
        patience: seconds for which a lost workspace is tried again.
    """

    def __init__(
        self,
        workspace: Workspace,
        bus: Bus,
        say: Callable[[str], None],
        *,
        within: float,
        on_hangup: str,
        patience: float = PATIENCE,
    ) -> None:
        self.signal: int | None = None
        self.left_behind = 0
        self._workspace = workspace
        self._bus = bus
        self._say = say
        self._within = within
        self._on_hangup = on_hangup
        self._patience = patience
        self._stop = asyncio.Event()
        self._said: dict[str, float] = {}

    async def work(self, todo: Sequence[QueueWork], *, until_empty: bool) -> list[QueueSummary]:
        """Work on queues; gives what became of each.

        Raises:
            Refused: a processor cannot be found, or the workspace cannot be written.
        """
        workers = [self._worker(each) for each in todo]
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in signals:
            loop.add_signal_handler(number, self._received, number)
        try:
            return list(await asyncio.gather(*(self._one(worker, until_empty) for worker in workers)))
        finally:
            for number in signals:
                loop.remove_signal_handler(number)

    def _worker(self, each: QueueWork) -> Worker:
        worker = Worker(
            self._workspace,
            each.name,
            each.processor,
            concurrency=each.concurrency,
            bus=self._bus,
            processes=each.processes,
            patience=self._patience,
        )
        worker.on(WorkerEvent.ERROR, self._troubled)
        worker.on(WorkerEvent.ERRORED, self._errored)
        return worker

    async def _one(self, worker: Worker, until_empty: bool) -> QueueSummary:
        began, returned = monotonic(), 0
        queue = Queue(self._workspace, worker.queue)
        async with AsyncExitStack() as stack:
            await worker.start()
            stack.push_async_callback(worker.close, self._within)
            if until_empty and await queue.is_paused():
                self._say(f"queue {worker.queue} is paused: `streamconsole queue resume {worker.queue}` lets it go on")
            ending = asyncio.ensure_future(worker.until_empty() if until_empty else worker.wait())
            stopping = asyncio.ensure_future(self._stop.wait())
            await asyncio.wait({ending, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            returned = await worker.close(self._within)
            if ending.done():
                # What stopped the worker by itself is an error of this program: it is not hidden.
                ending.result()
            else:
                ending.cancel()
        self.left_behind += worker.left_behind
        error = worker.lost
        try:
            counts = await queue.counts()
        except StreamConsoleError as lost:
            counts, error = {}, error or lost
        return QueueSummary(worker.queue, worker.done, worker.failed, returned, monotonic() - began, counts, error)

    def _received(self, number: int) -> None:
        if number == signal.SIGHUP and self._on_hangup == "continue":
            return
        if self.signal is not None:
            # Jobs in hand are taken from a dead worker and given to another: nothing is lost.
            os._exit(128 + number)
        self.signal = number
        self._say("stopping: active jobs finish, others are handed back; once more to stop at once")
        self._stop.set()

    def _troubled(self, job: Job | None, what: str) -> None:
        now = monotonic()
        if now - self._said.get(what, -SAY_AGAIN) >= SAY_AGAIN:
            self._said[what] = now
            self._say(f"job {job.id} of queue {job.queue}: {what}" if job else what)

    def _errored(self, job: Job | None, failure: str) -> None:
        if job is not None:
            again = job.attempts_made + 1 < job.options.attempts
            self._say(f"job {job.id} of queue {job.queue} failed{' (is tried again)' if again else ''}: {failure}")
