"""What the screens show: runs and their windows, projected from the bus and read from the workspace.

Runs that this process works on are followed by their events; runs of other processes by looking at
the workspace when it has changed. Screens ask `tick` what changed, and paint only that.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any

from sqlalchemy import Connection

from streamconsole.engines.bus import Bus, Event
from streamconsole.engines.migration.events import (
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunPaused,
    RunResumed,
    RunStarted,
    WindowCompleted,
    WindowFailed,
    WindowPutBack,
    WindowRetried,
    WindowsPlanned,
    WindowStarted,
    WorkersChanged,
)
from streamconsole.engines.states import EngineKind, RunState, WindowState
from streamconsole.engines.supervisor import Supervisor
from streamconsole.engines.workspace import Workspace, nodes, runs, windows
from streamconsole.engines.workspace.runs import Run
from streamconsole.engines.workspace.windows import Totals, WindowRecord

RATE_SECONDS = 5.0
"""Rates are means over the last so many seconds."""

RELOAD_SECONDS = 1.0
"""Least time between two looks at what other processes do."""

STATE_AFTER = {
    RunStarted: RunState.RUNNING,
    RunResumed: RunState.RUNNING,
    RunPaused: RunState.PAUSED,
    RunCompleted: RunState.COMPLETED,
    RunCancelled: RunState.CANCELLED,
    RunFailed: RunState.FAILURE,
}


@dataclass(slots=True)
class WorkerView:
    """What a worker is doing: the window it has, since when (monotonic seconds), and what it did."""

    number: int
    window: int | None = None
    attempt: int = 0
    since: float = 0.0
    done: int = 0
    rows: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class WindowView:
    """A window as the screens show it; `span` in the unit of offsets."""

    state: str
    rows_read: int = 0
    rows: int = 0
    rejects: int = 0
    span: int = 0


@dataclass(slots=True)
class RunView:
    """A run as the screens show it.

    Args:
        here: this process works on it.
        owner: the living process that works on it, for people; empty for nobody.
        ledger: every window by number, kept for runs that are worked on here or looked at. Where there is
            one, the totals follow from it: an event that comes twice counts once.
    """

    run: Run
    here: bool
    owner: str
    totals: Totals
    workers: int
    ledger: dict[int, WindowView] | None = None
    at_work: dict[int, WorkerView] = field(default_factory=dict)
    _samples: deque[tuple[float, int, int]] = field(default_factory=lambda: deque(maxlen=64))

    @property
    def size(self) -> int | None:
        """Where the source's offsets end."""
        return self.run.plan.get("size")

    @property
    def unit(self) -> str:
        """What offsets count: `bytes` or `rows`."""
        return str(self.run.plan.get("unit", "rows"))

    @property
    def share(self) -> float | None:
        """How much of the source is done, 0..1."""
        if self.run.state is RunState.COMPLETED and not self.totals.failed:
            return 1.0
        return min(1.0, self.totals.offset_done / self.size) if self.size else None

    @property
    def interrupted(self) -> bool:
        """It says that it is running, and nobody works on it: its process died."""
        return self.run.state is RunState.RUNNING and not self.owner and not self.here

    def sample(self, now: float) -> None:
        """Remember how far it is, for rates."""
        self._samples.append((now, self.totals.rows_written, self.totals.offset_done))
        while len(self._samples) > 2 and now - self._samples[0][0] > RATE_SECONDS:
            self._samples.popleft()

    def rates(self) -> tuple[float, float]:
        """Rows and offsets a second."""
        if len(self._samples) < 2:
            return 0.0, 0.0
        (then, rows, offset), (now, rows_now, offset_now) = self._samples[0], self._samples[-1]
        seconds = max(0.001, now - then)
        return max(0.0, (rows_now - rows) / seconds), max(0.0, (offset_now - offset) / seconds)

    def eta(self) -> float | None:
        """Seconds until its end at the present rate; None when not known."""
        _, offsets = self.rates()
        if self.run.state is not RunState.RUNNING or not self.size or offsets <= 0:
            return None
        return (self.size - self.totals.offset_done) / offsets


@dataclass(slots=True)
class Changes:
    """What a tick brought: runs that changed, and windows of the run that is looked at."""

    runs: set[str] = field(default_factory=set)
    windows: dict[int, str] = field(default_factory=dict)
    reloaded: bool = False
    problems: bool = False


