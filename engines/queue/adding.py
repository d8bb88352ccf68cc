"""Adding jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, update

from streamconsole.engines.errors import Refused
from streamconsole.engines.queue import counts, deduplication, journal, registry, rows
from streamconsole.engines.queue.options import DEFAULT_OPTIONS, DEFAULT_SETTINGS, JobOptions
from streamconsole.engines.queue.prepared import Prepared
from streamconsole.engines.queue.registry import QueueRow
from streamconsole.engines.queue.rows import COLUMNS, JobRow
from streamconsole.engines.queue.states import Happened, JobState, ready_state
from streamconsole.engines.workspace.clock import now_ms
from streamconsole.engines.workspace.queue_tables import queues
from streamconsole.engines.workspace.writer import Bulk

_INSERT = Prepared(f"INSERT INTO jobs ({COLUMNS}) VALUES ({', '.join(f':{name}' for name in JobRow._fields)})")


@dataclass(frozen=True, slots=True)
class NewJobs:
    """A job for `add_bulk`."""

    name: str
    payload: Any = None
    options: JobOptions | Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be added; `payload` is JSON text."""

    queue: str
    name: str
    payload: str
    options: JobOptions = DEFAULT_OPTIONS


def add_many(connection: Connection, new: Sequence[NewJob]) -> list[JobRow]:
    """Add jobs; gives each as it lies in the workspace: the one that was there before, for a duplicate.

    Raises:
        Refused: a payload is too large for its queue.
    """
    adding = _Adding(connection)
    for number, job in zip(rows.allocate(connection, len(new)), new, strict=True):
        adding.take(job, number)
    adding.finish()
    return adding.results


ADD: Bulk = Bulk("queue.add", add_many)


class _Adding:
    """One transaction's new jobs: rows gather, and are written together."""

    def __init__(self, connection: Connection) -> None:
        self.results: list[JobRow] = []
        self._connection = connection
        self._now = now_ms()
        self._queues: dict[str, QueueRow] = {}
        self._fresh: list[JobRow] = []

    def take(self, job: NewJob, number: int) -> None:
        queue = self._queues.get(job.queue) or self._open(job.queue)
        options = effective(queue, job.options)
        if len(job.payload) > queue.settings.max_payload:
            raise Refused(too_large(job.name, len(job.payload), queue.settings.max_payload))
        if options is DEFAULT_OPTIONS:
            row = _plain_row(job, number, self._now)
        else:
            row = _row(job, options, number, self._now)
            if (known := self._known(queue, row, options)) is not None:
                self.results.append(known)
                return
        self._fresh.append(row)
        self.results.append(row)

    def finish(self) -> None:
        self._write()

    def _open(self, name: str) -> QueueRow:
        self._queues[name] = registry.ensure(self._connection, name)
        return self._queues[name]

    def _known(self, queue: QueueRow, row: JobRow, options: JobOptions) -> JobRow | None:
        """The job that this one is the same as."""
        if row.group_key is not None and not queue.grouped:
            self._connection.execute(update(queues).where(queues.c.name == queue.name).values(grouped=1))
            self._queues[queue.name] = replace(queue, grouped=True)
        if row.custom_id is None and options.deduplication is None:
            return None
        # Those before it must be there to be found.
        self._write()
        if row.custom_id is not None and (same := rows.find(self._connection, row.queue, row.custom_id)) is not None:
            journal.append(self._connection, self._now, row.queue, Happened.DUPLICATED, [same.seq])
            return same
        if options.deduplication is None:
            return None
        return deduplication.look(self._connection, row, options.deduplication, self._now)

    def _write(self) -> None:
        if not self._fresh:
            return
        _INSERT.many(self._connection, self._fresh)
        for queue in self._queues:
            mine = [row for row in self._fresh if row.queue == queue] if len(self._queues) > 1 else self._fresh
            journal.append(self._connection, self._now, queue, Happened.ADDED, [row.seq for row in mine])
            states = Counter(row.state for row in mine)
            counts.moved(self._connection, queue, {JobState(state): count for state, count in states.items()})
        self._fresh = []


def effective(queue: QueueRow, options: JobOptions) -> JobOptions:
    """A job's options over the defaults of its queue."""
    if queue.settings is DEFAULT_SETTINGS:
        return options
    defaults = queue.settings.defaults
    if defaults == DEFAULT_OPTIONS:
        return options
    given = {name: getattr(options, name) for name in options.model_fields_set}
    return defaults.model_copy(update=given)


def too_large(name: str, size: int, limit: int) -> str:
    """The refusal of a payload."""
    return (
        f"the payload of job {name!r} has {size:,} bytes, more than the {limit:,} allowed: "
        "keep it elsewhere and pass its place"
    )


def _plain_row(job: NewJob, number: int, now: int) -> JobRow:
    return JobRow(
        number, job.queue, None, job.name, job.payload, None, "waiting", 0, number, None, None,
        0, 0, 0, None, 0, None, None, None, now, None, None,
    )  # fmt: skip


def _row(job: NewJob, options: JobOptions, number: int, now: int) -> JobRow:
    return _plain_row(job, number, now)._replace(
        custom_id=options.job_id,
        options=options.to_text(),
        state=str(JobState.DELAYED if options.delay else ready_state(options.priority)),
        priority=options.priority,
        position=-number if options.lifo else number,
        due_at=now + options.delay if options.delay else None,
        group_key=options.group,
    )
