"""Brings what is in SQLite's log into the database file while the writing goes on.

Left to SQLite it is the writer that copies and waits for the disk, a quarter of a second each time.
Done beside it, by a connection that never makes the writer wait, little is left for the writer's own.
"""

from __future__ import annotations

import sqlite3
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

EVERY_WINDOWS = 2
"""Windows between two beginnings."""


class Checkpoints:
    """Checkpoints of one file, in a thread.

    Args:
        connection: to the file, of its own, usable in any thread.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        # The log is opened now: later there might be another file in its place.
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-checkpoints")
        self._running: Future[None] | None = None
        self._written = 0

    def wrote(self) -> None:
        """A window is committed: begin with a checkpoint when it is time. From any thread."""
        self._written += 1
        if self._written >= EVERY_WINDOWS and (self._running is None or self._running.done()):
            self._written = 0
            self._running = self._thread.submit(self._checkpoint)

    def close(self) -> None:
        """Wait for the one at work, and let go of the file. Safe to call twice."""
        self._thread.shutdown()
        self._connection.close()

    def _checkpoint(self) -> None:
        # What is wrong with the file the writer will be told, too.
        with suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
