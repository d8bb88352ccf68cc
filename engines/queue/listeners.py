"""Events of one worker, for whoever wrote its processor."""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from streamconsole.engines.queue.job import Job


class WorkerEvent(StrEnum):
    """What a worker tells; listeners get the job (None where there is none) and a value."""

    ACTIVE = "worker.job.active"
    """A job begins. Value: None."""

    PROCESSED = "worker.job.processed"
    """A job is done, and that is in the store. Value: its result."""

    ERRORED = "worker.job.errored"
    """An attempt failed, and that is in the store. Value: the failure."""

    ERROR = "worker.error"
    """Something else went wrong; the worker goes on. Value: what."""

    STALLED = "worker.job.stalled"
    """A dead worker's job was taken from it. Value: None."""

    DRAINED = "worker.drained"
    PAUSED = "worker.paused"
    RESUMED = "worker.resumed"
    CLOSING = "worker.closing"
    CLOSED = "worker.closed"


Listener = Callable[[Job | None, Any], None]


class Listeners:
    """Who listens to what. A listener that fails is logged, and harms nobody."""

    def __init__(self) -> None:
        self._by_event: dict[WorkerEvent, list[Listener]] = {}

    def add(self, event: WorkerEvent, listener: Listener) -> None:
        """Call it whenever that happens, in the loop's thread."""
        self._by_event.setdefault(event, []).append(listener)

    def wants(self, event: WorkerEvent) -> bool:
        """Whether anybody listens."""
        return event in self._by_event

    def tell(self, event: WorkerEvent, job: Job | None = None, value: Any = None) -> None:
        """Tell everybody who listens."""
        for listener in self._by_event.get(event, ()):
            try:
                listener(job, value)
            except Exception:
                logging.getLogger(__name__).exception("a listener to %s failed", event)
