"""The states of a job and the names of what happens to it."""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """States of a job. A cancelled job is `failed` with the reason `cancelled`."""

    WAITING = "waiting"
    ACTIVE = "active"
    DELAYED = "delayed"
    PRIORITIZED = "prioritized"
    WAITING_CHILDREN = "waiting-children"
    COMPLETED = "completed"
    FAILED = "failed"


class Happened(StrEnum):
    """Names in the queue's event log."""

    ADDED = "added"
    WAITING = "waiting"
    ACTIVE = "active"
    PROGRESS = "progress"
    COMPLETED = "completed"
    FAILED = "failed"
    DELAYED = "delayed"
    STALLED = "stalled"
    RETRIES_EXHAUSTED = "retries-exhausted"
    DEDUPLICATED = "deduplicated"
    DUPLICATED = "duplicated"
    UPDATED = "updated"
    REMOVED = "removed"
    CLEANED = "cleaned"
    PAUSED = "paused"
    RESUMED = "resumed"
    DRAINED = "drained"
    OVERDUE = "overdue"
    BLOCKING = "blocking"


FINISHED_JOBS = frozenset({JobState.COMPLETED, JobState.FAILED})
READY_JOBS = frozenset({JobState.WAITING, JobState.PRIORITIZED})

CANCELLED = "cancelled"
"""The failure of a job that an operator cancelled."""


def ready_state(priority: int) -> JobState:
    """The state of a job of that priority that waits for a worker."""
    return JobState.PRIORITIZED if priority else JobState.WAITING
