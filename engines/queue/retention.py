"""Removing jobs: those whose options say so when they finish, and those an operator names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import Connection, delete, select, text

from streamconsole.engines.queue import counts, deduplication, rows
from streamconsole.engines.queue.options import Keep
from streamconsole.engines.queue.states import JobState
from streamconsole.engines.workspace.queue_tables import FINISHED, job_failures, job_logs, jobs, queue_counts

ROUND = 1_000
"""Jobs removed at once because there are too many: a transaction on a shared file stays short."""


def apply(connection: Connection, queue: str, finished: Sequence[tuple[int, JobState, Keep | None]], now: int) -> None:
    """Keep as many finished jobs as the options of those that have just finished say."""
    at_once = [seq for seq, _, keep in finished if keep is not None and keep.count == 0]
    if at_once:
        remove(connection, queue, at_once)
    for state, keep in {(state, keep) for _, state, keep in finished if keep is not None and keep.count != 0}:
        _keep(connection, queue, state, keep, now)


def _keep(connection: Connection, queue: str, state: JobState, keep: Keep, now: int) -> None:
    if keep.age is not None:
        old = oldest(connection, queue, state, before=now - keep.age * 1000, limit=ROUND)
        remove(connection, queue, old)
    if keep.count is not None:
        count = connection.execute(
            select(queue_counts.c.jobs).where(queue_counts.c.queue == queue, queue_counts.c.state == state)
        ).scalar()
        surplus = min((count or 0) - keep.count, ROUND)
        if surplus > 0:
            remove(connection, queue, oldest(connection, queue, state, limit=surplus))


def oldest(connection: Connection, queue: str, state: JobState, *, before: int | None = None, limit: int) -> list[int]:
    """Numbers of the finished jobs of a state that ended first."""
    statement = (
        select(jobs.c.seq)
        .where(jobs.c.queue == queue, text(FINISHED), jobs.c.state == state)
        .order_by(jobs.c.finished_at, jobs.c.seq)
        .limit(limit)
    )
    if before is not None:
        statement = statement.where(jobs.c.finished_at < before)
    return list(connection.execute(statement).scalars())


def remove(connection: Connection, queue: str, numbers: Sequence[int]) -> int:
    """Remove jobs that are not active, with all that is kept about them; gives how many."""
    gone: Counter[JobState] = Counter()
    for some in rows.chunks(list(numbers)):
        removed = connection.execute(
            delete(jobs)
            .where(jobs.c.seq.in_(some), jobs.c.queue == queue, jobs.c.state != JobState.ACTIVE)
            .returning(jobs.c.seq, jobs.c.state)
        ).all()
        went = [row.seq for row in removed]
        gone.update(JobState(row.state) for row in removed)
        connection.execute(delete(job_logs).where(job_logs.c.job.in_(went)))
        connection.execute(delete(job_failures).where(job_failures.c.job.in_(went)))
        deduplication.release(connection, went)
    counts.moved(connection, queue, {state: -count for state, count in gone.items()})
    return gone.total()
