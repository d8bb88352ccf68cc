"""One migration at work: what its workers notify, and what operators command."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any

import orjson

from streamconsole.engines import private_files
from streamconsole.engines.bus import Bus, Event
from streamconsole.engines.control import Command, Leftover, Outcome, Snapshot, Verb
from streamconsole.engines.errors import Refused, SideLost, StaleEpoch, StreamConsoleError
from streamconsole.engines.migration.cluster import Cluster, processes_for
from streamconsole.engines.migration.columns import ColumnType
from streamconsole.engines.migration.events import (
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunPaused,
    RunResumed,
    RunStarted,
)
from streamconsole.engines.migration.history import History
from streamconsole.engines.migration.manager import WorkerManager
from streamconsole.engines.migration.moving import Move, Task
from streamconsole.engines.migration.notifications import Kind, Notification
from streamconsole.engines.migration.offsets import OffsetManager, after
from streamconsole.engines.migration.ranges import Ranges
from streamconsole.engines.migration.sources.files import reads_file
from streamconsole.engines.migration.targets.files import FileTarget
from streamconsole.engines.migration.transforms.child_program import end_programs
from streamconsole.engines.migration.tuning import Tuning
from streamconsole.engines.migration.work import Work
from streamconsole.engines.migration.worker import Worker
from streamconsole.engines.secrets import mask
from streamconsole.engines.states import FINISHED_RUNS, EngineKind, RunState, WindowState
from streamconsole.engines.units import Reject, Window
from streamconsole.engines.workspace import Workspace, runs, windows
from streamconsole.engines.workspace.runs import Run
from streamconsole.engines.workspace.windows import WindowRecord


class MigrationRun:
    """A run that this process owns.

    Args:
        workspace: where it is kept.
        bus: told of everything that happens.
        run: as claimed.
        work: what it works with.
    """

    def __init__(self, workspace: Workspace, bus: Bus, run: Run, work: Work) -> None:
        self._workspace = workspace
        self._bus = bus
        self._run = run
        self._with = work
        self._settings = work.settings
        self._source = work.source
        self._ranges = Ranges(self._settings, self._source, run.plan["size"])
        self._target = work.target
        self._history = History(workspace, bus, run)
        self._tuning = Tuning(workspace, bus, run, work.settings, work.source.unit)
        self._cluster = Cluster(0, self)
        self._manager: WorkerManager | None = None
        self._offsets = OffsetManager([])
        self._state = run.state
        self._failed: dict[int, Window] = {}
        self._rejects = 0
        self._loss: StreamConsoleError | None = None
        self._ending: tuple[RunState, str] | None = None
        self._widening = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    # To its end --------------------------------------------------------------------------------

    async def execute(self, *, retry_failed: bool) -> RunState:
        """Work until the source is dry, or the run is drained, cancelled or loses a side."""
        try:
            await self._prepare(retry_failed)
        except BaseException:
            await self._let_go()
            raise
        try:
            await self._move(
                RunState.RUNNING,
                None,
                RunStarted(
                    **self._about(),
                    name_of_run=self._run.name,
                    source=mask(self._settings.source),
                    target=mask(self._settings.target),
                    workers=self._manager.wanted if self._manager else 0,
                    size=self._run.plan["size"],
                    unit_of_offsets=self._source.unit,
                    rate=self._tuning.rate,
                ),
            )
            await self._work()
            return await self._conclude()
        except (SideLost, StaleEpoch) as error:
            await self._fail(error)
            raise
        finally:
            await self._let_go()

    async def _prepare(self, retry_failed: bool) -> None:
        await self._refuse_finished()
        if not self._with.tolerant:
            self._refuse_changed_source(await asyncio.to_thread(self._source.fingerprint))
        if "schema" in self._run.plan:
            self._target.use(self._run.plan["schema"])
        settled = await self._target.open(self._run.id, self._run.epoch)
        await self._history.reconcile(settled, retry_failed=retry_failed)
        records = await self._history.records()
        self._failed = {r.window.number: r.window for r in records if r.state is WindowState.FAILED}
        self._rejects = sum(record.rejects for record in records)
        self._cluster = Cluster(self._processes(records), self)
        self._cluster.warm()
        self._offsets = await self._offsets_from(records)
        worker = Worker(
            self._with.task,
            self._cluster,
            self._history,
            self._settings.retry.policy(),
            self._widen,
        )
        # A child without a window in hand would be of no use.
        workers = self._tuning.workers(self._cluster.processes)
        self._manager = WorkerManager(self._offsets, worker.work, self._notified, workers, self._tuning.pace)
        if self._ending is not None:
            # Told to end while it was being made ready.
            self._manager.end()

    async def _work(self) -> None:
        assert self._manager is not None
        self._task = asyncio.create_task(self._manager.start())
        try:
            await self._task
        except asyncio.CancelledError:
            # The workers end as cancelled in both cases: who is cancelled here tells them apart.
            me = asyncio.current_task()
            if me is not None and me.cancelling():
                self._task.cancel()
                raise
            # A drain ran out of time: what was active goes back.
            await self._workspace.write(windows.hand_back, self._run, [WindowState.RUNNING])

    async def _conclude(self) -> RunState:
        """Bring the run into the state that its end means."""
        if self._loss is not None:
            raise self._loss
        if self._ending is not None and not await self._ended_at_the_end():
            state, reason = self._ending
            event: Event = (
                RunCancelled(**self._about(), reason=reason)
                if state is RunState.CANCELLED
                else RunPaused(**self._about(), reason=reason)
            )
            await self._move(state, reason, event)
            return state
        failed = (await self._workspace.read(windows.totals, [self._run.id]))[self._run.id].failed
        # Their connections go first: the target is made whole by the last one.
        await self._cluster.close()
        await self._target.finish(whole=not failed)
        totals = (await self._workspace.read(windows.totals, [self._run.id]))[self._run.id]
        await self._move(
            RunState.COMPLETED,
            None,
            RunCompleted(
                **self._about(),
                completed=totals.completed,
                failed=totals.failed,
                rows_read=totals.rows_read,
                rows=totals.rows_written,
                rejects=totals.rejects,
                writers=self._cluster.processes,
                replaced=self._cluster.tally.replaced,
                verifies=self._run.plan.get("verifies"),
            ),
        )
        # Only now: what a crash in between leaves behind is parts too many, never a part missing.
        if not totals.failed:
            await asyncio.to_thread(self._target.forget_parts)
        return RunState.COMPLETED

    async def _ended_at_the_end(self) -> bool:
        """Whether it was told to stop when there was nothing left to do."""
        assert self._ending is not None
        stopped = self._ending[0] is RunState.PAUSED and not self._has_too_many_rejects()
        return stopped and await self._offsets.exhausted()

    async def _fail(self, error: SideLost | StaleEpoch) -> None:
        """Keep what happened, as far as the workspace can still be written."""
        if isinstance(error, StaleEpoch):
            return
        with suppress(StreamConsoleError):
            await self._workspace.write(windows.hand_back, self._run, [WindowState.RUNNING])
            await self._move(
                RunState.FAILURE,
                mask(str(error)),
                RunFailed(**self._about(), side=error.side, reason=mask(str(error))),
            )
        with suppress(OSError, StreamConsoleError):
            await self._save_history()

    async def _save_history(self) -> None:
        records = [record.as_json() for record in await self._history.records()]
        path = self._workspace.path.with_name(f"history-{self._run.id}.json")
        await asyncio.to_thread(private_files.write, path, orjson.dumps(records, option=orjson.OPT_INDENT_2))

    async def _let_go(self) -> None:
        # Threads cannot be ended, and may be waiting for a program that never ends.
        await asyncio.to_thread(end_programs, self._with.owner)
        await self._cluster.close()
        await self._target.close()
        if reads_file(self._source):
            await asyncio.to_thread(self._source.file.close)

    # Ranges ------------------------------------------------------------------------------------

    async def _offsets_from(self, records: list[WindowRecord]) -> OffsetManager:
        pending = [record.window for record in records if record.state is WindowState.PENDING]
        if self._settings.windows is not None:
            if not records and self._settings.windows:
                pending = await asyncio.to_thread(self._ranges.listed)
                await self._history.plan(pending)
            return OffsetManager(pending)
        if records:
            start = after([record.window for record in records])
        else:
            start = await asyncio.to_thread(self._ranges.beginning)
        return OffsetManager(pending, start, self._ranges.cut, self._history.plan)

    def _processes(self, records: list[WindowRecord]) -> int:
        if self._settings.writers is not None:
            return self._settings.writers
        if self._settings.pool == "threads":
            return 0
        size = None if self._settings.pool == "processes" else self._ranges.bytes_left(records)
        return processes_for(size, self._settings.workers)

    async def _refuse_finished(self) -> None:
        """A finished run is worked on only to do its failed windows again."""
        if self._run.state not in FINISHED_RUNS:
            return
        failed = (await self._workspace.read(windows.totals, [self._run.id]))[self._run.id].failed
        if self._run.state is RunState.CANCELLED or not failed:
            raise Refused(f"run {self._run.id} is {self._run.state} and has no failed windows to do again")

    def _refuse_changed_source(self, now: Mapping[str, Any]) -> None:
        planned = self._run.plan["fingerprint"]
        if now != planned:
            changed = ", ".join(sorted(name for name in planned if planned[name] != now.get(name)))
            raise Refused(
                f"{mask(self._settings.source)} has changed since run {self._run.id} was planned ({changed}): "
                "its windows would not fit any more; start a new run"
            )

    # What workers notify -------------------------------------------------------------------------

    async def _notified(self, notification: Notification) -> None:
        window = notification.window
        if notification.kind is Kind.COMPLETED and notification.written is not None:
            self._rejects += notification.written.rejects
            if window is not None:
                self._tuning.pace.finish(window, notification.written.rows_read)
            self._stop_at_max_rejects()
        elif notification.kind is Kind.ERROR and window is not None:
            self._failed[window.number] = window
        elif notification.kind is Kind.FAILURE:
            error = notification.error
            assert isinstance(error, StreamConsoleError)
            self._lose(error)
        if window is not None:
            if notification.kind is Kind.COMPLETED and isinstance(self._target, FileTarget):
                self._target.settled(window)
            if reads_file(self._source):
                self._source.file.clear(window)
            await self._offsets.settle(window)

    def _lose(self, error: StreamConsoleError) -> None:
        self._loss = self._loss or error
        if self._manager is not None:
            self._manager.end()

    def _has_too_many_rejects(self) -> bool:
        most = self._settings.max_rejects
        return most is not None and self._rejects > most

    def _stop_at_max_rejects(self) -> None:
        most = self._settings.max_rejects
        if self._has_too_many_rejects() and self._ending is None:
            self._end(RunState.PAUSED, f"stopped: {self._rejects:,} rows refused, --max-rejects is {most:,}")

    # What those who move windows ask for -----------------------------------------------------------

    def turn(self, move: Move) -> AbstractContextManager[None]:
        """The target for one window."""
        return self._target.turn(move.writer)

    def keep_rejects(self, task: Task, rejects: Sequence[Reject]) -> None:
        """Keep a window's refused rows before it commits."""
        self._history.keep_rejects(task.window, rejects)

    async def _widen(self, needs: Mapping[str, ColumnType]) -> None:
        async with self._widening:
            await self._target.widen(needs)

    # What operators command ----------------------------------------------------------------------

    async def obey(self, command: Command) -> Outcome:
        """Do what a command says."""
        manager = self._manager
        if manager is None:
            return Outcome(False, "the run is only just beginning: try again in a moment")
        if self._task is not None and self._task.done():
            # Its workers are gone: what is handed back now, nobody would do.
            return Outcome(False, "the run is just coming to its end: try again in a moment")
        if command.unit is not None and command.verb is not Verb.RETRY:
            return Outcome(False, f"a window cannot be {command.verb}d by itself: pause or cancel the run")
        match command.verb:
            case Verb.PAUSE:
                return await self._pause(manager)
            case Verb.RESUME:
                return await self._resume(manager)
            case Verb.RETRY:
                return await self._retry(command.unit)
            case Verb.CANCEL:
                self._end(RunState.CANCELLED, "cancelled by an operator")
                return Outcome(True, "cancelling: active windows finish, committed ones stay")
            case Verb.STOP:
                self._end(RunState.PAUSED, "stopped by an operator")
                return Outcome(True, "stopping: active windows finish; resume it any time")
            case Verb.WORKERS | Verb.RATE:
                return await self._tuning.obey(command, manager)

    async def _pause(self, manager: WorkerManager) -> Outcome:
        if manager.paused:
            return Outcome(True, "it is paused already")
        manager.pause()
        await self._move(RunState.PAUSED, "paused by an operator", RunPaused(**self._about(), reason="by an operator"))
        return Outcome(True, f"paused: no new window starts, {manager.locks.locked} active will finish")

    async def _resume(self, manager: WorkerManager) -> Outcome:
        if not manager.paused:
            return Outcome(True, "it is running already")
        await self._move(RunState.RUNNING, None, RunResumed(**self._about()))
        manager.continue_()
        return Outcome(True, "resumed")

    async def _retry(self, unit: str | None) -> Outcome:
        chosen = [window for number, window in self._failed.items() if unit in (None, str(number))]
        if not chosen:
            return Outcome(False, "no window has failed" if unit is None else f"window {unit} has not failed")
        for window in chosen:
            # All at once: whoever asks in the meantime must not be given the same ones.
            del self._failed[window.number]
        # The first of them is handed out first: a compressed source is read forward just once for all of them.
        for window in sorted(chosen, key=lambda each: each.lo, reverse=True):
            await self._history.put_back(window, 0)
            await self._offsets.put_back(window)
        return Outcome(True, f"{len(chosen)} failed window{'s' if len(chosen) > 1 else ''} will be done again")

    async def drain(self, within: float) -> Leftover:
        """Take no more windows, finish the active ones within so many seconds, hand the rest back."""
        manager, task = self._manager, self._task
        paused_by_operator = manager is not None and manager.paused
        self._end(RunState.PAUSED, "paused by an operator" if paused_by_operator else "stopped before its end")
        if manager is None or task is None:
            return Leftover(self._run.id, True, "nothing had begun")
        active = manager.locks.locked
        _, late = await asyncio.wait([task], timeout=within)
        if late:
            task.cancel()
            return Leftover(self._run.id, False, f"{manager.locks.locked} of {active} windows did not finish in time")
        return Leftover(self._run.id, True, f"{active} active windows finished")

    def snapshot(self) -> Snapshot:
        """The run as it is now."""
        manager = self._manager
        return Snapshot(
            run=self._run.id,
            state=self._state,
            workers=manager.wanted if manager else self._tuning.workers(0),
            active=manager.locks.locked if manager else 0,
        )

    def _end(self, state: RunState, reason: str) -> None:
        self._ending = self._ending or (state, reason)
        if self._manager is not None:
            self._manager.end()

    async def _move(self, state: RunState, reason: str | None, event: Event) -> None:
        await self._workspace.write(runs.move, self._run, state, reason, event)
        self._state = state
        self._bus.publish(event)

    def _about(self) -> dict[str, Any]:
        return {"engine": EngineKind.MIGRATION, "run": self._run.id}
