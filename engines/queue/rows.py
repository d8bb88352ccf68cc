"""A job as it lies in its table, and the numbers that jobs are known by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from streamconsole.engines.errors import Refused
from streamconsole.engines.workspace.queue_tables import jobs


class JobRow(NamedTuple):
    """A row of the table of jobs; times are milliseconds since the epoch."""

    seq: int
    queue: str
    custom_id: str | None
    name: str
    payload: str
    options: str | None
    state: str
    priority: int
    position: int
    due_at: int | None
    group_key: str | None
    attempts_made: int
    stalled: int
    epoch: int
    node: str | None
    cancel: int
    progress: str | None
    result: str | None
    failure: str | None
    created_at: int
    started_at: int | None
    finished_at: int | None

    @property
    def id(self) -> str:
        """The job's id: the one it was given, or its number."""
        return self.custom_id if self.custom_id is not None else str(self.seq)


COLUMNS = ", ".join(JobRow._fields)

columns = [jobs.c[name] for name in JobRow._fields]
"""The columns in the order of a `JobRow`."""

MANY = 500
"""Numbers named in one statement: its parameters are bounded."""


def allocate(connection: Connection, count: int) -> Sequence[int]:
    """Fresh numbers, each later than every one before: for new jobs, and for places at the end of a line."""
    if connection.dialect.name != "sqlite":
        asked = "SELECT nextval(pg_get_serial_sequence('jobs', 'seq')) FROM generate_series(1, %s)"
        return [row[0] for row in connection.exec_driver_sql(asked, (count,))]
    # The write lock of the whole file is ours: nobody takes a number between.
    row = connection.exec_driver_sql(
        "UPDATE sqlite_sequence SET seq = seq + ? WHERE name = 'jobs' RETURNING seq", (count,)
    ).first()
    if row is None:
        connection.exec_driver_sql("INSERT INTO sqlite_sequence (name, seq) VALUES ('jobs', ?)", (count,))
    last = row[0] if row else count
    return range(last - count + 1, last + 1)


def find(connection: Connection, queue: str, job_id: str) -> JobRow | None:
    """The job of that id."""
    which = jobs.c.seq == int(job_id) if _is_number(job_id) else jobs.c.custom_id == job_id
    row = connection.execute(select(*columns).where(jobs.c.queue == queue, which)).first()
    return JobRow._make(row) if row else None


def get(connection: Connection, queue: str, job_id: str) -> JobRow:
    """The job of that id.

    Raises:
        Refused: there is none.
    """
    row = find(connection, queue, job_id)
    if row is None:
        raise Refused(f"queue {queue} has no job {job_id}: `streamconsole queue list {queue}` shows what there is")
    return row


def of_numbers(connection: Connection, numbers: Iterable[int]) -> list[JobRow]:
    """The jobs of those numbers that there are."""
    found: list[JobRow] = []
    for some in chunks(list(numbers)):
        found += map(JobRow._make, connection.execute(select(*columns).where(jobs.c.seq.in_(some))))
    return found


def chunks(items: list[Any], size: int = MANY) -> Iterable[list[Any]]:
    """The items in lists of bounded length."""
    return (items[at : at + size] for at in range(0, len(items), size))


def _is_number(job_id: str) -> bool:
    return job_id.isascii() and job_id.isdecimal() and len(job_id) < 19
