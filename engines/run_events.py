"""What every engine says about its runs."""

from __future__ import annotations

from dataclasses import dataclass

from streamconsole.engines.bus import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPaused(Event):
    """No new unit starts."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResumed(Event):
    """Units start again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCancelled(Event):
    """An operator ended the run."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailed(Event):
    """A side was lost (or the run had to stop); it resumes."""

    side: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkersChanged(Event):
    """The run works with another number of workers from now on."""

    workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RateChanged(Event):
    """The run goes no faster than this from now on; None for no limit."""

    rate: str | None
