"""The worker: takes jobs of one queue, runs them, writes down how they end."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from time import monotonic, time
from typing import Any

import orjson

from streamconsole.engines.bus import Bus
from streamconsole.engines.errors import StreamConsoleError
from streamconsole.engines.queue import attempts, journal, registry
from streamconsole.engines.queue.attempts import BackoffStrategy
from streamconsole.engines.queue.claiming import Claimed
from streamconsole.engines.queue.finishing import End, Outcome
from streamconsole.engines.queue.hub import hub_of
from streamconsole.engines.queue.job import Job
from streamconsole.engines.queue.listeners import Listener, Listeners, WorkerEvent
from streamconsole.engines.queue.noting import COALESCE, Noting
from streamconsole.engines.queue.processors.resolve import processor_of
from streamconsole.engines.queue.rows import JobRow
from streamconsole.engines.queue.states import Happened
from streamconsole.engines.queue.telling import Teller
from streamconsole.engines.queue.turns import has_ended, is_empty, turn
from streamconsole.engines.queue.upkeep import keep_up
from streamconsole.engines.queue.watchdog import Watchdog
from streamconsole.engines.queue.watching import cancelled_of
from streamconsole.engines.workspace import Workspace
from streamconsole.engines.workspace.clock import now_ms

LOOK_AGAIN = 5.0
"""Seconds between two looks when nothing was noticed: a clock that was set must not hide a job for longer."""

TRY_AGAIN = 1.0
"""Seconds before a lost workspace is tried again."""

LAST_TRIES = 5.0
"""Seconds for which a worker that is closed tries to write down what has ended."""

BLOCKED = 2.0
"""Seconds for which a processor may hold up the event loop unsaid."""


class Worker:
    """Works on a queue. Use as an async context manager, or call `start` and `close`.

    Args:
        workspace: where the queue is.
        queue: its name.
        processor: a coroutine function, a plain function (called in a thread), `module:function` (called in
            processes), `exec:COMMAND` or a list of words (a program). It is given the job; what it returns
            is the job's result.
        concurrency: jobs at once.
        bus: is told what happens.
        backoffs: strategies that jobs name in their options.
        start_paused: take nothing before `resume`.
        processes: False to import `module:function` into this process.
        keep_events: rows of the queues' event log that stay.
        patience: seconds for which a lost workspace is tried again before the worker ends, with `lost` set; None:
            for ever. Jobs in hand are then given to another worker, as those of one that died.

    Raises:
        Refused: the processor cannot be found.
    """

    def __init__(
        self,
        workspace: Workspace,
        queue: str,
        processor: Any,
        *,
        concurrency: int = 1,
        bus: Bus | None = None,
        backoffs: Mapping[str, BackoffStrategy] | None = None,
        start_paused: bool = False,
        processes: bool = True,
        keep_events: int = journal.KEEP,
        patience: float | None = None,
    ) -> None:
        self.queue = registry.name_of(queue)
        self.concurrency = max(1, concurrency)
        self.paused = start_paused
        self.left_behind = 0
        self.done = 0
        self.failed = 0
        self.returned = 0
        self.lost: StreamConsoleError | None = None
        self.name = f"{socket.gethostname()} pid {os.getpid()}"
        self._workspace = workspace
        self._processor = processor_of(
            processor, concurrency=self.concurrency, workspace=workspace.url, processes=processes
        )
        self._function: attempts.Processor = getattr(self._processor, "function", self._processor)
        self._backoffs = backoffs or {}
        self._keep_events = keep_events
        self._patience = patience
        self._lost_at: float | None = None
        self._hub = hub_of(workspace)
        self._listeners = Listeners()
        self._teller = Teller(bus, self._listeners, self.queue)
        self._pid = os.getpid()
        self._node = ""
        self._running: dict[int, tuple[Job, asyncio.Task[None]]] = {}
        self._outcomes: list[tuple[Job, Outcome]] = []
        self._closing = False
        self._drained = True
        self._look = True
        self._stack = AsyncExitStack()
        self._main: asyncio.Task[None] | None = None

    # From outside --------------------------------------------------------------------------------

    async def __aenter__(self) -> Worker:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def on(self, event: WorkerEvent | str, listener: Listener) -> None:
        """Call a function with (job, value) whenever that happens, in the loop's thread."""
        self._listeners.add(WorkerEvent(event), listener)

    @property
    def active(self) -> list[Job]:
        """Jobs in hand."""
        return [job for job, _ in self._running.values()]

    async def start(self) -> None:
        """Begin to take jobs.

        Raises:
            Refused: the workspace cannot be written.
        """
        self._loop = asyncio.get_running_loop()
        self._wake, self._idle = asyncio.Event(), asyncio.Event()
        self._noting = Noting(self._workspace, self.queue, self._running, self._hub.changed, self._teller)
        self._changed = asyncio.Event()
        self._node = (await self._stack.enter_async_context(self._hub.present())).node.id
        self._hub.listen(self._noticed)
        self._watchdog = Watchdog(BLOCKED, self._blocked)
        self._main = asyncio.create_task(self._work(), name=f"worker-{self.queue}")

    def pause(self) -> None:
        """Take no more jobs; active ones end. Only this worker: `Queue.pause` is for all."""
        self.paused = True
        self._listeners.tell(WorkerEvent.PAUSED)

    def resume(self) -> None:
        """Take jobs again."""
        self.paused, self._look = False, True
        self._wake.set()
        self._listeners.tell(WorkerEvent.RESUMED)

    def set_concurrency(self, concurrency: int) -> None:
        """Work on so many jobs at once from now on."""
        self.concurrency, self._look = max(1, concurrency), True
        self._wake.set()

    async def until_empty(self) -> None:
        """Wait until nothing of the queue waits, is delayed or active (at any worker)."""
        while True:
            self._idle.clear()
            failed = self._main is None or self._main.done()
            if failed:
                await self.wait()
                return
            with suppress(StreamConsoleError):
                if not self._running and not self._outcomes and await self._workspace.read(is_empty, self.queue):
                    return
            with suppress(TimeoutError):
                async with asyncio.timeout(0.25):
                    await self._idle.wait()

    async def wait(self) -> None:
        """Wait until the worker has been closed; raises what stopped it, if it was an error of this program."""
        if self._main is not None:
            await asyncio.shield(self._main)

    async def close(self, within: float = 30.0) -> int:
        """Take no more; give active jobs so many seconds, hand back what is left without counting an attempt.

        Gives how many were handed back.
        """
        if self._main is None:
            return 0
        if not self._closing:
            self._listeners.tell(WorkerEvent.CLOSING)
        self._closing = True
        self._wake.set()
        if self._running and not self._main.done():
            await asyncio.wait([task for _, task in self._running.values()], timeout=within)
        await self._let_go()
        try:
            await self._main
        finally:
            self._main = None
            await self._leave()
        return self.returned

    # The main loop -------------------------------------------------------------------------------

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as helpers:
            others = [
                helpers.create_task(self._noting.write()),
                helpers.create_task(self._watch_cancelled()),
                helpers.create_task(
                    keep_up(self._workspace, self._node, self._recovered, self._teller.troubled, self._keep_events)
                ),
            ]
            while self.lost is None and not (self._closing and not self._running and not self._outcomes):
                taken, self._outcomes = self._outcomes, []
                want = self._want()
                if taken or (want and self._look):
                    await self._turn(taken, want)
                else:
                    await self._sleep()
            for other in others:
                other.cancel()

    def _want(self) -> int:
        return 0 if self.paused or self._closing else max(0, self.concurrency - len(self._running))

    async def _turn(self, ended: list[tuple[Job, Outcome]], want: int) -> None:
        """Write how jobs ended and take the next ones, in one commit."""
        self._look = False
        outcomes = [outcome for _, outcome in ended]
        try:
            stale, claimed = await self._workspace.write(turn, self.queue, self._node, self.name, outcomes, want)
        except StreamConsoleError as error:
            # Nothing was written: what has ended waits for the workspace to be back.
            self._outcomes = [*ended, *self._outcomes]
            self._teller.troubled(str(error))
            if self._gives_up():
                self.lost = error
                return
            await asyncio.sleep(TRY_AGAIN)
            self._look = True
            return
        self._lost_at = None
        self._told(ended, stale)
        for row in claimed.jobs:
            self._begin(row)
        self._plan(claimed, want)

    def _gives_up(self) -> bool:
        """Whether the workspace has been lost for too long."""
        if self._lost_at is None:
            self._lost_at = monotonic()
        limits = [limit for limit in (self._patience, LAST_TRIES if self._closing else None) if limit is not None]
        return bool(limits) and monotonic() - self._lost_at >= min(limits)

    def _plan(self, claimed: Claimed, want: int) -> None:
        """When to look again, if nobody wakes us."""
        if not want:
            self._look = True
            return
        if not claimed.dry and claimed.look_at is None:
            self._look = True
        elif claimed.look_at is not None:
            self._loop.call_later(max(0.0, claimed.look_at / 1000 - time()) + 0.001, self._noticed, None)
        if claimed.jobs:
            self._drained = False
        elif not self._running and not self._drained and not claimed.paused:
            self._drained = True
            self._teller.drained()
        if not claimed.jobs and not self._running:
            self._idle.set()

    async def _sleep(self) -> None:
        timer = self._loop.call_later(LOOK_AGAIN, self._noticed, None)
        await self._wake.wait()
        timer.cancel()
        self._wake.clear()

    def _recovered(self, lost: list[JobRow]) -> None:
        """Jobs of a dead worker wait again."""
        self._teller.stalled(lost)
        for queue in {row.queue for row in lost}:
            self._hub.changed(queue)

    def _noticed(self, queue: str | None) -> None:
        if queue is None or queue == self.queue:
            self._look = True
            self._wake.set()
            self._changed.set()

    # One job -------------------------------------------------------------------------------------

    def _begin(self, row: JobRow) -> None:
        job = Job(row, self)
        self._running[row.seq] = (job, asyncio.create_task(self._attempt(job)))
        self._teller.active(job)

    async def _attempt(self, job: Job) -> None:
        try:
            if job.row.options is not None and job.options.timeout is not None:
                seconds = job.options.timeout / 1000
                result = await attempts.with_timeout(self._function, job, seconds, self._overdue)
            else:
                result = await self._function(job)
        except BaseException as error:
            outcome = self._outcome_of(job, error)
        else:
            outcome = attempts.completed(job, result)
        if os.getpid() != self._pid:
            # The processor forked and came back twice: this is the copy.
            os._exit(0)
        if self._running.get(job.row.seq, (None,))[0] is not job:
            # It was handed back while it went on.
            return
        if job.settled and not await self._is_settled(job):
            outcome = attempts.failed(job, attempts.RolledBack("its own transaction was rolled back"), self._backoffs)
        if self._running.pop(job.row.seq, None) is not None:
            self._outcomes.append((job, outcome))
            self._wake.set()

    def _outcome_of(self, job: Job, error: BaseException) -> Outcome:
        if isinstance(error, asyncio.CancelledError) and self._closing and not job.cancelled:
            return attempts.handed_back(job)
        return attempts.failed(job, error, self._backoffs)

    async def _is_settled(self, job: Job) -> bool:
        return await self._workspace.read(has_ended, job.row.seq, job.row.epoch)

    def _told(self, ended: Sequence[tuple[Job, Outcome]], stale: set[int]) -> None:
        if not ended:
            return
        for job, outcome in ended:
            if job.row.seq in stale and not job.settled:
                self._teller.troubled(f"job {job.id} was given to another worker: what came of it here is not kept")
                continue
            self.done += outcome.end is End.COMPLETED
            self.failed += outcome.end is End.FAILED
            self.returned += outcome.end is End.HANDED_BACK
            self._teller.ended(job, outcome)
        if any(outcome.end is not End.COMPLETED or outcome.options for _, outcome in ended):
            self._hub.changed(self.queue)

    async def _let_go(self) -> None:
        """Stop what is still active and hand it back; what cannot be stopped is handed back all the same."""
        stopping = list(self._running.values())
        for job, task in stopping:
            job.stop_asked = True
            task.cancel()
        if stopping:
            await asyncio.wait([task for _, task in stopping], timeout=attempts.GRACE)
        for number, (job, task) in list(self._running.items()):
            del self._running[number]
            self._outcomes.append((job, attempts.handed_back(job)))
            self.left_behind += 1
            task.add_done_callback(self._came_home)
        self._wake.set()

    def _came_home(self, _: asyncio.Task[None]) -> None:
        self.left_behind -= 1

    async def _leave(self) -> None:
        self._hub.unlisten(self._noticed)
        self._watchdog.stop()
        await self._processor.close()
        await self._stack.aclose()
        self._listeners.tell(WorkerEvent.CLOSED)

    # What jobs say, and what is said to them -------------------------------------------------------

    def noted(self, job: Job) -> None:
        """A job has something to be written down. From any thread."""
        self._noting.noted(job)

    async def _watch_cancelled(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._running:
                with suppress(StreamConsoleError):
                    for number in await self._workspace.read(cancelled_of, self._node):
                        self._cancel(number)
            await asyncio.sleep(COALESCE)

    def _cancel(self, number: int) -> None:
        job, task = self._running.get(number, (None, None))
        if job is None or task is None or job.cancelled:
            return
        job.cancelled = job.stop_asked = True
        task.cancel()
        self._loop.call_later(attempts.GRACE, self._still_there, number)

    def _still_there(self, number: int) -> None:
        if number in self._running:
            self._overdue(self._running[number][0], "it was cancelled, and it does not stop")

    def _overdue(self, job: Job, why: str) -> None:
        job.stop_asked = True
        self._teller.overdue(job, why)
        data = orjson.dumps({"why": why}).decode()
        self._noting.happened(Happened.OVERDUE, [job.row.seq], data)

    def _blocked(self, task: asyncio.Task[object] | None, place: str, seconds: float) -> None:
        """Called by the watchdog, from its thread: the loop is not there to do it."""
        running = list(self._running.values())
        blamed = [job for job, its in running if its is task] or [job for job, _ in running]
        if not blamed:
            return
        self._teller.blocked(blamed, place, seconds)
        data = orjson.dumps({"place": place, "seconds": round(seconds, 1)}).decode()
        numbers = [job.row.seq for job in blamed]
        with suppress(Exception):
            self._workspace.writer.call(
                journal.append, now_ms(), self.queue, Happened.BLOCKING, numbers, data, timeout=5.0
            )
