"""Reading a file that is uploaded: in large pieces, hashed as it is read, and watched for changes."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from streamconsole.engines.text import clean
from streamconsole.engines.transfer.digests import RunningDigest


class FileLost(Exception):
    """A file cannot be uploaded: it vanished, changed, or may not be read."""


@dataclass(frozen=True, slots=True)
class FileToSend:
    """A file to upload.

    Args:
        number: in the transfer, from 1.
        path: where it is.
        name: its name in the manifest.
        size: bytes, when it was looked at.
        mtime_ns: when it was changed, nanoseconds since the epoch.
        mode: permission bits.
    """

    number: int
    path: Path
    name: str
    size: int
    mtime_ns: int
    mode: int


class Reader:
    """Reads one file front to back, and the digest of it all with it. Used in threads, one at a time.

    Args:
        file: what is read.
        digest: of what comes before `hashed`.
        hashed: bytes that the digest holds already.
    """

    def __init__(self, file: FileToSend, digest: RunningDigest, hashed: int) -> None:
        self._file = file
        self._fd = -1
        self.digest = digest
        self.hashed = hashed

    def open(self) -> Self:
        """Open the file.

        Raises:
            FileLost: it cannot be read, or is not what was looked at.
        """
        try:
            self._fd = os.open(self._file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            raise FileLost(f"{_shown(self._file)} cannot be read: {error.strerror}") from None
        try:
            self.refuse_changed()
        except FileLost:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def refuse_changed(self) -> None:
        """Make sure that the file is still the one that was looked at.

        Raises:
            FileLost: it is not.
        """
        now = os.fstat(self._fd)
        if not stat.S_ISREG(now.st_mode) or (now.st_size, now.st_mtime_ns) != (self._file.size, self._file.mtime_ns):
            raise FileLost(f"{_shown(self._file)} changed while it was read: upload it again when it is at rest")

    def read(self, lo: int, size: int) -> memoryview:
        """Bytes from an offset; what the digest does not hold yet goes into it.

        Raises:
            FileLost: there is less than that, or it cannot be read.
        """
        data = memoryview(bytearray(size))
        done = 0
        try:
            while done < size:
                got = os.preadv(self._fd, [data[done:]], lo + done)
                if not got:
                    raise FileLost(f"{_shown(self._file)} became shorter while it was read: upload it again")
                done += got
        except OSError as error:
            raise FileLost(f"{_shown(self._file)} cannot be read at byte {lo:,}: {error.strerror}") from None
        if lo + size > self.hashed >= lo:
            self.digest.update(data[self.hashed - lo :])
            self.hashed = lo + size
        return data

    def read_all(self, ranges: Sequence[tuple[int, int]]) -> list[memoryview]:
        """Several (offset, size), in order; those that touch are read at once."""
        lo, hi = ranges[0][0], ranges[-1][0] + ranges[-1][1]
        data = self.read(lo, hi - lo)
        return [data[at - lo : at - lo + size] for at, size in ranges]


def _shown(file: FileToSend) -> str:
    return clean(str(file.path), limit=200)
