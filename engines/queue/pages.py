"""Jobs of a queue in pages, for whoever looks at them: by key, a bounded part of them at a time.

A page says where the next one begins. A search goes through the jobs in parts and ends each reading when its
time is up: a million jobs never make a reader wait, they only make him ask again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from time import monotonic
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, func, literal, or_, select, text, tuple_

from streamconsole.engines.queue import rows
from streamconsole.engines.queue.states import JobState
from streamconsole.engines.workspace.queue_tables import READY, jobs

BUDGET = 0.008
"""Seconds after which a reading begins no further part."""

PART = 300
"""Jobs that one part of a search looks at."""

UNREAD_PART = 5_000
"""Jobs in a part when nothing of them but their number is read."""

SHOWN = 300
"""Characters of a payload or a failure that a line has."""

Key = tuple[int, ...]
"""Where a job stands in the order of its shelf; its last part is the job's number."""


class Shelf(StrEnum):
    """Jobs that stand in one order."""

    WAITING = "waiting"
    """Ready ones, prioritized too; the next one first."""
    ACTIVE = "active"
    """The newest first."""
    DELAYED = "delayed"
    """The next one first."""
    COMPLETED = "completed"
    """The latest first."""
    FAILED = "failed"
    """The latest first."""
    ALL = "all"
    """Of any state, the newest first."""


class JobLine(NamedTuple):
    """A job in a list; texts are cut, times are milliseconds since the epoch."""

    seq: int
    custom_id: str | None
    name: str
    state: str
    priority: int
    attempts_made: int
    due_at: int | None
    cancel: int
    created_at: int
    started_at: int | None
    finished_at: int | None
    progress: str | None
    failure: str | None
    payload: str

    @property
    def id(self) -> str:
        """The job's id: the one it was given, or its number."""
        return self.custom_id if self.custom_id is not None else str(self.seq)


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a shelf.

    Args:
        lines: jobs that match, in the shelf's order.
        after: where to go on; None when the end was reached.
        looked_at: jobs that were looked at for it.
    """

    lines: tuple[JobLine, ...]
    after: Key | None
    looked_at: int


_CUT = {"progress", "failure", "payload"}
_COLUMNS = [func.substr(jobs.c[name], 1, SHOWN) if name in _CUT else jobs.c[name] for name in JobLine._fields]

_KEYS: dict[Shelf, tuple[ColumnElement[int], ...]] = {
    Shelf.WAITING: (jobs.c.priority, jobs.c.position, jobs.c.seq),
    # Sorted as an expression: SQLite would walk the whole table in its order to find the few that are active.
    Shelf.ACTIVE: (jobs.c.seq + 0,),
    Shelf.DELAYED: (jobs.c.due_at, jobs.c.seq),
    Shelf.COMPLETED: (jobs.c.finished_at, jobs.c.seq),
    Shelf.FAILED: (jobs.c.finished_at, jobs.c.seq),
    Shelf.ALL: (jobs.c.seq,),
}
_RISING = {Shelf.WAITING, Shelf.DELAYED}


def page(
    connection: Connection, queue: str, shelf: Shelf, words: str = "", after: Key | None = None, limit: int = 200
) -> Page:
    """The next jobs of a shelf, `limit` at most; fewer when time is up (then `after` says where to go on).

    Args:
        connection: to read from.
        queue: its name.
        shelf: which jobs, in which order.
        words: somewhere in the id, the name, the payload or the failure, whatever their case.
        after: the page before this one ended there.
        limit: most jobs to give.
    """
    found: list[JobLine] = []
    looked_at, until = 0, monotonic() + BUDGET
    part = PART if words or shelf is Shelf.ALL else limit
    while len(found) < limit:
        keys = _keys(connection, queue, shelf, after, part)
        looked_at += len(keys)
        matching = _lines(connection, queue, [key[-1] for key in keys], words)
        for key in keys:
            after = key
            if key[-1] in matching:
                found.append(matching[key[-1]])
                if len(found) == limit:
                    break
        if len(keys) < part and (not keys or after == keys[-1]):
            return Page(tuple(found), None, looked_at)
        if monotonic() >= until:
            break
    return Page(tuple(found), after, looked_at)


def numbers(
    connection: Connection, queue: str, shelf: Shelf, words: str = "", after: Key | None = None
) -> tuple[list[int], Key | None]:
    """Numbers of the next jobs that match, and where to go on: to choose them all, a part at a time."""
    found: list[int] = []
    until = monotonic() + BUDGET
    part = PART if words or shelf is Shelf.ALL else UNREAD_PART
    while True:
        keys = _keys(connection, queue, shelf, after, part)
        some = [key[-1] for key in keys]
        if part == PART:
            matching = _lines(connection, queue, some, words)
            some = [number for number in some if number in matching]
        found += some
        if len(keys) < part:
            return found, None
        after = keys[-1]
        if monotonic() >= until:
            return found, after


def lines(connection: Connection, queue: str, wanted: Sequence[int]) -> dict[int, JobLine]:
    """Jobs by number, as they are now; those that are gone are left out."""
    return _lines(connection, queue, wanted, "")


def _keys(connection: Connection, queue: str, shelf: Shelf, after: Key | None, limit: int) -> list[Key]:
    keys = _KEYS[shelf]
    statement = select(*keys).where(*_standing(queue, shelf)).limit(limit)
    if after is not None:
        here, there = tuple_(*keys), tuple_(*(literal(part) for part in after))
        statement = statement.where(here > there if shelf in _RISING else here < there)
    statement = statement.order_by(*(key if shelf in _RISING else key.desc() for key in keys))
    return [tuple(row) for row in connection.execute(statement)]


def _standing(queue: str, shelf: Shelf) -> list[ColumnElement[bool]]:
    # Said as the partial indexes say it, they are used. No index has all jobs of a queue: those of others are
    # left out when the lines are read.
    mine = jobs.c.queue == queue
    match shelf:
        case Shelf.ALL:
            return []
        case Shelf.WAITING:
            return [mine, and_(text(READY))]
        case Shelf.ACTIVE | Shelf.DELAYED:
            return [mine, and_(text(f"state = '{shelf}'"))]
        case _:
            return [mine, jobs.c.state == str(shelf), and_(text("state IN ('completed', 'failed')"))]


def _lines(connection: Connection, queue: str, wanted: Sequence[int], words: str) -> dict[int, JobLine]:
    found: dict[int, JobLine] = {}
    for some in rows.chunks(list(wanted)):
        statement: Select[Any] = select(*_COLUMNS).where(jobs.c.seq.in_(some), jobs.c.queue == queue)
        if words:
            statement = statement.where(_holds(words))
        found |= {row[0]: JobLine._make(row) for row in connection.execute(statement)}
    return found


def _holds(words: str) -> ColumnElement[bool]:
    places = (jobs.c.custom_id, jobs.c.name, jobs.c.payload, jobs.c.failure)
    held = [place.icontains(words, autoescape=True) for place in places]
    if words.isascii() and words.isdecimal() and len(words) < 19:
        held.append(jobs.c.seq == int(words))
    return or_(*held)


def states_of(shelf: Shelf) -> tuple[JobState, ...]:
    """The states of the jobs on a shelf."""
    match shelf:
        case Shelf.ALL:
            return tuple(JobState)
        case Shelf.WAITING:
            return JobState.WAITING, JobState.PRIORITIZED
        case _:
            return (JobState(str(shelf)),)
