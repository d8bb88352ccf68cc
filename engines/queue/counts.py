"""Jobs by state, kept beside them: moved in the transaction that moves the jobs, never counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from streamconsole.engines.queue.prepared import Prepared
from streamconsole.engines.queue.states import JobState
from streamconsole.engines.workspace.queue_tables import jobs, queue_counts, queue_metrics

_MOVE = Prepared(
    "INSERT INTO queue_counts (queue, state, jobs) VALUES (:queue, :state, :jobs) "
    "ON CONFLICT (queue, state) DO UPDATE SET jobs = queue_counts.jobs + excluded.jobs"
)
_METRIC = Prepared(
    "INSERT INTO queue_metrics (queue, minute, completed, failed) VALUES (:queue, :minute, :completed, :failed) "
    "ON CONFLICT (queue, minute) DO UPDATE SET completed = queue_metrics.completed + excluded.completed, "
    "failed = queue_metrics.failed + excluded.failed"
)

KEEP_MINUTES = 60 * 24 * 14
"""Minutes of which metrics are kept."""


@dataclass(frozen=True, slots=True)
class Minute:
    """What a queue did in one minute.

    Args:
        at: its start, milliseconds since the epoch.
    """

    at: int
    completed: int
    failed: int


def moved(connection: Connection, queue: str, change: Mapping[JobState, int]) -> None:
    """Note how many more (or fewer) jobs each state has."""
    _MOVE.many(connection, [(queue, str(state), count) for state, count in change.items() if count])


def of(connection: Connection, queue: str) -> dict[JobState, int]:
    """Jobs of a queue by state, every state named."""
    rows = connection.execute(select(queue_counts.c.state, queue_counts.c.jobs).where(queue_counts.c.queue == queue))
    found = dict.fromkeys(JobState, 0)
    return found | {JobState(state): count for state, count in rows}


def of_all(connection: Connection) -> dict[str, dict[JobState, int]]:
    """Jobs of every queue by state."""
    found: dict[str, dict[JobState, int]] = {}
    for queue, state, count in connection.execute(select(queue_counts)):
        found.setdefault(queue, dict.fromkeys(JobState, 0))[JobState(state)] = count
    return found


def recounted(connection: Connection, queue: str) -> dict[JobState, int]:
    """Jobs of a queue by state, counted one by one: slow, for checks."""
    rows = connection.execute(select(jobs.c.state, func.count()).where(jobs.c.queue == queue).group_by(jobs.c.state))
    return dict.fromkeys(JobState, 0) | {JobState(state): count for state, count in rows}


def measured(connection: Connection, queue: str, now: int, finished: Counter[bool]) -> None:
    """Add to the metrics of this minute: how many completed (True) and failed (False)."""
    if finished:
        minute = now - now % 60_000
        _METRIC.one(connection, queue, minute, finished[True], finished[False])


def metrics(connection: Connection, queue: str, since: int, until: int) -> list[Minute]:
    """What a queue did in each minute of a span in which it did something, oldest first."""
    rows = connection.execute(
        select(queue_metrics.c.minute, queue_metrics.c.completed, queue_metrics.c.failed)
        .where(queue_metrics.c.queue == queue, queue_metrics.c.minute.between(since, until))
        .order_by(queue_metrics.c.minute)
    )
    return [Minute(*row) for row in rows]
