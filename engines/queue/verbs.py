"""What an operator can do to jobs and queues. Each verb is one short transaction, or a round of a long one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, delete, insert, select, update

from streamconsole.engines.errors import Refused
from streamconsole.engines.queue import counts, deduplication, journal, registry, retention, rows
from streamconsole.engines.queue.options import MAX_PRIORITY, MAX_SPAN_MS
from streamconsole.engines.queue.rows import JobRow
from streamconsole.engines.queue.states import CANCELLED, FINISHED_JOBS, READY_JOBS, Happened, JobState, ready_state
from streamconsole.engines.workspace.clock import now_ms
from streamconsole.engines.workspace.queue_tables import (
    job_events,
    job_failures,
    jobs,
    queue_counts,
    queue_deduplication,
    queue_groups,
    queue_metrics,
    queue_schedulers,
    queues,
)


def retry(connection: Connection, queue: str, numbers: Sequence[int]) -> int:
    """Failed (or completed) jobs wait again, with all their attempts before them; gives how many."""
    found = [row for row in _of(connection, queue, numbers) if row.state in FINISHED_JOBS]
    fresh = {"attempts_made": 0, "stalled": 0, "failure": None, "result": None, "progress": None, "finished_at": None}
    return _to_ready(connection, queue, found, fresh | {"started_at": None, "cancel": 0})


def promote(connection: Connection, queue: str, numbers: Sequence[int]) -> int:
    """Delayed jobs are ready now; gives how many."""
    return _to_ready(
        connection, queue, [row for row in _of(connection, queue, numbers) if row.state == JobState.DELAYED], {}
    )


def cancel(connection: Connection, queue: str, numbers: Sequence[int]) -> int:
    """Jobs fail as cancelled and are not tried again; active ones are told to their workers. Gives how many."""
    found = _of(connection, queue, numbers)
    active = [row.seq for row in found if row.state == JobState.ACTIVE]
    connection.execute(update(jobs).where(jobs.c.seq.in_(active)).values(cancel=1))
    idle = [row for row in found if row.state not in FINISHED_JOBS and row.state != JobState.ACTIVE]
    _fail(connection, queue, idle, CANCELLED)
    return len(active) + len(idle)


def remove(connection: Connection, queue: str, numbers: Sequence[int]) -> int:
    """Remove jobs that are not active; gives how many."""
    gone = [row.seq for row in _of(connection, queue, numbers) if row.state != JobState.ACTIVE]
    journal.append(connection, now_ms(), queue, Happened.REMOVED, gone)
    return retention.remove(connection, queue, gone)


def change_delay(connection: Connection, queue: str, job_id: str, delay: int) -> JobRow:
    """Let a delayed job wait so many milliseconds from now.

    Raises:
        Refused: it is not delayed, or the delay is out of range.
    """
    if not 0 <= delay <= MAX_SPAN_MS:
        raise Refused(f"a delay of {delay} ms is out of range: 0 to {MAX_SPAN_MS}")
    row = _in_state(connection, queue, job_id, {JobState.DELAYED})
    connection.execute(update(jobs).where(jobs.c.seq == row.seq).values(due_at=now_ms() + delay))
    _said(connection, row, {"delay": delay})
    return rows.get(connection, queue, job_id)


def change_priority(connection: Connection, queue: str, job_id: str, priority: int, *, lifo: bool = False) -> JobRow:
    """Give a job that has not started another priority; it goes to the end (or the front) of its line.

    Raises:
        Refused: it has started, or the priority is out of range.
    """
    if not 0 <= priority <= MAX_PRIORITY:
        raise Refused(f"a priority of {priority} is out of range: 0 to {MAX_PRIORITY}")
    row = _in_state(connection, queue, job_id, {*READY_JOBS, JobState.DELAYED})
    state = JobState.DELAYED if row.state == JobState.DELAYED else ready_state(priority)
    place = rows.allocate(connection, 1)[0]
    values = {"priority": priority, "state": state, "position": -place if lifo else place}
    connection.execute(update(jobs).where(jobs.c.seq == row.seq).values(**values))
    change = Counter({state: 1})
    change[JobState(row.state)] -= 1
    counts.moved(connection, queue, change)
    _said(connection, row, {"priority": priority})
    return rows.get(connection, queue, job_id)


def update_payload(connection: Connection, queue: str, job_id: str, payload: str) -> JobRow:
    """Give a job another payload (JSON text); an active one sees it at its next attempt.

    Raises:
        Refused: it has finished.
    """
    row = _in_state(connection, queue, job_id, {*READY_JOBS, JobState.DELAYED, JobState.ACTIVE})
    connection.execute(update(jobs).where(jobs.c.seq == row.seq).values(payload=payload))
    _said(connection, row, {})
    return rows.get(connection, queue, job_id)


def drain(connection: Connection, queue: str, *, delayed: bool) -> int:
    """Remove some of the jobs that wait (and those that are delayed); gives how many: call it until it is 0."""
    states = [*READY_JOBS, *([JobState.DELAYED] if delayed else [])]
    found = connection.execute(
        select(jobs.c.seq).where(jobs.c.queue == queue, jobs.c.state.in_(states)).limit(retention.ROUND)
    ).scalars()
    return remove(connection, queue, list(found))


def clean(connection: Connection, queue: str, state: JobState, grace: int, limit: int) -> int:
    """Remove jobs of a state that are older than `grace` milliseconds, the oldest first; gives how many.

    Raises:
        Refused: active jobs cannot be removed.
    """
    if state is JobState.ACTIVE:
        raise Refused("active jobs cannot be cleaned: cancel them, or let them end")
    before, limit = now_ms() - grace, min(limit, retention.ROUND)
    if state in FINISHED_JOBS:
        found = retention.oldest(connection, queue, state, before=before + 1, limit=limit)
    else:
        statement = select(jobs.c.seq).where(jobs.c.queue == queue, jobs.c.state == state, jobs.c.created_at <= before)
        found = list(connection.execute(statement.order_by(jobs.c.seq).limit(limit)).scalars())
    gone = retention.remove(connection, queue, found)
    if gone:
        journal.append(connection, now_ms(), queue, Happened.CLEANED, [None], orjson.dumps({"jobs": gone}).decode())
    return gone


def obliterate(connection: Connection, queue: str, *, force: bool) -> int:
    """Remove some of a queue's jobs and, when none is left, the queue with all that is kept about it.

    Gives how many jobs went: call it until it is 0.

    Raises:
        Refused: it is not paused, or has active jobs (with `force` they are taken from their workers).
    """
    if not registry.get(connection, queue).paused:
        raise Refused(f"queue {queue} must be paused before it is obliterated: `streamconsole queue pause {queue}`")
    active = counts.of(connection, queue)[JobState.ACTIVE]
    if active and not force:
        raise Refused(f"queue {queue} has {active:,} active jobs: wait until they end, or use force")
    statement = select(jobs.c.seq, jobs.c.state).where(jobs.c.queue == queue).limit(retention.ROUND)
    found = [(row.seq, row.state) for row in connection.execute(statement)]
    held = [seq for seq, state in found if state == JobState.ACTIVE]
    _fail(connection, queue, rows.of_numbers(connection, held), "obliterated")
    gone = retention.remove(connection, queue, [seq for seq, _ in found])
    if not gone:
        for table in (queue_counts, queue_deduplication, queue_groups, queue_metrics, queue_schedulers, job_events):
            connection.execute(delete(table).where(table.c.queue == queue))
        connection.execute(delete(queues).where(queues.c.name == queue))
    return gone


def _of(connection: Connection, queue: str, numbers: Sequence[int]) -> list[JobRow]:
    return [row for row in rows.of_numbers(connection, numbers) if row.queue == queue]


def _in_state(connection: Connection, queue: str, job_id: str, allowed: set[JobState]) -> JobRow:
    row = rows.get(connection, queue, job_id)
    if row.state not in allowed:
        raise Refused(f"job {job_id} of queue {queue} is {row.state}: that can be done only to jobs that are "
                      f"{', '.join(sorted(allowed))}")  # fmt: skip
    return row


def _to_ready(connection: Connection, queue: str, found: Sequence[JobRow], values: dict[str, Any]) -> int:
    change: Counter[JobState] = Counter()
    for row, place in zip(found, rows.allocate(connection, len(found)), strict=True):
        state = ready_state(row.priority)
        fresh = values | {"state": state, "position": place, "due_at": None}
        connection.execute(update(jobs).where(jobs.c.seq == row.seq).values(**fresh))
        change[state] += 1
        change[JobState(row.state)] -= 1
    counts.moved(connection, queue, change)
    journal.append(connection, now_ms(), queue, Happened.WAITING, [row.seq for row in found])
    return len(found)


def _fail(connection: Connection, queue: str, found: Sequence[JobRow], reason: str) -> None:
    if not found:
        return
    now = now_ms()
    change: Counter[JobState] = Counter()
    values = {"state": JobState.FAILED, "failure": reason, "finished_at": now, "due_at": None, "node": None}
    for row in found:
        connection.execute(update(jobs).where(jobs.c.seq == row.seq).values(**values))
        change[JobState.FAILED] += 1
        change[JobState(row.state)] -= 1
    connection.execute(
        insert(job_failures),
        [
            {"job": row.seq, "attempt": row.attempts_made + 1, "at": now, "worker": "", "reason": reason}
            for row in found
        ],
    )
    counts.moved(connection, queue, change)
    counts.measured(connection, queue, now, Counter({False: len(found)}))
    deduplication.release(connection, [row.seq for row in found])
    data = orjson.dumps({"failure": reason}).decode()
    journal.append(connection, now, queue, Happened.FAILED, [row.seq for row in found], data)


def _said(connection: Connection, row: JobRow, data: dict[str, Any]) -> None:
    journal.append(connection, now_ms(), row.queue, Happened.UPDATED, [row.seq], orjson.dumps(data).decode())
