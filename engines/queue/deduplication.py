"""Deduplication: which job an id stands for, and for how long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from streamconsole.engines.queue import journal, rows
from streamconsole.engines.queue.options import Deduplication
from streamconsole.engines.queue.rows import JobRow
from streamconsole.engines.queue.states import Happened, JobState
from streamconsole.engines.workspace.queue_tables import jobs, queue_deduplication

_table = queue_deduplication


def look(connection: Connection, new: JobRow, asked: Deduplication, now: int) -> JobRow | None:
    """The job that a new one is the same as; else the id stands for the new one from now on."""
    key = (_table.c.queue == new.queue, _table.c.id == asked.id)
    holder = connection.execute(select(_table.c.job, _table.c.expires_at).where(*key)).first()
    expires_at = now + asked.ttl if asked.ttl is not None else None
    if holder is None or (holder.expires_at is not None and holder.expires_at <= now):
        connection.execute(delete(_table).where(*key))
        connection.execute(insert(_table).values(queue=new.queue, id=asked.id, job=new.seq, expires_at=expires_at))
        return None
    if asked.extend and expires_at is not None:
        connection.execute(update(_table).where(*key).values(expires_at=expires_at))
    same = rows.of_numbers(connection, [holder.job])
    if not same:
        # It is gone (removed on completion) and the id is still held for its time: nothing is added.
        journal.append(connection, now, new.queue, Happened.DEDUPLICATED, [holder.job])
        return new._replace(seq=holder.job, custom_id=None, state=str(JobState.COMPLETED))
    return _same(connection, same[0], new, replace=asked.replace, now=now)


def _same(connection: Connection, same: JobRow, new: JobRow, *, replace: bool, now: int) -> JobRow:
    if replace and same.state == JobState.DELAYED:
        fresh: dict[str, Any] = {"name": new.name, "payload": new.payload, "due_at": new.due_at or now}
        connection.execute(update(jobs).where(jobs.c.seq == same.seq).values(**fresh))
        same = same._replace(**fresh)
    journal.append(connection, now, new.queue, Happened.DEDUPLICATED, [same.seq])
    return same


def release(connection: Connection, finished: Sequence[int]) -> None:
    """Ids without a time of their own are free again once their job has finished or gone."""
    for some in rows.chunks(list(finished)):
        connection.execute(delete(_table).where(_table.c.job.in_(some), _table.c.expires_at.is_(None)))
