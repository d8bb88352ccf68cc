"""Progress and log lines of jobs at work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, select

from streamconsole.engines.queue import journal
from streamconsole.engines.queue.prepared import Prepared
from streamconsole.engines.queue.states import Happened
from streamconsole.engines.workspace.clock import now_ms
from streamconsole.engines.workspace.queue_tables import job_logs

_PROGRESS = Prepared("UPDATE jobs SET progress = :progress WHERE seq = :seq AND epoch = :epoch AND state = 'active'")
_LOG = Prepared("INSERT INTO job_logs (job, at, line) VALUES (:job, :at, :line)")


@dataclass(frozen=True, slots=True)
class Noted:
    """What a job at work said since it was last written down.

    Args:
        seq: the job's number; `epoch` says under which claim.
        progress: as JSON text; None when it has not changed.
        lines: of its log.
        keep_logs: newest lines that stay; None for all.
    """

    seq: int
    epoch: int
    progress: str | None
    lines: tuple[str, ...]
    keep_logs: int | None


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a job's log; `at` in milliseconds since the epoch."""

    id: int
    at: int
    line: str


def write(connection: Connection, queue: str, noted: Sequence[Noted]) -> None:
    """Write down what jobs said."""
    now = now_ms()
    moved = [each for each in noted if each.progress is not None]
    _PROGRESS.many(connection, [(each.progress, each.seq, each.epoch) for each in moved])
    journal.append_each(connection, now, queue, Happened.PROGRESS, [(each.seq, _data(each)) for each in moved])
    _LOG.many(connection, [(each.seq, now, line) for each in noted for line in each.lines])
    for each in noted:
        if each.keep_logs is not None and each.lines:
            keep_newest(connection, each.seq, each.keep_logs)


def _data(noted: Noted) -> str:
    return f'{{"progress":{noted.progress}}}'


def add_line(connection: Connection, job: int, line: str, keep: int | None) -> None:
    """Add a line to a job's log."""
    _LOG.one(connection, job, now_ms(), line)
    if keep is not None:
        keep_newest(connection, job, keep)


def keep_newest(connection: Connection, job: int, keep: int) -> None:
    """Remove all but the newest lines of a job's log."""
    mine = job_logs.c.job == job
    oldest = select(job_logs.c.id).where(mine).order_by(job_logs.c.id.desc()).limit(1).offset(max(keep - 1, 0))
    found = connection.execute(oldest).scalar()
    if found is not None:
        connection.execute(delete(job_logs).where(mine, job_logs.c.id < found if keep else mine))


def lines(connection: Connection, job: int, after: int = 0, limit: int = 10_000) -> list[LogLine]:
    """A job's log after a line, oldest first."""
    rows = connection.execute(
        select(job_logs.c.id, job_logs.c.at, job_logs.c.line)
        .where(job_logs.c.job == job, job_logs.c.id > after)
        .order_by(job_logs.c.id)
        .limit(limit)
    )
    return [LogLine(*row) for row in rows]


def newest(connection: Connection, job: int, limit: int) -> list[LogLine]:
    """The last lines of a job's log, oldest first."""
    mine = select(job_logs.c.id, job_logs.c.at, job_logs.c.line).where(job_logs.c.job == job)
    found = connection.execute(mine.order_by(job_logs.c.id.desc()).limit(limit)).all()
    return [LogLine(*row) for row in reversed(found)]


def count(connection: Connection, job: int) -> int:
    """Lines of a job's log."""
    return connection.execute(select(func.count()).where(job_logs.c.job == job)).scalar() or 0
