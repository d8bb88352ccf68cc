"""Runs, windows and workers as the screens show them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import NamedTuple

from streamconsole.engines.states import FINISHED_RUNS, RunState, WindowState
from streamconsole.engines.workspace.runs import Run
from streamconsole.engines.workspace.verifications import Verdict
from streamconsole.engines.workspace.windows import Totals

RATE_SECONDS = 5.0
"""Rates are means over the last so many seconds."""

ETA_SECONDS = 30.0
"""What is left is reckoned with a steadier mean."""


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


class WindowView(NamedTuple):
    """A window as the screens show it; `span` in the unit of offsets, 0 until it is completed."""

    state: str
    rows_read: int = 0
    rows: int = 0
    rejects: int = 0
    span: int = 0


class _Sample(NamedTuple):
    at: float
    rows: int
    done: int


@dataclass(slots=True)
class RunView:
    """A run as the screens show it.

    Args:
        here: this process works on it.
        owner: the living process that works on it, for people; empty for nobody.
        workers: windows in hand at once.
        rate: the limit to how fast it goes, as it is kept; None for none.
        waits: what it waits for, in words, before it can begin; empty when it need not.
        ledger: every window by number, kept for runs that are worked on here or looked at. Where there is
            one, the totals follow from it: an event that comes twice counts once.
    """

    run: Run
    here: bool
    owner: str
    totals: Totals
    workers: int
    rate: str | None = None
    waits: str = ""
    ledger: dict[int, WindowView] | None = None
    at_work: dict[int, WorkerView] = field(default_factory=dict)
    _samples: deque[_Sample] = field(default_factory=lambda: deque(maxlen=64))

    @property
    def unit(self) -> str:
        """What offsets count: `bytes` or `rows`."""
        return str(self.run.plan.get("unit", "rows"))

    @property
    def verifies(self) -> str | None:
        """The run that it verifies, if it is a verification."""
        return self.run.plan.get("verifies")

    @property
    def verdict(self) -> Verdict | None:
        """What it says, if it is a verification."""
        return Verdict(self.run, self.totals) if self.verifies else None

    @property
    def goal(self) -> int | None:
        """How much there is to do, counted like `done`; None when not known."""
        spec, size = self.run.spec, self.run.plan.get("size")
        if spec.get("windows"):
            return sum(int(hi) - int(lo) for lo, hi, _ in spec["windows"])
        left = None if size is None else max(0, int(size) - int(spec.get("from_offset") or 0))
        limit = spec.get("limit")
        if limit is None:
            return left
        return min(int(limit), left) if left is not None and self.unit == "rows" else int(limit)

    @property
    def done(self) -> int:
        """How much of it is done: rows where so many were asked for, offsets otherwise."""
        limited = self.run.spec.get("limit") is not None and not self.run.spec.get("windows")
        return self.totals.rows_read if limited else self.totals.offset_done

    @property
    def share(self) -> float | None:
        """How much of the source is done, 0..1."""
        if self.run.state is RunState.COMPLETED and not self.totals.failed:
            return 1.0
        return min(1.0, self.done / self.goal) if self.goal else None

    @property
    def running(self) -> bool:
        """A living process works on it, and it is not paused."""
        return self.run.state is RunState.RUNNING and not self.interrupted

    @property
    def interrupted(self) -> bool:
        """It says that it is running, and nobody works on it: its process died."""
        return self.run.state is RunState.RUNNING and not self.owner and not self.here

    @property
    def waiting(self) -> bool:
        """It cannot begin yet: others must be done before it."""
        return bool(self.waits) and self.run.state is RunState.PLANNED

    @property
    def finished(self) -> bool:
        """It came to its end; failed windows may be left."""
        return self.run.state in FINISHED_RUNS

    @property
    def word(self) -> str:
        """Its state, in one word."""
        if self.waiting:
            return "waiting"
        return "interrupted" if self.interrupted else str(self.run.state)

    def moved(self, state: RunState, reason: str | None, at: float) -> None:
        """It came into another state; `at` in seconds since the epoch."""
        if state is not self.run.state:
            # A pause is no part of a rate.
            self._samples.clear()
            self.sample(monotonic())
        self.run = replace(self.run, state=state, reason=reason, started_at=self.run.started_at or int(at * 1000))

    def sample(self, now: float) -> None:
        """Remember how far it is, for rates."""
        self._samples.append(_Sample(now, self.totals.rows_written, self.done))
        while len(self._samples) > 2 and now - self._samples[0].at > ETA_SECONDS:
            self._samples.popleft()

    def rates(self) -> tuple[float, float]:
        """Rows, and what `done` counts, a second."""
        return self._rates(RATE_SECONDS)

    def eta(self) -> float | None:
        """Seconds until its end at the present rate; None when not known."""
        _, speed = self._rates(ETA_SECONDS)
        if not self.running or not self.goal or speed <= 0:
            return None
        return max(0.0, self.goal - self.done) / speed

    def _rates(self, within: float) -> tuple[float, float]:
        if len(self._samples) < 2:
            return 0.0, 0.0
        last = self._samples[-1]
        first = next(each for each in self._samples if last.at - each.at <= within or each is self._samples[-2])
        seconds = max(0.001, last.at - first.at)
        return max(0.0, (last.rows - first.rows) / seconds), max(0.0, (last.done - first.done) / seconds)


_COUNTED = {state: state for state in ("pending", "running", "completed", "failed")} | {"retrying": "running"}


def exchanged(totals: Totals, old: WindowView | None, new: WindowView) -> Totals:
    """Totals with one window's part exchanged."""
    counts = {name: getattr(totals, name) for name in ("pending", "running", "completed", "failed")}
    counts[_COUNTED[new.state]] += 1
    if old is not None:
        counts[_COUNTED[old.state]] -= 1
    before = old or WindowView(WindowState.PENDING)
    return Totals(
        **counts,
        rows_read=totals.rows_read + new.rows_read - before.rows_read,
        rows_written=totals.rows_written + new.rows - before.rows,
        rejects=totals.rejects + new.rejects - before.rejects,
        offset_done=totals.offset_done + new.span - before.span,
        uneven=totals.uneven + (new.rejects > 0) - (before.rejects > 0),
    )
