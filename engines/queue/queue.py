"""The queue as its users see it: everything that can be asked of it, from any process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection

from streamconsole.engines.bus import Bus
from streamconsole.engines.errors import Refused
from streamconsole.engines.queue import (
    adding,
    counts,
    events,
    groups,
    journal,
    notes,
    registry,
    rows,
    schedulers,
    search,
    verbs,
)
from streamconsole.engines.queue.adding import ADD, NewJob, NewJobs
from streamconsole.engines.queue.counts import Minute
from streamconsole.engines.queue.hub import hub_of
from streamconsole.engines.queue.job import Job
from streamconsole.engines.queue.journal import QueueEvent
from streamconsole.engines.queue.notes import LogLine
from streamconsole.engines.queue.options import DEFAULT_OPTIONS, JobOptions, QueueSettings, checked, over
from streamconsole.engines.queue.payloads import to_text
from streamconsole.engines.queue.rows import JobRow
from streamconsole.engines.queue.schedulers import Schedule, Scheduler
from streamconsole.engines.queue.search import ALL, JobFilter
from streamconsole.engines.queue.states import JobState
from streamconsole.engines.states import EngineKind
from streamconsole.engines.text import clean
from streamconsole.engines.workspace import Workspace
from streamconsole.engines.workspace.clock import now_ms

T = TypeVar("T")

ROUND = 500
"""Jobs changed in one transaction by a verb for many."""

BULK = 2_000
"""Jobs added in one transaction: others share the file."""


class Queue:
    """A queue of a workspace, made with its first job.

    Args:
        workspace: where it is.
        name: 1 to 200 printable characters.
        defaults: options of the jobs that this object adds, where they do not say otherwise.
        bus: is told what this object does.

    Every verb raises `Refused` when what it is asked cannot be done.
    """

    def __init__(
        self, workspace: Workspace, name: str, *, defaults: JobOptions | None = None, bus: Bus | None = None
    ) -> None:
        self.name = registry.name_of(name)
        self.workspace = workspace
        self._defaults = defaults
        self._bus = bus
        self._hub = hub_of(workspace)

    # Adding --------------------------------------------------------------------------------------

    async def add(
        self, name: str, payload: Any = None, options: JobOptions | Mapping[str, Any] | None = None, **given: Any
    ) -> Job:
        """Add a job; it is in the store when this comes back.

        Args:
            name: what kind of job it is.
            payload: anything that is JSON.
            options: as `JobOptions` or a mapping.
            given: options as keywords (`delay=5000`), over the others.
        """
        new = self._new(name, payload, over(options, given) if given else options)
        row: JobRow = await self.workspace.write_bulk(ADD, new)
        self._added([row])
        return Job(row)

    async def add_bulk(self, new: Iterable[NewJobs | tuple[Any, ...]]) -> list[Job]:
        """Add many jobs: (name, payload, options). Each 2,000 are one transaction."""
        ready = [self._new_of(each) for each in new]
        added: list[JobRow] = []
        for some in rows.chunks(ready, BULK):
            added += await self.workspace.write(adding.add_many, some)
            self._added(added[-len(some) :])
        return [Job(row) for row in added]

    def add_in(
        self,
        connection: Connection,
        name: str,
        payload: Any = None,
        options: JobOptions | Mapping[str, Any] | None = None,
    ) -> Job:
        """Add a job in the caller's own transaction of the workspace's database: both commit, or neither."""
        with self.workspace.found_on(connection):
            row = adding.add_many(connection, [self._new(name, payload, options)])[0]
        self._hub.changed(self.name)
        return Job(row)

    # Looking -------------------------------------------------------------------------------------

    async def get(self, job_id: str) -> Job | None:
        """The job of that id."""
        row = await self.workspace.read(rows.find, self.name, job_id)
        return Job(row) if row else None

    async def jobs(self, asked: JobFilter = ALL, *, limit: int = 100, offset: int = 0) -> list[Job]:
        """Jobs that match, newest first (those that wait: the next one first)."""

        def read(connection: Connection) -> list[JobRow]:
            return search.find(connection, self.name, asked, limit=limit, offset=offset)

        return [Job(row) for row in await self.workspace.read(read)]

    async def count(self, asked: JobFilter = ALL) -> int:
        """How many jobs match."""
        return await self.workspace.read(search.count, self.name, asked)

    async def counts(self) -> dict[JobState, int]:
        """Jobs by state."""
        return await self.workspace.read(counts.of, self.name)

    async def metrics(self, minutes: int = 60) -> list[Minute]:
        """What was done in each of the last minutes in which something was."""
        now = now_ms()
        return await self.workspace.read(counts.metrics, self.name, now - minutes * 60_000, now)

    async def logs(self, job_id: str, after: int = 0) -> list[LogLine]:
        """A job's log after a line, oldest first."""

        def read(connection: Connection) -> list[LogLine]:
            return notes.lines(connection, rows.get(connection, self.name, job_id).seq, after)

        return await self.workspace.read(read)

    async def failures(self, job_id: str) -> list[dict[str, Any]]:
        """A job's failed attempts with their stacks, the last one first."""

        def read(connection: Connection) -> list[dict[str, Any]]:
            return search.failures(connection, rows.get(connection, self.name, job_id).seq)

        return await self.workspace.read(read)

    async def timeline(self, job_id: str) -> list[QueueEvent]:
        """What happened to a job, as far as it is kept, oldest first."""

        def read(connection: Connection) -> list[QueueEvent]:
            return journal.of_job(connection, rows.get(connection, self.name, job_id).seq)

        return await self.workspace.read(read)

    async def events(self, after: int | None = None) -> AsyncIterator[QueueEvent]:
        """What happens in the queue, by any process, as it happens; never ends by itself.

        Args:
            after: id of the last event already seen; None for those from now on.
        """
        changed = asyncio.Event()

        def wake(queue: str | None) -> None:
            if queue in (None, self.name):
                changed.set()

        self._hub.listen(wake)
        try:
            seen = await self.workspace.read(journal.newest) if after is None else after
            while True:
                changed.clear()
                for event in await self.workspace.read(journal.since, seen, self.name):
                    seen = event.id
                    yield event
                    changed.set()
                if not changed.is_set():
                    await _until(changed, 0.25)
        finally:
            self._hub.unlisten(wake)

    # One job -------------------------------------------------------------------------------------

    async def retry(self, job_id: str) -> Job:
        """A failed (or completed) job waits again, with all its attempts before it."""
        return await self._one(verbs.retry, job_id, "has not finished: there is nothing to retry")

    async def promote(self, job_id: str) -> Job:
        """A delayed job is ready now."""
        return await self._one(verbs.promote, job_id, "is not delayed")

    async def cancel(self, job_id: str) -> Job:
        """A job fails as cancelled; an active one is stopped, wherever it is (see the worker for how)."""
        return await self._one(verbs.cancel, job_id, "has finished already")

    async def remove(self, job_id: str) -> None:
        """Remove a job that is not active."""

        def change(connection: Connection) -> int:
            return verbs.remove(connection, self.name, [rows.get(connection, self.name, job_id).seq])

        if not await self._write(change):
            raise Refused(f"job {job_id} of queue {self.name} is active: cancel it first")

    async def change_delay(self, job_id: str, delay: int) -> Job:
        """Let a delayed job wait so many milliseconds from now."""
        return Job(await self._write(verbs.change_delay, self.name, job_id, delay))

    async def change_priority(self, job_id: str, priority: int, *, lifo: bool = False) -> Job:
        """Give a job that has not started another priority."""

        def change(connection: Connection) -> JobRow:
            return verbs.change_priority(connection, self.name, job_id, priority, lifo=lifo)

        return Job(await self._write(change))

    async def update(self, job_id: str, payload: Any) -> Job:
        """Give a job another payload."""
        text = to_text(payload, f"payload of job {job_id}")
        return Job(await self._write(verbs.update_payload, self.name, job_id, text))

    # Many jobs -----------------------------------------------------------------------------------

    async def retry_all(self, asked: JobFilter | None = None, told: Callable[[int], None] | None = None) -> int:
        """Retry all that match (all failed ones, by default); gives how many."""
        return await self._all(verbs.retry, asked or JobFilter(states=(JobState.FAILED,)), told)

    async def promote_all(self, asked: JobFilter | None = None, told: Callable[[int], None] | None = None) -> int:
        """Promote all delayed jobs that match; gives how many."""
        return await self._all(verbs.promote, asked or JobFilter(states=(JobState.DELAYED,)), told)

    async def cancel_all(self, asked: JobFilter, told: Callable[[int], None] | None = None) -> int:
        """Cancel all that match; gives how many."""
        return await self._all(verbs.cancel, asked, told)

    async def remove_all(self, asked: JobFilter, told: Callable[[int], None] | None = None) -> int:
        """Remove all that match and are not active; gives how many."""
        return await self._all(verbs.remove, asked, told)

    async def drain(self, *, delayed: bool = False) -> int:
        """Remove all that wait (and are delayed); gives how many."""

        def some(connection: Connection) -> int:
            return verbs.drain(connection, self.name, delayed=delayed)

        return await self._until_none(some)

    async def clean(self, state: JobState, *, grace: int = 0, limit: int | None = None) -> int:
        """Remove jobs of a state older than `grace` milliseconds, `limit` at most; gives how many."""
        total = 0
        while limit is None or total < limit:
            left = 10**9 if limit is None else limit - total
            gone = await self._write(verbs.clean, self.name, state, grace, left)
            total += gone
            if not gone:
                break
        return total

    async def obliterate(self, *, force: bool = False) -> int:
        """Remove the queue with everything in it; it must be paused. Gives how many jobs went."""

        def some(connection: Connection) -> int:
            return verbs.obliterate(connection, self.name, force=force)

        return await self._until_none(some)

    # The queue -----------------------------------------------------------------------------------

    async def pause(self) -> bool:
        """No job starts any more, at no worker; active ones end. Whether that changed anything."""
        changed: bool = await self._write(registry.set_paused, self.name, True)
        self._publish(events.QueuePaused(engine=EngineKind.QUEUE, run=self.name))
        return changed

    async def resume(self) -> bool:
        """Jobs start again. Whether that changed anything."""
        changed: bool = await self._write(registry.set_paused, self.name, False)
        self._publish(events.QueueResumed(engine=EngineKind.QUEUE, run=self.name))
        return changed

    async def is_paused(self) -> bool:
        """Whether it is paused."""
        found = await self.workspace.read(registry.find, self.name)
        return found is not None and found.paused

    async def pause_group(self, key: str) -> None:
        """No job of a group starts any more."""
        await self._write(groups.set_paused, self.name, key, True)

    async def resume_group(self, key: str) -> None:
        """Jobs of a group start again."""
        await self._write(groups.set_paused, self.name, key, False)

    async def settings(self) -> QueueSettings:
        """How it is treated."""
        found = await self.workspace.read(registry.find, self.name)
        return found.settings if found else QueueSettings()

    async def configure(self, settings: QueueSettings | None = None, **given: Any) -> QueueSettings:
        """Set it up: all settings anew, or those given as keywords."""
        before = settings or await self.settings()
        chosen = checked(QueueSettings, before.model_dump() | given, f"settings of queue {self.name}")
        await self._write(registry.configure, self.name, chosen)
        return chosen

    async def upsert_scheduler(self, scheduler: str, schedule: Schedule | None = None, **given: Any) -> Scheduler:
        """Make or change a schedule: a `Schedule`, or its parts as keywords; `payload` may be any JSON value."""
        if schedule is None:
            if "payload" in given:
                given["payload"] = to_text(given["payload"], f"payload of schedule {scheduler}")
            schedule = checked(Schedule, given, f"schedule {scheduler}")
        made: Scheduler = await self._write(schedulers.upsert, self.name, scheduler, schedule)
        return made

    async def schedulers(self) -> list[Scheduler]:
        """All its schedules."""
        return await self.workspace.read(schedulers.listing, self.name)

    async def remove_scheduler(self, scheduler: str) -> None:
        """Remove a schedule; jobs it has made stay."""
        await self._write(schedulers.remove, self.name, scheduler)

    # Inside --------------------------------------------------------------------------------------

    def _new(self, name: str, payload: Any, options: JobOptions | Mapping[str, Any] | None) -> NewJob:
        if not 0 < len(name) <= 200:
            raise Refused(f"{clean(name, limit=60)!r} cannot be a job's name: 1 to 200 characters")
        chosen = self._options(name, options)
        text = to_text(payload, f"payload of job {name!r}")
        if chosen.size_limit is not None and len(text.encode()) > chosen.size_limit:
            raise Refused(adding.too_large(name, len(text.encode()), chosen.size_limit))
        return NewJob(self.name, name, text, chosen)

    def _options(self, name: str, options: JobOptions | Mapping[str, Any] | None) -> JobOptions:
        if options is None:
            return self._defaults or DEFAULT_OPTIONS
        given = options if isinstance(options, JobOptions) else checked(JobOptions, options, f"options of job {name!r}")
        if self._defaults is None:
            return given
        return self._defaults.model_copy(update={field: getattr(given, field) for field in given.model_fields_set})

    def _new_of(self, each: NewJobs | tuple[Any, ...]) -> NewJob:
        if isinstance(each, NewJobs):
            return self._new(each.name, each.payload, each.options)
        name, payload, options = (*each, None, None)[:3]
        return self._new(name, payload, options)

    def _added(self, added: Sequence[JobRow]) -> None:
        self._hub.changed(self.name)
        if self._bus is not None:
            for row in added:
                self._bus.publish(events.JobAdded(engine=EngineKind.QUEUE, run=self.name, job=row.id))

    async def _write(self, change: Callable[..., T], *args: Any) -> T:
        result = await self.workspace.write(change, *args)
        self._hub.changed(self.name)
        return result

    async def _one(self, verb: Callable[[Connection, str, Sequence[int]], int], job_id: str, refusal: str) -> Job:
        def change(connection: Connection) -> JobRow:
            row = rows.get(connection, self.name, job_id)
            if not verb(connection, self.name, [row.seq]):
                raise Refused(f"job {job_id} of queue {self.name} is {row.state}: it {refusal}")
            return rows.get(connection, self.name, job_id)

        return Job(await self._write(change))

    async def _all(
        self,
        verb: Callable[[Connection, str, Sequence[int]], int],
        asked: JobFilter,
        told: Callable[[int], None] | None,
    ) -> int:
        """Change all that match, some at a time; what is added meanwhile is not meant."""
        total, after = 0, 0
        newest = await self.workspace.read(search.newest)
        while True:
            some = await self.workspace.read(search.numbers_after, self.name, asked, newest, after, ROUND)
            if not some:
                return total
            total += await self._write(verb, self.name, some)
            after = some[-1]
            if told is not None:
                told(total)

    async def _until_none(self, some: Callable[[Connection], int]) -> int:
        total = 0
        while gone := await self._write(some):
            total += gone
        return total

    def _publish(self, event: Any) -> None:
        if self._bus is not None:
            self._bus.publish(event)


async def _until(changed: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await changed.wait()
    except TimeoutError:
        return
