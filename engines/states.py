"""The words for what is worked on and the states it can be in."""

from __future__ import annotations

from enum import StrEnum


class EngineKind(StrEnum):
    """The four engines."""

    MIGRATION = "migration"
    QUEUE = "queue"
    TRANSFER = "transfer"
    PROCESS = "process"


class RunState(StrEnum):
    """States of a run. `failure` means that a side was lost; it resumes."""

    PLANNED = "planned"
    RUNNING = "running"
    PAUSED = "paused"
    FAILURE = "failure"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class WindowState(StrEnum):
    """States of a window of rows."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


class ChunkState(StrEnum):
    """States of a chunk. `present`: it was there already, nothing was sent."""

    BUFFERED = "buffered"
    SENDING = "sending"
    RETRYING = "retrying"
    STORED = "stored"
    PRESENT = "present"
    FAILED = "failed"


class FileState(StrEnum):
    """States of a file of a transfer. `done`: uploaded, or downloaded and in its place."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


SETTLED_CHUNKS = frozenset({ChunkState.STORED, ChunkState.PRESENT})

FINISHED_RUNS = frozenset({RunState.COMPLETED, RunState.CANCELLED})
