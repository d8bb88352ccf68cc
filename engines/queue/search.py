"""Finding jobs: by state, name, id, text, a place in the payload, failure, time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, cast, func, or_, select, text
from sqlalchemy import String as SqlString

from streamconsole.engines.errors import Refused
from streamconsole.engines.queue import rows
from streamconsole.engines.queue.rows import JobRow
from streamconsole.engines.queue.states import FINISHED_JOBS, READY_JOBS, JobState
from streamconsole.engines.workspace.queue_tables import FINISHED, READY, job_failures, jobs

_PATH = re.compile(r"[A-Za-z_][\w-]*|\d+")


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs are meant; what is None does not matter.

    Args:
        states: any of these.
        name: exactly.
        id: the job's id, or the beginning of one that was given.
        text: somewhere in the payload (as JSON) or the name, whatever its case.
        path: place in the payload, `address.city` or `items.0.sku`; `value` is what stands there, as text.
        failure: somewhere in the failure.
        group: exactly.
        since: made at or after, `until`: before (milliseconds since the epoch).
    """

    states: tuple[JobState, ...] = ()
    name: str | None = None
    id: str | None = None
    text: str | None = None
    path: str | None = None
    value: str | None = None
    failure: str | None = None
    group: str | None = None
    since: int | None = None
    until: int | None = None


ALL = JobFilter()


def find(
    connection: Connection, queue: str, asked: JobFilter = ALL, *, limit: int = 100, offset: int = 0
) -> list[JobRow]:
    """The newest jobs that match, newest first; of those that wait, the next ones, in their order."""
    statement = _matching(select(*rows.columns), queue, asked, connection).limit(limit).offset(offset)
    if asked.states and set(asked.states) <= READY_JOBS:
        statement = statement.order_by(jobs.c.priority, jobs.c.position)
    elif asked.states == (JobState.DELAYED,):
        statement = statement.order_by(jobs.c.due_at, jobs.c.seq)
    elif len(asked.states) == 1 and asked.states[0] in FINISHED_JOBS:
        statement = statement.order_by(jobs.c.finished_at.desc(), jobs.c.seq.desc())
    else:
        statement = statement.order_by(jobs.c.seq.desc())
    return [JobRow._make(row) for row in connection.execute(statement)]


def newest(connection: Connection) -> int:
    """Number of the newest job of all."""
    return connection.execute(select(func.max(jobs.c.seq))).scalar() or 0


def numbers_after(
    connection: Connection, queue: str, asked: JobFilter, up_to: int, after: int, limit: int
) -> list[int]:
    """Numbers of jobs that match, after one and up to another, in their order: to go through them in parts."""
    statement = _matching(select(jobs.c.seq), queue, asked, connection)
    statement = statement.where(jobs.c.seq > after, jobs.c.seq <= up_to)
    return list(connection.execute(statement.order_by(jobs.c.seq).limit(limit)).scalars())


def count(connection: Connection, queue: str, asked: JobFilter) -> int:
    """How many jobs match."""
    return connection.execute(_matching(select(func.count()).select_from(jobs), queue, asked, connection)).scalar() or 0


def failures(connection: Connection, job: int) -> list[dict[str, Any]]:
    """The failed attempts of a job, the last one first."""
    statement = select(
        job_failures.c.attempt, job_failures.c.at, job_failures.c.worker, job_failures.c.reason, job_failures.c.trace
    ).where(job_failures.c.job == job)
    found = connection.execute(statement.order_by(job_failures.c.id.desc()))
    return [dict(row._mapping) for row in found]


def _matching(statement: Select[Any], queue: str, asked: JobFilter, connection: Connection) -> Select[Any]:
    return statement.where(jobs.c.queue == queue, *_conditions(asked, connection))


def _conditions(asked: JobFilter, connection: Connection) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool] | None] = [
        _states(asked.states) if asked.states else None,
        jobs.c.name == asked.name if asked.name is not None else None,
        _id(asked.id) if asked.id is not None else None,
        _holds(asked.text) if asked.text else None,
        _at_path(asked.path, asked.value, connection) if asked.path else None,
        jobs.c.failure.icontains(asked.failure, autoescape=True) if asked.failure else None,
        jobs.c.group_key == asked.group if asked.group is not None else None,
        jobs.c.created_at >= asked.since if asked.since is not None else None,
        jobs.c.created_at < asked.until if asked.until is not None else None,
    ]
    return [condition for condition in conditions if condition is not None]


def _states(states: tuple[JobState, ...]) -> ColumnElement[bool]:
    named = jobs.c.state.in_(states)
    # Said as the partial index says it, the index is used.
    if set(states) <= READY_JOBS:
        return and_(text(READY), named)
    if set(states) <= FINISHED_JOBS:
        return and_(text(FINISHED), named)
    if len(states) == 1 and states[0] in (JobState.ACTIVE, JobState.DELAYED):
        return and_(text(f"state = '{states[0]}'"))
    return named


def _id(job_id: str) -> ColumnElement[bool]:
    given = jobs.c.custom_id.startswith(job_id, autoescape=True)
    if job_id.isascii() and job_id.isdecimal() and len(job_id) < 19:
        return or_(given, jobs.c.seq == int(job_id))
    return given


def _holds(words: str) -> ColumnElement[bool]:
    return or_(jobs.c.payload.icontains(words, autoescape=True), jobs.c.name.icontains(words, autoescape=True))


def _at_path(path: str, value: str | None, connection: Connection) -> ColumnElement[bool]:
    parts = path.split(".")
    if not all(_PATH.fullmatch(part) for part in parts):
        raise Refused(f"{path!r} is no place in a payload: write address.city or items.0.sku")
    if connection.dialect.name == "sqlite":
        place = "$" + "".join(f"[{part}]" if part.isdigit() else f'."{part}"' for part in parts)
        found: ColumnElement[Any] = func.json_extract(jobs.c.payload, place)
    else:
        found = func.json_extract_path_text(text("payload::json"), *parts)
    if value is None:
        return found.is_not(None)
    words = {"true": "1", "false": "0"}.get(value, value) if connection.dialect.name == "sqlite" else value
    return cast(found, SqlString) == words
