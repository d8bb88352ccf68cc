"""The lock manager: a worker is locked while it works."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class WorkerLocked(RuntimeError):
    """Something was started on a worker that is at work: a programming error."""


class LockManager:
    """Knows which workers are at work."""

    def __init__(self) -> None:
        self._locked: set[int] = set()

    def is_locked(self, worker: int) -> bool:
        """Whether the worker is at work."""
        return worker in self._locked

    @property
    def locked(self) -> int:
        """Workers at work."""
        return len(self._locked)

    @contextmanager
    def hold(self, worker: int) -> Iterator[None]:
        """Lock a worker for as long as the block runs; it unlocks itself at the end.

        Raises:
            WorkerLocked: it is locked already.
        """
        if worker in self._locked:
            raise WorkerLocked(f"worker {worker} is at work already")
        self._locked.add(worker)
        try:
            yield
        finally:
            self._locked.discard(worker)