class Model:
    """All runs of the workspace, as of the last tick."""

    def __init__(self, workspace: Workspace, supervisor: Supervisor, bus: Bus) -> None:
        self.workspace = workspace
        self._supervisor = supervisor
        self._bus = bus
        self._journal = bus.journal(capacity=100_000)
        self._dropped = 0
        self.runs: dict[str, RunView] = {}
        self.watched: str | None = None
        self._foreign = True
        self._reloaded_at = 0.0
        self._reloading: asyncio.Task[None] | None = None
        self._news = Changes()
        workspace.listen(self._foreign_change)

    def close(self) -> None:
        """Follow no longer."""
        self.workspace.unlisten(self._foreign_change)
        self._bus.remove(self._journal)

    def tick(self) -> Changes:
        """Take in what happened since the last tick, and say what changed."""
        # While the workspace is being read, events wait: applied to what is about to be replaced
        # they would be lost.
        if self._reloading is None or self._reloading.done():
            for event in self._journal.drain():
                self._apply(event)
        if self._journal.dropped != self._dropped:
            self._dropped = self._journal.dropped
            self._foreign = True
        self._reload_if_due()
        changes, self._news = self._news, Changes()
        return changes

    def sample(self) -> None:
        """Remember how far every running run is; called once a second."""
        now = monotonic()
        for view in self.runs.values():
            if view.run.state in (RunState.RUNNING, RunState.PAUSED):
                view.sample(now)

    async def reload(self) -> None:
        """Read everything from the workspace."""
        await self._load()

    async def watch(self, run_id: str | None) -> None:
        """Keep every window of one run, from now on."""
        self.watched = run_id
        await self._load()

    # Events --------------------------------------------------------------------------------------

    def _apply(self, event: Event) -> None:
        view = self.runs.get(event.run)
        if view is None:
            self._foreign = True
            return
        self._news.runs.add(event.run)
        for kind, state in STATE_AFTER.items():
            if isinstance(event, kind):
                reason = getattr(event, "reason", None)
                view.run = _moved(view.run, state, reason, event.at)
                view.here = event.run in self._supervisor.owned
                if state is not RunState.RUNNING:
                    self._foreign = True
        self._apply_to_windows(view, event)

    def _apply_to_windows(self, view: RunView, event: Event) -> None:
        match event:
            case RunStarted() | WorkersChanged():
                view.workers = event.workers
                if isinstance(event, RunStarted):
                    view.at_work.clear()
                    self._foreign = True
            case WindowsPlanned():
                for number in range(event.first, event.last + 1):
                    self._set(view, number, WindowView(WindowState.PENDING))
            case WindowStarted():
                worker = view.at_work.setdefault(event.worker, WorkerView(event.worker))
                worker.window, worker.attempt, worker.since, worker.note = event.window, event.attempt, monotonic(), ""
                self._set(view, event.window, WindowView(WindowState.RUNNING))
            case WindowCompleted():
                self._completed(view, event)
            case WindowRetried():
                self._news.problems = True
                self._set(view, event.window, WindowView("retrying"))
                if event.worker in view.at_work:
                    view.at_work[event.worker].note = f"attempt {event.attempt} failed: {event.message}"
            case WindowFailed():
                self._news.problems = True
                self._leave(view, event.worker)
                self._set(view, event.window, WindowView(WindowState.FAILED))
            case WindowPutBack():
                self._set(view, event.window, WindowView(WindowState.PENDING))

    def _completed(self, view: RunView, event: WindowCompleted) -> None:
        worker = self._leave(view, event.worker)
        worker.done += 1
        worker.rows += event.rows
        done = WindowView(WindowState.COMPLETED, event.rows_read, event.rows, event.rejects, event.hi - event.lo)
        self._set(view, event.window, done)

    @staticmethod
    def _leave(view: RunView, number: int) -> WorkerView:
        worker = view.at_work.setdefault(number, WorkerView(number))
        worker.window, worker.note = None, ""
        return worker

    def _set(self, view: RunView, number: int, window: WindowView) -> None:
        if view.ledger is None:
            return
        view.totals = _exchanged(view.totals, view.ledger.get(number), window)
        view.ledger[number] = window
        if view.run.id == self.watched:
            self._news.windows[number] = window.state

    # The workspace -------------------------------------------------------------------------------

    def _foreign_change(self) -> None:
        self._foreign = True

    def _reload_if_due(self) -> None:
        idle = self._reloading is None or self._reloading.done()
        others = any(v.run.state is RunState.RUNNING and not v.here for v in self.runs.values())
        since = monotonic() - self._reloaded_at
        # A dead owner changes nothing in the workspace: it must be looked for.
        if idle and since > RELOAD_SECONDS and (self._foreign or (others and since > 2 * RELOAD_SECONDS)):
            self._foreign = False
            self._reloaded_at = monotonic()
            self._reloading = asyncio.create_task(self._load())

    async def _load(self) -> None:
        mine = set(self._supervisor.owned)
        wanted = mine | ({self.watched} if self.watched else set())
        loaded = await self.workspace.read(_load_runs, self.workspace.locks, wanted)
        for run, totals, owner, records in loaded:
            self._take_in(run, totals, owner, records)
        for gone in set(self.runs) - {run.id for run, *_ in loaded}:
            del self.runs[gone]
        self._news.runs |= set(self.runs)
        self._news.reloaded = True

    def _take_in(self, run: Run, totals: Totals, owner: str, records: list[WindowRecord] | None) -> None:
        view = self.runs.get(run.id)
        here = run.id in self._supervisor.owned
        if view is None:
            view = self.runs[run.id] = RunView(run, here, owner, totals, int(run.spec.get("workers", 0)))
        view.run, view.totals, view.owner, view.here = run, totals, owner, here
        view.ledger = None if records is None else {record.window.number: _view_of(record) for record in records}
        snapshot = self._supervisor.snapshot(run.id)
        if snapshot is not None:
            view.workers = snapshot.workers
        elif records is not None:
            view.at_work = _workers_of(records)


