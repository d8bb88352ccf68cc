"""The queue's event log: every transition, written in the transaction that caused it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, delete, func, select

from streamconsole.engines.queue.prepared import ForMany
from streamconsole.engines.queue.states import Happened
from streamconsole.engines.workspace.queue_tables import job_events

KEEP = 100_000
"""Rows kept by default; older ones are trimmed."""

CHUNK = 5_000
"""Rows removed in one transaction: others share the file."""

_INTO = "INSERT INTO job_events (at, queue, name, data, job) "
_APPEND = ForMany(
    f"{_INTO} SELECT :at, :queue, :name, :data, value FROM json_each(:jobs)",
    f"{_INTO} SELECT CAST(:at AS bigint), :queue, :name, :data, job FROM unnest(CAST(:jobs AS bigint[])) AS job",
)
_APPEND_EACH = ForMany(
    f"{_INTO} SELECT :at, :queue, :name, value->>1, value->>0 FROM json_each(:said)",
    f"{_INTO} SELECT CAST(:at AS bigint), :queue, :name, data, job "
    "FROM unnest(CAST(:jobs AS bigint[]), CAST(:data AS text[])) AS said(job, data)",
)


@dataclass(frozen=True, slots=True)
class QueueEvent:
    """Something that happened in a queue.

    Args:
        id: grows from event to event.
        at: milliseconds since the epoch.
        job: number of the job it is about; None for the queue itself.
        data: what there is to say beside (the failure, the delay, …).
    """

    id: int
    at: int
    queue: str
    job: int | None
    name: Happened
    data: dict[str, Any]


def append(
    connection: Connection, at: int, queue: str, name: Happened, jobs: Iterable[int | None], data: str | None = None
) -> None:
    """Say of some jobs that the same happened to each."""
    _APPEND.run(connection, (at, queue, str(name), data), list(jobs))


def append_each(
    connection: Connection, at: int, queue: str, name: Happened, said: Iterable[tuple[int, str | None]]
) -> None:
    """Say of some jobs what happened to each, with data (JSON text) of its own."""
    found = list(said)
    _APPEND_EACH.run(connection, (at, queue, str(name)), [job for job, _ in found], [data for _, data in found])


def newest(connection: Connection) -> int:
    """Id of the newest event."""
    return connection.execute(select(func.max(job_events.c.id))).scalar() or 0


def since(connection: Connection, after: int, queue: str | None = None, limit: int = 1000) -> list[QueueEvent]:
    """Events after one, oldest first."""
    statement = select(job_events).where(job_events.c.id > after).order_by(job_events.c.id).limit(limit)
    if queue is not None:
        statement = statement.where(job_events.c.queue == queue)
    return [_event(row) for row in connection.execute(statement)]


def of_job(connection: Connection, job: int, limit: int = 1000) -> list[QueueEvent]:
    """A job's timeline, oldest first."""
    statement = select(job_events).where(job_events.c.job == job).order_by(job_events.c.id.desc()).limit(limit)
    return [_event(row) for row in reversed(connection.execute(statement).all())]


def trim(connection: Connection, keep: int = KEEP) -> int:
    """Remove the oldest of what is too much, at most CHUNK of them; gives how many went."""
    oldest = connection.execute(select(func.min(job_events.c.id))).scalar() or 0
    until = min(newest(connection) - keep, oldest + CHUNK)
    if until < oldest:
        return 0
    return connection.execute(delete(job_events).where(job_events.c.id <= until)).rowcount


def _event(row: Any) -> QueueEvent:
    data = orjson.loads(row.data) if row.data else {}
    return QueueEvent(row.id, row.at, row.queue, row.job, Happened(row.name), data)
