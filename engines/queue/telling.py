"""Tells the bus and a worker's listeners what happens, as far as anybody listens."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from streamconsole.engines.bus import Bus
from streamconsole.engines.queue import events
from streamconsole.engines.queue.finishing import End, Outcome
from streamconsole.engines.queue.job import Job
from streamconsole.engines.queue.listeners import Listeners, WorkerEvent
from streamconsole.engines.queue.rows import JobRow
from streamconsole.engines.states import EngineKind

QUEUE = EngineKind.QUEUE


class Teller:
    """Says what a worker has to say."""

    def __init__(self, bus: Bus | None, listeners: Listeners, queue: str) -> None:
        self._bus = bus
        self._listeners = listeners
        self._queue = queue

    def active(self, job: Job) -> None:
        """A job begins."""
        if self._bus is not None:
            self._bus.publish(
                events.JobActive(engine=QUEUE, run=self._queue, job=job.id, attempt=job.attempts_made + 1)
            )
        if self._listeners.wants(WorkerEvent.ACTIVE):
            self._listeners.tell(WorkerEvent.ACTIVE, job)

    def ended(self, job: Job, outcome: Outcome) -> None:
        """How an attempt ended is in the store."""
        if self._bus is not None:
            self._publish_end(self._bus, job, outcome)
        if outcome.end is End.COMPLETED:
            if self._listeners.wants(WorkerEvent.PROCESSED):
                value = None if outcome.text is None else orjson.loads(outcome.text)
                self._listeners.tell(WorkerEvent.PROCESSED, job, value)
        elif outcome.end is not End.HANDED_BACK:
            self._listeners.tell(WorkerEvent.ERRORED, job, outcome.text)

    def _publish_end(self, bus: Bus, job: Job, outcome: Outcome) -> None:
        queue, text = self._queue, outcome.text or ""
        if outcome.end is End.COMPLETED:
            bus.publish(events.JobCompleted(engine=QUEUE, run=queue, job=job.id))
        elif outcome.end is End.FAILED:
            bus.publish(events.JobFailed(engine=QUEUE, run=queue, job=job.id, failure=text))
        elif outcome.end is End.RETRY:
            bus.publish(events.JobDelayed(engine=QUEUE, run=queue, job=job.id, failure=text, pause=outcome.pause))
        else:
            bus.publish(events.JobHandedBack(engine=QUEUE, run=queue, job=job.id))

    def progressed(self, jobs: Sequence[Job]) -> None:
        """Jobs said how far they are."""
        if self._bus is None:
            return
        for job in jobs:
            if job.row.progress is not None:
                self._bus.publish(
                    events.JobProgressed(engine=QUEUE, run=self._queue, job=job.id, progress=job.row.progress)
                )

    def stalled(self, lost: list[JobRow]) -> None:
        """Jobs were taken from a dead worker."""
        for row in lost:
            if self._bus is not None:
                self._bus.publish(events.JobStalled(engine=QUEUE, run=row.queue, job=row.id))
            self._listeners.tell(WorkerEvent.STALLED, Job(row))

    def overdue(self, job: Job, why: str) -> None:
        """A job does not stop."""
        if self._bus is not None:
            self._bus.publish(events.JobOverdue(engine=QUEUE, run=self._queue, job=job.id, why=why))
        self._listeners.tell(WorkerEvent.ERROR, job, why)

    def blocked(self, jobs: Sequence[Job], place: str, seconds: float) -> None:
        """A processor holds up the loop. From the watchdog's thread: listeners live in the loop, and hear nothing."""
        if self._bus is not None:
            names = ", ".join(job.id for job in jobs[:5])
            self._bus.publish(
                events.LoopBlocked(engine=QUEUE, run=self._queue, jobs=names, place=place, seconds=round(seconds, 1))
            )

    def drained(self) -> None:
        """Nothing waits any more."""
        if self._bus is not None:
            self._bus.publish(events.QueueDrained(engine=QUEUE, run=self._queue))
        self._listeners.tell(WorkerEvent.DRAINED)

    def troubled(self, reason: str) -> None:
        """Something could not be done."""
        if self._bus is not None:
            self._bus.publish(events.WorkerTroubled(engine=QUEUE, run=self._queue, reason=reason))
        self._listeners.tell(WorkerEvent.ERROR, None, reason)
