"""What the screens show: runs and their windows, projected from the bus and read from the workspace.

Runs that this process works on are followed by their events; runs of other processes by looking at
the workspace when it has changed. Screens ask `tick` what changed, and paint only that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic

from sqlalchemy.exc import SQLAlchemyError

from streamconsole.engines.bus import Bus, Event
from streamconsole.engines.errors import StreamConsoleError
from streamconsole.engines.migration.events import (
    RateChanged,
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
from streamconsole.engines.transfer.events import ChunkMoved, TransferCompleted, TransferStarted
from streamconsole.engines.turning import rate_of, workers_of
from streamconsole.engines.workspace import Workspace
from streamconsole.engines.workspace.windows import Totals
from streamconsole.screens.loading import Known, Loaded, Windows, load
from streamconsole.screens.queue_board import QueueBoard
from streamconsole.screens.views import RunView, WindowView, WorkerView, exchanged

RELOAD_SECONDS = 1.0
"""Least time between two looks at what other processes do."""

LOOK_FOR_DEAD_SECONDS = 2.0
"""A process that dies changes nothing in the workspace: it must be looked for."""

STATE_AFTER = {
    RunStarted: RunState.RUNNING,
    TransferStarted: RunState.RUNNING,
    RunResumed: RunState.RUNNING,
    RunPaused: RunState.PAUSED,
    RunCompleted: RunState.COMPLETED,
    TransferCompleted: RunState.COMPLETED,
    RunCancelled: RunState.CANCELLED,
    RunFailed: RunState.FAILURE,
}


@dataclass(slots=True)
class Changes:
    """What a tick brought.

    Args:
        runs: runs that changed.
        listed: runs came or went.
        windows: windows of the run that is looked at, with their new state.
        problems: an attempt of one of them failed.
        queues: the queues were looked at again.
        chunks: chunks of the file that is looked at, with their new state.
    """

    runs: set[str] = field(default_factory=set)
    listed: bool = False
    windows: dict[int, str] = field(default_factory=dict)
    problems: bool = False
    queues: bool = False
    chunks: dict[int, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.runs or self.listed or self.windows or self.problems or self.queues or self.chunks)


class Model:
    """All runs of the workspace, as of the last tick."""

    def __init__(self, workspace: Workspace, supervisor: Supervisor, bus: Bus) -> None:
        self.workspace = workspace
        self.runs: dict[str, RunView] = {}
        self.watched_file: tuple[str, int] | None = None
        """The transfer and the file whose chunks are told of as they move."""
        self.queues = QueueBoard(workspace)
        self.watched: str | None = None
        self.trouble: str | None = None
        self._supervisor = supervisor
        self._bus = bus
        self._journal = bus.journal(capacity=100_000)
        self._dropped = 0
        self._stale: set[str] = set()
        self._waiting: dict[str, str] = {}
        self._changed = True
        self._owned: list[str] = []
        self._rest_until = 0.0
        self._loading = asyncio.Lock()
        self._reloading: asyncio.Task[None] | None = None
        self._news = Changes()
        workspace.listen(self._foreign_change)

    def close(self) -> None:
        """Follow no longer."""
        self.queues.close()
        self.workspace.unlisten(self._foreign_change)
        self._bus.remove(self._journal)

    def tick(self) -> Changes:
        """Take in what happened since the last tick, and say what changed."""
        # While the workspace is being read, events wait: applied to what is about to be replaced
        # they would be lost.
        if not self._loading.locked():
            for event in self._journal.drain():
                self._apply(event)
            self._reload_if_due()
        self._news.queues |= self.queues.tick()
        changes, self._news = self._news, Changes()
        return changes

    def sample(self) -> None:
        """Remember how far every running run is; called once a second."""
        now = monotonic()
        for view in self.runs.values():
            if view.here and view.running:
                view.sample(now)

    def of_engine(self, kind: EngineKind) -> list[RunView]:
        """The runs of one engine, the newest first."""
        return [view for view in self.runs.values() if view.run.engine is kind]

    def verification_of(self, run_id: str) -> RunView | None:
        """The newest verification of a run."""
        return next((view for view in self.runs.values() if view.verifies == run_id), None)

    @property
    def planned(self) -> list[RunView]:
        """Runs that nobody has started yet and that need not wait, the oldest first."""
        return [
            view
            for view in reversed(self.runs.values())
            if view.run.state is RunState.PLANNED and not view.owner and not view.waiting
        ]

    @property
    def first_mode(self) -> str:
        """The screen to come up with."""
        if self.runs:
            return "overview"
        return "queues" if self.queues.queues else "welcome"

    def show_waiting(self, waiting: Mapping[str, str]) -> None:
        """Which runs cannot begin yet, and what they wait for."""
        self._waiting = dict(waiting)
        for run_id, view in self.runs.items():
            if view.waits != self._waiting.get(run_id, ""):
                view.waits = self._waiting.get(run_id, "")
                self._news.runs.add(run_id)

    async def reload(self) -> None:
        """Read what is new in the workspace."""
        async with self._loading:
            await self._load()

    def is_running(self, view: RunView) -> bool:
        """Whether a run runs at this moment; what is shown of it may be a beat behind."""
        snapshot = self._supervisor.snapshot(view.run.id)
        return view.running if snapshot is None else snapshot.state is RunState.RUNNING

    async def watch(self, run_id: str | None) -> None:
        """Keep every window of one run, from now on."""
        self.watched = run_id
        await self.reload()

    # Events --------------------------------------------------------------------------------------

    def _apply(self, event: Event) -> None:
        view = self.runs.get(event.run)
        if view is None:
            self._changed = True
            return
        self._news.runs.add(event.run)
        if event.engine is EngineKind.TRANSFER:
            self._apply_to_chunks(event)
        state = STATE_AFTER.get(type(event))
        if state is not None:
            view.moved(state, getattr(event, "reason", None), event.at)
            view.here = event.run in self._supervisor.owned
            # Windows are handed back without an event of their own when work begins or ends.
            self._stale.add(event.run)
            self._changed = True
        self._apply_to_windows(view, event)

    def _apply_to_chunks(self, event: Event) -> None:
        """Sums are read from the workspace, once a second at most; a chunk on its way is seen by its events alone."""
        self._stale.add(event.run)
        self._changed = True
        if isinstance(event, ChunkMoved) and (event.run, event.file) == self.watched_file:
            self._news.chunks[event.chunk] = event.state

    def _apply_to_windows(self, view: RunView, event: Event) -> None:
        match event:
            case RunStarted():
                view.workers, view.rate = event.workers, event.rate
                view.at_work.clear()
            case WorkersChanged():
                view.workers = event.workers
            case RateChanged():
                view.rate = event.rate
            case WindowsPlanned():
                for number in range(event.first, event.last + 1):
                    self._set(view, number, WindowView(WindowState.PENDING))
            case WindowStarted():
                worker = view.at_work.setdefault(event.worker, WorkerView(event.worker))
                worker.window, worker.attempt, worker.since, worker.note = event.window, event.attempt, monotonic(), ""
                self._set(view, event.window, WindowView(WindowState.RUNNING))
            case WindowCompleted():
                self._completed(view, event)
            case WindowRetried() | WindowFailed():
                self._stumbled(view, event)
            case WindowPutBack():
                self._set(view, event.window, WindowView(WindowState.PENDING))

    def _completed(self, view: RunView, event: WindowCompleted) -> None:
        worker = self._leave(view, event.worker)
        worker.done += 1
        worker.rows += event.rows
        done = WindowView(WindowState.COMPLETED, event.rows_read, event.rows, event.rejects, event.hi - event.lo)
        self._set(view, event.window, done)

    def _stumbled(self, view: RunView, event: WindowRetried | WindowFailed) -> None:
        self._news.problems |= event.run == self.watched
        if isinstance(event, WindowFailed):
            self._leave(view, event.worker)
            self._set(view, event.window, WindowView(WindowState.FAILED))
            return
        if event.worker in view.at_work:
            view.at_work[event.worker].note = f"attempt {event.attempt} failed: {event.message}"
        self._set(view, event.window, WindowView("retrying"))

    @staticmethod
    def _leave(view: RunView, number: int) -> WorkerView:
        worker = view.at_work.setdefault(number, WorkerView(number))
        worker.window, worker.note = None, ""
        return worker

    def _set(self, view: RunView, number: int, window: WindowView) -> None:
        if view.ledger is None:
            return
        view.totals = exchanged(view.totals, view.ledger.get(number), window)
        view.ledger[number] = window
        if view.run.id == self.watched:
            self._news.windows[number] = window.state

    # The workspace -------------------------------------------------------------------------------

    def _foreign_change(self) -> None:
        self._changed = True

    def _reload_if_due(self) -> None:
        now = monotonic()
        if self._journal.dropped != self._dropped:
            self._dropped = self._journal.dropped
            self._stale |= set(self._supervisor.owned)
            self._changed = True
        if self._supervisor.owned != self._owned:
            self._owned = self._supervisor.owned
            self._changed = True
        others = any(view.owner and not view.here for view in self.runs.values())
        rested = now >= self._rest_until
        if rested and (self._changed or (others and now >= self._rest_until + LOOK_FOR_DEAD_SECONDS - RELOAD_SECONDS)):
            self._reloading = asyncio.create_task(self._reload_quietly())

    async def _reload_quietly(self) -> None:
        """Read what is new; a workspace that cannot be read is told, and tried again."""
        try:
            await self.reload()
            self.trouble = None
        except (StreamConsoleError, SQLAlchemyError, OSError) as error:
            self.trouble = f"the workspace cannot be read now: {error}"
            self._changed = True

    async def _load(self) -> None:
        begun = monotonic()
        self._changed = False
        # Reading takes a fifth of the time at most, however much there is to read.
        self._rest_until = begun + RELOAD_SECONDS
        known = {run_id: self._known(view) for run_id, view in self.runs.items()}
        stale, self._stale = self._stale, set()
        try:
            loaded = await self.workspace.read(load, self.workspace.locks, known, self._wanted())
        except BaseException:
            self._stale |= stale
            raise
        before = list(self.runs)
        self.runs = {each.run.id: self._taken_in(each) for each in loaded}
        self._news.listed |= list(self.runs) != before
        self._rest_until = max(self._rest_until, begun + 5 * (monotonic() - begun))

    def _wanted(self) -> set[str]:
        return set(self._supervisor.owned) | ({self.watched} if self.watched else set())

    def _known(self, view: RunView) -> Known:
        mine = view.run.id in self._supervisor.owned
        followed = mine and view.ledger is not None and view.run.id not in self._stale
        return Known(view.run, view.owner, followed, view.ledger)

    def _taken_in(self, each: Loaded) -> RunView:
        here = each.run.id in self._supervisor.owned
        view = self.runs.get(each.run.id)
        if view is None:
            view = RunView(each.run, here, each.owner, each.totals or Totals(), 0)
            self._news.runs.add(each.run.id)
        if (view.run, view.here, view.owner, view.totals) != (each.run, here, each.owner, each.totals or view.totals):
            self._news.runs.add(each.run.id)
        view.moved(each.run.state, each.run.reason, 0)
        view.run, view.here, view.owner = each.run, here, each.owner
        view.workers, view.rate = workers_of(each.run), rate_of(each.run)
        view.waits = self._waiting.get(each.run.id, "")
        if not here and each.run.id != self.watched:
            view.ledger = None
        if each.windows is not None:
            self._take_windows(view, each.windows)
        if each.totals is not None and (view.ledger is None or each.windows is not None):
            view.totals = each.totals
        if view.running and not here:
            view.sample(monotonic())
        return view

    def _take_windows(self, view: RunView, found: Windows) -> None:
        view.ledger = found.ledger
        if view.run.id == self.watched:
            self._news.windows |= found.changed
            self._news.problems = True
        if self._supervisor.snapshot(view.run.id) is None:
            view.at_work = found.at_work