def _load_runs(
    connection: Connection, locks: Path, wanted: set[str]
) -> list[tuple[Run, Totals, str, list[WindowRecord] | None]]:
    found = runs.listing(connection)
    totals = windows.totals(connection, [run.id for run in found])
    owners: dict[str, str] = {}
    for owner in {run.owner for run in found if run.owner}:
        node = nodes.get(connection, owner)
        owners[owner] = str(node) if node is not None and nodes.is_alive(node, locks) else ""
    return [
        (
            run,
            totals[run.id],
            owners.get(run.owner or "", ""),
            windows.listing(connection, run.id) if run.id in wanted else None,
        )
        for run in found
    ]


def _view_of(record: WindowRecord) -> WindowView:
    span = record.window.hi - record.window.lo if record.state is WindowState.COMPLETED else 0
    return WindowView(record.state, record.rows_read, record.rows_written, record.rejects, span)


def _workers_of(records: list[WindowRecord]) -> dict[int, WorkerView]:
    """What workers of another process do, as far as the ledger tells."""
    at_work: dict[int, WorkerView] = {}
    for record in records:
        if record.worker is None or record.worker == 0:
            continue
        worker = at_work.setdefault(record.worker, WorkerView(record.worker, since=monotonic()))
        if record.state is WindowState.RUNNING:
            worker.window, worker.attempt = record.window.number, record.attempt
        elif record.state is WindowState.COMPLETED:
            worker.done += 1
            worker.rows += record.rows_written
    return at_work


def _moved(run: Run, state: RunState, reason: str | None, at: float) -> Run:
    return replace(run, state=state, reason=reason, started_at=run.started_at or int(at * 1000))


def _exchanged(totals: Totals, old: WindowView | None, new: WindowView) -> Totals:
    """Totals with one window's part exchanged."""
    counts = {name: getattr(totals, name) for name in ("pending", "running", "completed", "failed")}
    for window, by in ((old, -1), (new, 1)):
        if window is not None:
            counts["running" if window.state == "retrying" else window.state] += by
    before = old or WindowView(WindowState.PENDING)
    return Totals(
        **counts,
        rows_read=totals.rows_read + new.rows_read - before.rows_read,
        rows_written=totals.rows_written + new.rows - before.rows,
        rejects=totals.rejects + new.rejects - before.rejects,
        offset_done=totals.offset_done + new.span - before.span,
    )


def of_engine(model: Model, kind: EngineKind) -> list[RunView]:
    """The runs of one engine, the newest first."""
    return [view for view in model.runs.values() if view.run.engine is kind]
