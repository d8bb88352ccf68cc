"""What queues say on the bus; `run` is the queue's name."""

from __future__ import annotations

from dataclasses import dataclass

from streamconsole.engines.bus import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class _JobEvent(Event):
    job: str

    @property
    def unit(self) -> str:
        """The job's id."""
        return self.job


@dataclass(frozen=True, slots=True, kw_only=True)
class JobAdded(_JobEvent):
    """A job was added by this process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobActive(_JobEvent):
    """A worker of this process has begun with a job."""

    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobProgressed(_JobEvent):
    """A job said how far it is; `progress` is JSON text."""

    progress: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCompleted(_JobEvent):
    """A job is done, and that is in the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFailed(_JobEvent):
    """A job failed for good."""

    failure: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDelayed(_JobEvent):
    """An attempt failed; the next one begins after `pause` milliseconds."""

    failure: str
    pause: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobHandedBack(_JobEvent):
    """A job waits again: this worker could not finish it. No attempt was counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStalled(_JobEvent):
    """A job lost its worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOverdue(_JobEvent):
    """A job was told to stop (timeout, cancel) and does not; it keeps its slot."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopBlocked(Event):
    """A processor holds up the whole process: where it stands."""

    jobs: str
    place: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePaused(Event):
    """No job of the queue starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueResumed(Event):
    """Jobs of the queue start again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDrained(Event):
    """Nothing of the queue waits any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerTroubled(Event):
    """A worker could not do something it should; it goes on."""

    reason: str
