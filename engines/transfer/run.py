"""One transfer at work: its files one after the other, and what operators command."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

from streamconsole.engines.bus import Bus, Event
from streamconsole.engines.control import Command, Leftover, Outcome, Snapshot, Verb
from streamconsole.engines.errors import Refused, SideLost, StaleEpoch, StreamConsoleError
from streamconsole.engines.rate import Rate, Unit, parse
from streamconsole.engines.run_events import RunCancelled, RunFailed, RunPaused, RunResumed
from streamconsole.engines.secrets import mask
from streamconsole.engines.states import FINISHED_RUNS, EngineKind, RunState
from streamconsole.engines.transfer.compression import pool
from streamconsole.engines.transfer.events import TransferCompleted, TransferStarted, TransferTuned
from streamconsole.engines.transfer.planning import check
from streamconsole.engines.transfer.settings import TransferSettings
from streamconsole.engines.transfer.stores.locations import store_of
from streamconsole.engines.transfer.tuning import Ended, Tuning
from streamconsole.engines.turning import look_ahead_of, rate_of, workers_of
from streamconsole.engines.workspace import Workspace, chunks, runs
from streamconsole.engines.workspace.runs import Run

MOST_WORKERS = 64
MOST_AHEAD = 128


class Direction(Protocol):
    """What an upload and a download do in their own way."""

    files: int
    size: int
    layout: str

    async def prepare(self) -> None:
        """Find out what there is to do.

        Raises:
            Refused: it cannot be done.
        """
        ...

    async def work(self, retry: Callable[[], list[int]]) -> None:
        """Do every file; `retry` gives numbers of files to be done again."""
        ...

    async def finish(self) -> str | None:
        """All files are done: what makes the whole complete. Gives the path of a manifest written."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


