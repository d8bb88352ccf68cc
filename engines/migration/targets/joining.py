"""The parts of a file joined while others are still made: at the end little is left to be done.

Only what can come next is joined: windows without a gap from the first one on, in the order of the source.
What is joined stays under a name of its own until all is there; a crash costs nothing but this work.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from streamconsole.engines.units import Window

SYNC_BYTES = 32 * 2**20
"""Bytes after which the disk is made to take them: all of them at the end would be waited for."""

Pieces = Callable[[int, bool], Iterable[bytes]]
"""What a part adds to the whole, by the offset at which it begins and whether it is the first with rows."""


class Joining:
    """One file in the making. Its methods are called one at a time, but from any thread.

    Args:
        path: where it is put together.
        pieces: of each part; nothing for one without rows.
    """

    def __init__(self, path: Path, pieces: Pieces) -> None:
        self.first = True
        self.upto = 0
        self._file = path.open("wb")
        self._pieces = pieces
        self._unsynced = 0

    def write(self, pieces: Iterable[bytes]) -> int:
        """Write pieces; gives how many there were."""
        count = 0
        for count, piece in enumerate(pieces, 1):  # noqa: B007 - what it comes to is the answer
            self._unsynced += self._file.write(piece)
        if self._unsynced > SYNC_BYTES:
            self._sync()
        return count

    def add(self, lo: int, hi: int) -> None:
        """Join the part of a range."""
        if self.write(self._pieces(lo, self.first)):
            self.first = False
        self.upto = hi

    def end(self) -> None:
        """All is there: make it durable."""
        self._sync()
        self._file.close()

    def close(self) -> None:
        """Let go of it."""
        with suppress(OSError):
            self._file.close()

    def _sync(self) -> None:
        self._file.flush()
        os.fdatasync(self._file.fileno())
        self._unsynced = 0


class JoiningAhead:
    """Joins parts in a thread, as windows are settled.

    Args:
        begin: begins the file.
    """

    def __init__(self, begin: Callable[[], Joining]) -> None:
        self._begin = begin
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="joining")
        self._settled: dict[int, Window] = {}
        self._next = 1
        self._joining: Joining | None = None
        self._given_up = False

    def settled(self, window: Window) -> None:
        """A window's part is there."""
        self._settled[window.number] = window
        if window.number == self._next and not self._given_up:
            self._thread.submit(self._advance)

    def taken(self) -> Joining | None:
        """What was joined, to be gone on with by the caller; None when it must be begun anew."""
        self._thread.shutdown()
        joining, self._joining = self._joining, None
        if joining is not None and self._given_up:
            joining.close()
            return None
        return joining

    def _advance(self) -> None:
        try:
            while (window := self._settled.pop(self._next, None)) is not None and not self._given_up:
                self._next += 1
                self._joining = self._joining or self._begin()
                # Ranges that were listed may come in any order.
                self._given_up = window.lo < self._joining.upto
                if not self._given_up:
                    self._joining.add(window.lo, window.hi)
        except Exception:
            # Whatever it is, half a part may stand there: joined anew at the end, where it is told what is wrong.
            self._given_up = True
