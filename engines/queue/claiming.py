"""Taking jobs: what is due becomes ready, what is ready becomes active under a new epoch."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter

from sqlalchemy import Connection, func, select, text, update

from streamconsole.engines.queue import counts, groups, journal, registry, rows, schedulers
from streamconsole.engines.queue.prepared import Prepared
from streamconsole.engines.queue.registry import QueueRow
from streamconsole.engines.queue.rows import COLUMNS, JobRow
from streamconsole.engines.queue.states import Happened, JobState, ready_state
from streamconsole.engines.workspace.clock import now_ms
from streamconsole.engines.workspace.queue_tables import READY, jobs, queue_counts, queue_schedulers, queues

PROMOTED = 1_000
"""Delayed jobs made ready in one claim, at most."""

_TAKE = "state = 'active', node = :node, epoch = epoch + 1, started_at = :now, due_at = NULL, cancel = 0"
_CLAIM = (
    f"UPDATE jobs SET {_TAKE} WHERE seq IN (SELECT seq FROM jobs WHERE queue = :queue AND {READY} "
    "ORDER BY priority, position LIMIT :want {locking}) RETURNING " + COLUMNS
)
_CLAIMS = {
    "sqlite": Prepared(_CLAIM.replace("{locking}", "")),
    "postgresql": Prepared(_CLAIM.replace("{locking}", "FOR UPDATE SKIP LOCKED")),
}
_DUE = Prepared(
    "SELECT seq, priority FROM jobs WHERE queue = :queue AND state = 'delayed' AND due_at <= :now "
    f"ORDER BY due_at, seq LIMIT {PROMOTED}"
)
_PROMOTE = Prepared(
    "UPDATE jobs SET state = :state, position = :position, due_at = NULL WHERE seq = :seq AND state = 'delayed'"
)
_NEXT_DUE = Prepared("SELECT min(due_at) FROM jobs WHERE queue = :queue AND state = 'delayed'")


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a claim found.

    Args:
        jobs: taken, in the order in which they are to start.
        look_at: when there may be more, if nothing else happens (milliseconds since the epoch); None: not by itself.
        paused: the queue is paused.
        dry: more was wanted than there is.
    """

    jobs: list[JobRow]
    look_at: int | None
    paused: bool
    dry: bool


NOTHING = Claimed([], None, False, False)


def claim(connection: Connection, name: str, node: str, want: int) -> Claimed:
    """Take up to `want` jobs of a queue for a node."""
    now = now_ms()
    queue = registry.ensure(connection, name)
    schedulers.fire_due(connection, name, now)
    promote_due(connection, name, now)
    if queue.paused:
        return Claimed([], _next_due(connection, name), True, True)
    allowed, until = _allowed(connection, queue, want, now)
    taken, waits = _take(connection, queue, node, allowed, now) if allowed else ([], None)
    if taken:
        _account(connection, queue, taken, now)
    dry = len(taken) < want
    held = [until if allowed < want else None, waits, _next_due(connection, name) if dry else None]
    return Claimed(taken, min((at for at in held if at is not None), default=None), False, dry)


def _allowed(connection: Connection, queue: QueueRow, want: int, now: int) -> tuple[int, int | None]:
    """How many the queue's limits let start now, and when its rate lets more."""
    allowed, until = want, None
    if queue.settings.concurrency is not None:
        active = connection.execute(
            select(queue_counts.c.jobs).where(
                queue_counts.c.queue == queue.name, queue_counts.c.state == JobState.ACTIVE
            )
        ).scalar()
        allowed = min(allowed, queue.settings.concurrency - (active or 0))
    if queue.settings.limiter is not None:
        left, until = groups.window_left(queue.settings.limiter, queue.window_start, queue.window_used, now)
        allowed = min(allowed, left)
    return max(0, allowed), until


def _take(connection: Connection, queue: QueueRow, node: str, want: int, now: int) -> tuple[list[JobRow], int | None]:
    if not queue.grouped:
        found = _CLAIMS[connection.dialect.name].one(connection, node, now, queue.name, want)
        return sorted(map(JobRow._make, found), key=attrgetter("priority", "position")), None
    numbers, waits = groups.choose(connection, queue, want, now)
    changed = connection.execute(
        update(jobs)
        .where(jobs.c.seq.in_(numbers), text(READY))
        .values(state=JobState.ACTIVE, node=node, epoch=jobs.c.epoch + 1, started_at=now, due_at=None, cancel=0)
        .returning(*rows.columns)
    )
    order = {number: place for place, number in enumerate(numbers)}
    return sorted(map(JobRow._make, changed), key=lambda row: order[row.seq]), waits


def _account(connection: Connection, queue: QueueRow, taken: list[JobRow], now: int) -> None:
    waiting = sum(1 for row in taken if not row.priority)
    counts.moved(
        connection,
        queue.name,
        {
            JobState.WAITING: -waiting,
            JobState.PRIORITIZED: waiting - len(taken),
            JobState.ACTIVE: len(taken),
        },
    )
    journal.append(connection, now, queue.name, Happened.ACTIVE, [row.seq for row in taken])
    if (limiter := queue.settings.limiter) is not None:
        start, used = groups.window_after(limiter, queue.window_start, queue.window_used, len(taken), now)
        connection.execute(
            update(queues).where(queues.c.name == queue.name).values(window_start=start, window_used=used)
        )


def promote_due(connection: Connection, queue: str, now: int) -> int:
    """Make delayed jobs that are due ready, at the end of their line; gives how many."""
    due = _DUE.one(connection, queue, now).all()
    if not due:
        return 0
    places = rows.allocate(connection, len(due))
    _PROMOTE.many(
        connection,
        [(str(ready_state(priority)), place, seq) for (seq, priority), place in zip(due, places, strict=True)],
    )
    waiting = sum(1 for _, priority in due if not priority)
    change = {JobState.DELAYED: -len(due), JobState.WAITING: waiting, JobState.PRIORITIZED: len(due) - waiting}
    counts.moved(connection, queue, change)
    journal.append(connection, now, queue, Happened.WAITING, [seq for seq, _ in due])
    return len(due)


def _next_due(connection: Connection, queue: str) -> int | None:
    """When the next delayed job or schedule is due."""
    delayed = _NEXT_DUE.one(connection, queue).scalar()
    scheduled = connection.execute(
        select(func.min(queue_schedulers.c.next_at)).where(queue_schedulers.c.queue == queue)
    ).scalar()
    return min((at for at in (delayed, scheduled) if at is not None), default=None)