class TransferRun:
    """A transfer that this process owns.

    Args:
        workspace: where it is kept.
        bus: told of everything that happens.
        run: as claimed.
    """

    def __init__(self, workspace: Workspace, bus: Bus, run: Run) -> None:
        from streamconsole.engines.transfer.directions import Context, direction_of

        self._workspace = workspace
        self._bus = bus
        self._run = run
        self._settings = TransferSettings.model_validate(run.spec)
        self._store = store_of(self._settings.store, self._settings.timeout)
        # A download is bounded by how far it looks ahead.
        places = workers_of(run) if self._settings.upload is not None else MOST_AHEAD
        self._tuning = Tuning(places, look_ahead_of(run), _bandwidth(rate_of(run)))
        self._pool = pool()
        self._context = Context(workspace, bus, run, self._settings, self._store, self._tuning, self._pool)
        self._direction = direction_of(self._context)
        self._state = run.state
        self._ending: tuple[RunState, str] | None = None
        self._again: set[int] = set()
        self._task: asyncio.Task[None] | None = None

    # To its end --------------------------------------------------------------------------------

    async def execute(self, *, retry_failed: bool) -> RunState:
        """Work until every file has its outcome, or the run is drained, cancelled or loses a side."""
        try:
            await self._refuse_finished(retry_failed)
            await check(self._store, begun=self._run.started_at is not None)
            await self._direction.prepare()
            await self._move(RunState.RUNNING, None, self._started())
            return await self._to_its_end()
        except (SideLost, StaleEpoch) as error:
            await self._fail(error)
            raise
        finally:
            await self._let_go()

    async def _to_its_end(self) -> RunState:
        self._task = asyncio.create_task(self._work())
        try:
            await self._task
        except asyncio.CancelledError:
            me = asyncio.current_task()
            if me is not None and me.cancelling():
                self._task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await self._task
                raise
            # A drain ran out of time: what was active is not kept, and done again.
        return await self._conclude()

    async def _work(self) -> None:
        ledger = self._context.ledger
        try:
            await self._direction.work(self._take_again)
        except Ended:
            pass
        finally:
            await ledger.close()
        if ledger.lost is not None:
            raise ledger.lost

    async def _conclude(self) -> RunState:
        if self._ending is not None:
            state, reason = self._ending
            about = {**self._about(), "reason": reason}
            cancelled = state is RunState.CANCELLED
            await self._move(state, reason, RunCancelled(**about) if cancelled else RunPaused(**about))
            return state
        totals = (await self._workspace.read(chunks.totals, [self._run.id]))[self._run.id]
        manifest = await self._direction.finish() if not totals.files_failed else None
        completed = TransferCompleted(
            **self._about(),
            files=totals.files_done,
            failed=totals.files_failed,
            size=totals.bytes_done,
            sent=totals.bytes_sent,
            manifest=manifest,
        )
        await self._move(RunState.COMPLETED, None, completed)
        return RunState.COMPLETED

    async def _fail(self, error: SideLost | StaleEpoch) -> None:
        """Keep what happened, as far as the workspace can still be written."""
        if isinstance(error, SideLost):
            reason = mask(str(error))
            with suppress(StreamConsoleError):
                await self._move(RunState.FAILURE, reason, RunFailed(**self._about(), side=error.side, reason=reason))

    async def _let_go(self) -> None:
        self._direction.close()
        self._pool.shutdown(wait=False)
        await self._store.close()

    async def _refuse_finished(self, retry_failed: bool) -> None:
        """A finished run is worked on only to do its failed files again."""
        if self._run.state not in FINISHED_RUNS:
            return
        failed = (await self._workspace.read(chunks.totals, [self._run.id]))[self._run.id].files_failed
        if self._run.state is RunState.CANCELLED or not failed or not retry_failed:
            raise Refused(f"run {self._run.id} is {self._run.state} and has no failed files to do again")

    def _started(self) -> TransferStarted:
        settings = self._settings
        return TransferStarted(
            **self._about(),
            name_of_run=self._run.name,
            direction="upload" if settings.upload is not None else "download",
            what=settings.upload or settings.out or "",
            store=self._store.place,
            layout=self._direction.layout,
            files=self._direction.files,
            size=self._direction.size,
            workers=self._tuning.workers,
            look_ahead=self._tuning.look_ahead,
            bandwidth=self._tuning.bandwidth,
        )

    def _take_again(self) -> list[int]:
        again, self._again = sorted(self._again), set()
        return again

    # What operators command ----------------------------------------------------------------------

    async def obey(self, command: Command) -> Outcome:
        """Do what a command says."""
        if self._task is None:
            return Outcome(False, "the run is only just beginning: try again in a moment")
        if self._task.done():
            return Outcome(False, "the run is just coming to its end: try again in a moment")
        if command.unit is not None and command.verb is not Verb.RETRY:
            return Outcome(False, f"a chunk cannot be {command.verb}d by itself: pause or cancel the run")
        match command.verb:
            case Verb.PAUSE:
                return await self._pause()
            case Verb.RESUME:
                return await self._resume()
            case Verb.RETRY:
                return await self._retry(command.unit)
            case Verb.CANCEL:
                self._end(RunState.CANCELLED, "cancelled by an operator")
                return Outcome(True, "cancelling: active chunks finish, stored ones stay")
            case Verb.STOP:
                self._end(RunState.PAUSED, "stopped by an operator")
                return Outcome(True, "stopping: active chunks finish; resume it any time")
            case Verb.WORKERS | Verb.RATE:
                return await self._turn(command)

    async def _pause(self) -> Outcome:
        if self._tuning.paused:
            return Outcome(True, "it is paused already")
        self._tuning.pause()
        await self._move(RunState.PAUSED, "paused by an operator", RunPaused(**self._about(), reason="by an operator"))
        return Outcome(True, f"paused: no new chunk starts, {self._tuning.active} active will finish")

    async def _resume(self) -> Outcome:
        if not self._tuning.paused:
            return Outcome(True, "it is running already")
        await self._move(RunState.RUNNING, None, RunResumed(**self._about()))
        self._tuning.resume()
        return Outcome(True, "resumed")

    async def _retry(self, unit: str | None) -> Outcome:
        records = await self._workspace.read(chunks.files_of, self._run.id)
        wanted = None if unit is None else unit.partition("/")[0]
        failed = [each.number for each in records if each.state == "failed" and wanted in (None, str(each.number))]
        failed = [number for number in failed if number not in self._again]
        if not failed:
            return Outcome(False, "no file has failed" if unit is None else f"file {wanted} has not failed")
        self._again |= set(failed)
        return Outcome(True, f"{len(failed)} failed file{'s' if len(failed) > 1 else ''} will be done again")

    async def _turn(self, command: Command) -> Outcome:
        """Change live settings; the bandwidth also as it is said of runs of every engine."""
        if command.verb is Verb.WORKERS:
            return await self._tune(self._counted(command.args))
        try:
            rate = parse(command.args.get("rate", ""))
        except ValueError as error:
            return Outcome(False, f"the limit {error}")
        if rate is not None and rate.unit is not Unit.BYTES:
            return Outcome(False, "a transfer has no rows: limit it in bytes, like 20MB/s")
        return await self._tune({"bandwidth": int(rate.amount) if rate else 0})

    def _counted(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """Arguments with so many more (`by`) as so many (`count`)."""
        if type(by := args.get("by")) is not int:
            return args
        upload = self._settings.upload is not None
        now, most = (self._tuning.workers, MOST_WORKERS) if upload else (self._tuning.look_ahead, MOST_AHEAD)
        return {name: value for name, value in args.items() if name != "by"} | {"count": max(1, min(most, now + by))}

    async def _tune(self, args: Any) -> Outcome:
        """Change live settings: `count` (workers), `look_ahead`, `bandwidth` (bytes a second, 0 for no limit)."""
        bounds = {"count": (1, MOST_WORKERS), "look_ahead": (1, MOST_AHEAD), "bandwidth": (0, 2**40)}
        for name, value in args.items():
            if name not in bounds:
                return Outcome(False, f"this version does not know how to change {name}")
            least, most = bounds[name]
            if type(value) is not int or not least <= value <= most or (name == "bandwidth" and 0 < value < 1024):
                return Outcome(False, f"{name.replace('count', 'workers')} must be {least:,} to {most:,}")
        tuning = self._tuning
        if self._settings.upload is not None:
            tuning.workers = args.get("count", tuning.workers)
        else:
            args = {"look_ahead": args["count"], **args} if "count" in args else args
        tuning.look_ahead = args.get("look_ahead", tuning.look_ahead)
        tuning.bandwidth = args.get("bandwidth", tuning.bandwidth or 0) or None
        await tuning.changed()
        await self._workspace.write(runs.tune, self._run, self._turned())
        shown = TransferTuned(
            **self._about(), workers=tuning.workers, look_ahead=tuning.look_ahead, bandwidth=tuning.bandwidth
        )
        self._bus.publish(shown)
        limit = f"{tuning.bandwidth:,} bytes/s" if tuning.bandwidth else "no limit"
        return Outcome(True, f"{tuning.workers} at once, {tuning.look_ahead} ahead, {limit}")

    def _turned(self) -> dict[str, Any]:
        """What operators have turned, as it is kept with the run."""
        tuning = self._tuning
        rate = str(Rate(tuning.bandwidth, Unit.BYTES)) if tuning.bandwidth else None
        workers = {"workers": tuning.workers} if self._settings.upload is not None else {}
        return {**workers, "look_ahead": tuning.look_ahead, "rate": rate}

    async def drain(self, within: float) -> Leftover:
        """Begin no more chunks, finish the active ones within so many seconds."""
        self._end(RunState.PAUSED, "paused by an operator" if self._tuning.paused else "stopped before its end")
        active = self._tuning.active
        if self._task is None:
            return Leftover(self._run.id, True, "nothing had begun")
        _, late = await asyncio.wait([self._task], timeout=within)
        if late:
            self._task.cancel()
            return Leftover(self._run.id, False, f"{self._tuning.active} of {active} chunks did not finish in time")
        return Leftover(self._run.id, True, f"{active} active chunks finished")

    def snapshot(self) -> Snapshot:
        """The run as it is now."""
        return Snapshot(self._run.id, self._state, self._tuning.workers, self._tuning.active)

    def _end(self, state: RunState, reason: str) -> None:
        self._ending = self._ending or (state, reason)
        self._tuning.end()

    async def _move(self, state: RunState, reason: str | None, event: Event) -> None:
        await self._workspace.write(runs.move, self._run, state, reason, event)
        self._state = state
        self._bus.publish(event)

    def _about(self) -> dict[str, Any]:
        return {"engine": EngineKind.TRANSFER, "run": self._run.id}


def _bandwidth(rate: str | None) -> int | None:
    """Bytes a second of a limit that is kept with a run."""
    found = parse(rate) if rate is not None else None
    return int(found.amount) if found is not None else None
