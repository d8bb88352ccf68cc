"""Schedules: jobs made by the clock, each moment once, whichever process looks first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import Field, model_validator
from sqlalchemy import Connection, delete, insert, select, update

from streamconsole.engines.errors import Refused
from streamconsole.engines.queue import adding, registry, rows
from streamconsole.engines.queue.options import JobOptions, Key, Millis, Model
from streamconsole.engines.queue.prepared import Prepared
from streamconsole.engines.queue.states import FINISHED_JOBS, JobState
from streamconsole.engines.workspace.clock import now_ms
from streamconsole.engines.workspace.queue_tables import queue_schedulers

CATCH_UP = 1_000
"""Missed moments made up for at once, at most."""

_DUE = Prepared(
    "SELECT id, spec, next_at, fired, last_job FROM queue_schedulers WHERE queue = :queue AND next_at <= :now"
)
_table = queue_schedulers


class Schedule(Model):
    """When jobs are made, and which.

    Args:
        cron: five fields (six with seconds first), read in the time zone `tz`.
        every: instead of `cron`, a fixed distance.
        tz: name of a time zone (`Europe/Berlin`); UTC by default.
        start: not before (milliseconds since the epoch), `end`: not after.
        limit: jobs made at most.
        catch_up: what becomes of moments missed while nobody looked: `skip` all, `one` job for all of
            them, or `all`.
        overlap: `allow` another job while the last one has not finished, or `skip` it.
        name: of the jobs; the schedule's id by default.
        payload: of the jobs, as JSON text.
        options: of the jobs.
    """

    cron: str | None = None
    every: Annotated[Millis, Field(ge=1)] | None = None
    tz: str = "UTC"
    start: int | None = None
    end: int | None = None
    limit: Annotated[int, Field(ge=1)] | None = None
    catch_up: Literal["skip", "one", "all"] = "one"
    overlap: Literal["allow", "skip"] = "allow"
    name: Key | None = None
    payload: str = "null"
    options: JobOptions = JobOptions()

    @model_validator(mode="after")
    def _one_kind(self) -> Schedule:
        if (self.cron is None) is (self.every is None):
            raise ValueError("give either cron or every")
        try:
            zone = ZoneInfo(self.tz)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"there is no time zone {self.tz!r}: write one like Europe/Berlin") from None
        if self.cron is not None:
            try:
                next(CronSim(self.cron, datetime.now(zone)))
            except CronSimError as error:
                raise ValueError(f"{self.cron!r} is no cron expression ({error}): write one like '0 3 * * *'") from None
            except StopIteration:
                raise ValueError(f"{self.cron!r} names no moment that will ever come") from None
        if self.options.job_id is not None:
            raise ValueError("a schedule's jobs get ids of their own: leave out job_id")
        return self

    def after(self, moment: int) -> int | None:
        """The next moment after one; None when there is none."""
        moment = max(moment, (self.start or 0) - 1)
        if self.every is not None:
            # Counted from `start` (or the epoch), so that a restart does not shift it.
            base = self.start or 0
            found = base + (max(moment - base, -1) // self.every + 1) * self.every
        else:
            found = self._cron_after(moment)
            if found < 0:
                return None
        return found if self.end is None or found <= self.end else None

    def _cron_after(self, moment: int) -> int:
        assert self.cron is not None
        begin = datetime.fromtimestamp(moment / 1000, UTC).astimezone(ZoneInfo(self.tz))
        found = next(CronSim(self.cron, begin), None)
        return -1 if found is None else int(found.timestamp() * 1000)

    def missed(self, first: int, now: int) -> Iterator[int]:
        """Moments from `first` up to now."""
        moment: int | None = first
        while moment is not None and moment <= now:
            yield moment
            moment = self.after(moment)


@dataclass(frozen=True, slots=True)
class Scheduler:
    """A schedule as it lies in the workspace.

    Args:
        next_at: when it makes its next job (milliseconds since the epoch); None when it has ended.
        fired: jobs made so far.
    """

    id: str
    schedule: Schedule
    next_at: int | None
    fired: int


def upsert(connection: Connection, queue: str, scheduler: str, schedule: Schedule) -> Scheduler:
    """Make a schedule, or change it; what it has made so far counts on."""
    registry.ensure(connection, queue)
    known = find(connection, queue, scheduler)
    if known is not None and known.schedule == schedule:
        return known
    next_at = schedule.after(now_ms())
    values = {"spec": schedule.model_dump_json(exclude_defaults=True), "next_at": next_at}
    if known is None:
        fresh = {"queue": queue, "id": scheduler, "fired": 0} | values
        connection.execute(insert(_table).values(**fresh))
    else:
        connection.execute(update(_table).where(_table.c.queue == queue, _table.c.id == scheduler).values(**values))
    return Scheduler(scheduler, schedule, next_at, known.fired if known else 0)


def find(connection: Connection, queue: str, scheduler: str) -> Scheduler | None:
    """The schedule of that id."""
    row = connection.execute(select(_table).where(_table.c.queue == queue, _table.c.id == scheduler)).first()
    return _scheduler(row) if row else None


def listing(connection: Connection, queue: str) -> list[Scheduler]:
    """All schedules of a queue."""
    found = connection.execute(select(_table).where(_table.c.queue == queue).order_by(_table.c.id))
    return [_scheduler(row) for row in found]


def remove(connection: Connection, queue: str, scheduler: str) -> None:
    """Remove a schedule; jobs it has made stay.

    Raises:
        Refused: there is none of that id.
    """
    gone = connection.execute(delete(_table).where(_table.c.queue == queue, _table.c.id == scheduler))
    if not gone.rowcount:
        raise Refused(f"queue {queue} has no schedule {scheduler}")


def fire_due(connection: Connection, queue: str, now: int) -> None:
    """Make the jobs of schedules that are due."""
    for row in _DUE.one(connection, queue, now).all():
        _fire(connection, queue, row, Schedule.model_validate_json(row.spec), now)


def _fire(connection: Connection, queue: str, row: Any, schedule: Schedule, now: int) -> None:
    missed = list(islice(schedule.missed(row.next_at, now), CATCH_UP))
    due, last = _to_make(connection, row.last_job, schedule, missed, now), row.last_job
    if schedule.limit is not None:
        due = due[: schedule.limit - row.fired]
    for moment in due:
        options = schedule.options.model_copy(update={"job_id": f"{row.id}@{moment}"})
        new = adding.NewJob(queue, schedule.name or row.id, schedule.payload, options)
        last = adding.add_many(connection, [new])[0].seq
    fired = row.fired + len(due)
    ended = schedule.limit is not None and fired >= schedule.limit
    connection.execute(
        update(_table)
        .where(_table.c.queue == queue, _table.c.id == row.id)
        .values(next_at=None if ended else schedule.after(max(now, missed[-1])), fired=fired, last_job=last)
    )


def _to_make(connection: Connection, last: int | None, schedule: Schedule, missed: list[int], now: int) -> list[int]:
    """The moments for which a job is made."""
    if schedule.overlap == "skip" and last is not None:
        before = rows.of_numbers(connection, [last])
        if before and JobState(before[0].state) not in FINISHED_JOBS:
            return []
    if schedule.catch_up == "all":
        return missed[:1] if schedule.overlap == "skip" else missed
    late = len(missed) > 1 or now - missed[-1] > LATE_MS
    return [] if late and schedule.catch_up == "skip" else missed[-1:]


LATE_MS = 5_000
"""A moment this long ago has been missed; sooner, it is just being seen to."""


def _scheduler(row: Any) -> Scheduler:
    return Scheduler(row.id, Schedule.model_validate_json(row.spec), row.next_at, row.fired)
