"""What the migration engine says on the bus."""

from __future__ import annotations

from dataclasses import dataclass

from streamconsole.engines.bus import Event
from streamconsole.engines.run_events import (
    RateChanged,
    RunCancelled,
    RunFailed,
    RunPaused,
    RunResumed,
    WorkersChanged,
)

__all__ = [
    "RateChanged",
    "RunCancelled",
    "RunCompleted",
    "RunFailed",
    "RunPaused",
    "RunResumed",
    "RunStarted",
    "WindowCompleted",
    "WindowFailed",
    "WindowPutBack",
    "WindowRetried",
    "WindowStarted",
    "WindowsPlanned",
    "WorkersChanged",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Event):
    """A process has begun, or gone on, with a run; `windows` are known by now, `size` is where offsets end.

    `rate` is the limit to how fast it goes, None for none.
    """

    name_of_run: str
    source: str
    target: str
    workers: int
    size: int | None
    unit_of_offsets: str
    rate: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCompleted(Event):
    """The source is dry and every window has its outcome.

    `writers` child processes moved the windows (0: threads), `replaced` of them had died. Of a verification (of
    the run `verifies`), `rejects` are rows that differ.
    """

    completed: int
    failed: int
    rows_read: int
    rows: int
    rejects: int
    writers: int
    replaced: int
    verifies: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowsPlanned(Event):
    """Ranges were cut and recorded."""

    first: int
    last: int
    hi: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _WindowEvent(Event):
    window: int
    worker: int

    @property
    def unit(self) -> str:
        """The window's number."""
        return str(self.window)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowStarted(_WindowEvent):
    """A worker has begun with a range."""

    lo: int
    hi: int
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowCompleted(_WindowEvent):
    """A range is committed in the target. `seconds` from start to commit."""

    lo: int
    hi: int
    rows_read: int
    rows: int
    rejects: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowRetried(_WindowEvent):
    """A range failed for a passing reason and is tried again after `pause` seconds."""

    attempt: int
    message: str
    pause: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowFailed(_WindowEvent):
    """A range failed; the run goes on without it."""

    attempt: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowPutBack(_WindowEvent):
    """A range is pending again."""
