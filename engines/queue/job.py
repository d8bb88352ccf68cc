"""A job as its processor and its queue's users see it."""

from __future__ import annotations

import threading
from collections.abc import Generator
from typing import Any, Protocol

import orjson
from sqlalchemy import Connection

from streamconsole.engines.errors import StaleEpoch
from streamconsole.engines.queue import finishing
from streamconsole.engines.queue.notes import Noted
from streamconsole.engines.queue.options import DEFAULT_OPTIONS, JobOptions
from streamconsole.engines.queue.payloads import to_text
from streamconsole.engines.queue.rows import JobRow
from streamconsole.engines.queue.states import JobState

MAX_LINE = 8_192
"""Characters of a log line; what is longer is cut."""


class Desk(Protocol):
    """Where a job at work hands in what is to be written down."""

    def noted(self, job: Job) -> None:
        """The job has something new to say."""
        ...


class _Noted:
    """Nothing to wait for, but may be awaited, as in BullMQ."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


NOTED = _Noted()


class UnrecoverableError(Exception):
    """Raised by a processor: this job fails now, whatever attempts it has left."""


class Job:
    """A job: what is known of it and, while it is active, what its processor can do.

    In a processor `update_progress` and `add_log` may be called from the event loop or a thread; they
    reach the store at once (at most ten times a second) and need not be awaited.
    """

    __slots__ = (
        "_desk",
        "_lines",
        "_lock",
        "_options",
        "_payload",
        "_progress",
        "cancelled",
        "row",
        "settled",
        "stop_asked",
    )

    cancelled: bool
    """An operator has cancelled it."""

    stop_asked: bool
    """It should stop: it was cancelled, its time is up, or its worker closes. For what runs in a thread."""

    settled: bool
    """It was completed in the processor's own transaction."""

    def __init__(self, row: JobRow, desk: Desk | None = None) -> None:
        self.row = row
        self.cancelled = False
        self.settled = False
        self.stop_asked = False
        self._desk = desk
        self._payload: Any = _UNREAD
        self._options: JobOptions | None = None
        self._progress: str | None = None
        self._lines: list[str] | None = None
        self._lock: threading.Lock | None = None

    def __repr__(self) -> str:
        return f"<Job {self.id} {self.name} of {self.queue}: {self.state}>"

    @property
    def id(self) -> str:
        """Its id: the one it was given, or its number."""
        return self.row.id

    @property
    def queue(self) -> str:
        """Name of its queue."""
        return self.row.queue

    @property
    def name(self) -> str:
        """What kind of job it is."""
        return self.row.name

    @property
    def payload(self) -> Any:
        """What it was given, from JSON."""
        if self._payload is _UNREAD:
            self._payload = orjson.loads(self.row.payload)
        return self._payload

    @property
    def options(self) -> JobOptions:
        """How it is treated."""
        if self.row.options is None:
            return DEFAULT_OPTIONS
        if self._options is None:
            self._options = JobOptions.model_validate_json(self.row.options)
        return self._options

    @property
    def state(self) -> JobState:
        """Its state when it was read."""
        return JobState(self.row.state)

    @property
    def progress(self) -> Any:
        """What it said last of its progress."""
        text = self._progress if self._progress is not None else self.row.progress
        return None if text is None else orjson.loads(text)

    @property
    def result(self) -> Any:
        """What its processor gave back."""
        return None if self.row.result is None else orjson.loads(self.row.result)

    @property
    def failure(self) -> str | None:
        """Why its last attempt failed."""
        return self.row.failure

    @property
    def attempts_made(self) -> int:
        """Attempts that have ended."""
        return self.row.attempts_made

    @property
    def attempts_started(self) -> int:
        """How often it was taken by a worker; also the epoch of its present claim."""
        return self.row.epoch

    # At work -------------------------------------------------------------------------------------

    def update_progress(self, progress: Any) -> _Noted:
        """Say how far it is: a number, or anything that is JSON.

        Raises:
            Refused: not JSON.
        """
        text = to_text(progress, f"progress of job {self.id}")
        with self._guard():
            self._progress = text
        return self._tell()

    def add_log(self, line: str) -> _Noted:
        """Add a line to its log."""
        text = str(line)[:MAX_LINE]
        with self._guard():
            self._lines = [*(self._lines or ()), text]
        return self._tell()

    def complete(self, connection: Connection, result: Any = None) -> None:
        """Complete it in a transaction of the workspace's database: its effect there happens exactly once.

        To be called in the transaction that has the effect; roll back, and neither has happened. The
        processor returns after the commit; what it returns then is not looked at.

        Raises:
            StaleEpoch: another worker has the job by now; nothing of this transaction may be committed.
            Refused: the result is not JSON.
        """
        text = to_text(result, f"result of job {self.id}")
        outcome = finishing.Outcome(
            self.row.seq, self.row.epoch, self.row.priority, finishing.End.COMPLETED, text,
            attempt=self.row.attempts_made + 1, options=self._asked(), noted=self.take_noted(),
        )  # fmt: skip
        if finishing.finish(connection, self.queue, [outcome], ""):
            raise StaleEpoch(f"job {self.id} of queue {self.queue} has been given to another worker")
        self.settled = True

    def take_noted(self) -> Noted | None:
        """What it has said since the last time."""
        if self._lock is None:
            return None
        with self._lock:
            lines, self._lines = tuple(self._lines or ()), None
            progress, self._progress = self._progress, None
            if progress is not None:
                self.row = self.row._replace(progress=progress)
        if progress is None and not lines:
            return None
        return Noted(self.row.seq, self.row.epoch, progress, lines, self.options.keep_logs)

    def _asked(self) -> JobOptions | None:
        return None if self.row.options is None else self.options

    def _guard(self) -> threading.Lock:
        # Made only for jobs that say something: most do not.
        if self._lock is None:
            self._lock = threading.Lock()
        return self._lock

    def _tell(self) -> _Noted:
        if self._desk is not None:
            self._desk.noted(self)
        return NOTED


_UNREAD = object()
