"""The file a download fills: under another name until it is whole, checked, and durable."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from streamconsole.engines import faults, private_files
from streamconsole.engines.errors import SideLost
from streamconsole.engines.text import clean
from streamconsole.engines.transfer.chunks import Chunk
from streamconsole.engines.transfer.digests import Buffer, RunningDigest, digest_of

NO_ROOM = {"ENOSPC", "EDQUOT", "EROFS", "EIO"}

SUFFIX = ".streamconsole-part"


class WrongFile(Exception):
    """A file could not be put together; nothing is left under its own name."""


def part_path(path: Path) -> Path:
    """Where a file or folder is put together."""
    return path.with_name(f".{path.name}{SUFFIX}")


class Part:
    """A file that is being put together. Its methods block: call them in threads.

    Args:
        path: where it is put together.
        shown: names it in errors.
    """

    def __init__(self, path: Path, shown: str) -> None:
        self.path = path
        self.found = 0
        self.size = 0
        self._shown = clean(shown, limit=200)
        self._state = path.with_name(path.name + ".state")
        self._digest = RunningDigest()
        self._fd = -1
        self._list = ""

    def open(self) -> None:
        """Open it; `found` says how many bytes an earlier attempt left."""
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            self.found = os.fstat(self._fd).st_size
        except OSError as error:
            raise self._told(error) from None

    def close(self) -> None:
        """Let go of it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def write_at(self, lo: int, data: Buffer) -> None:
        """Put bytes where they belong; several threads may."""
        rest = memoryview(data)
        try:
            while rest:
                done = os.pwrite(self._fd, rest, lo)
                rest, lo = rest[done:], lo + done
        except OSError as error:
            raise self._told(error) from None

    def read_if(self, chunk: Chunk) -> Buffer | None:
        """A chunk that is there already; None when something else is."""
        data = self._read(chunk.lo, chunk.size)
        return data if len(data) == chunk.size and digest_of(data) == chunk.digest else None

    def hash(self, pieces: Sequence[Buffer]) -> None:
        """Take the next bytes of the file into its digest."""
        for piece in pieces:
            self._digest.update(piece)
            self.size += len(piece)

    def append(self, pieces: Sequence[Buffer], keep: tuple[int, int] | None) -> None:
        """Write and hash the next bytes.

        Args:
            pieces: the bytes.
            keep: after so many pieces, so many bytes of the compressed stream are dealt with, which is to be
                remembered; None for not now.
        """
        if keep is not None:
            self._append(pieces[: keep[0]])
            about = {"list": self._list, "size": self.size, "packed": keep[1], "sha256": self._digest.hexdigest()}
            private_files.write(self._state, orjson.dumps(about))
        self._append(pieces[keep[0] :] if keep is not None else pieces)

    def _append(self, pieces: Sequence[Buffer]) -> None:
        for piece in pieces:
            self.write_at(self.size, piece)
            self.hash([piece])

    def take_up(self, digests: Sequence[str]) -> int:
        """Go on with what an earlier attempt wrote, as far as it is seen to be right.

        Args:
            digests: of the chunks; what was begun with others is not gone on with.

        Returns:
            Bytes of the compressed stream that are dealt with.
        """
        self._list = digest_of("".join(digests).encode())
        about = self._remembered()
        size = about.get("size", 0)
        if about.get("list") == self._list and 0 < size <= self.found:
            for lo in range(0, size, 1 << 22):
                self.hash([self._read(lo, min(1 << 22, size - lo))])
            if self._digest.hexdigest() == about.get("sha256"):
                return int(about["packed"])
        self._digest, self.size = RunningDigest(), 0
        return 0

    def check(self, size: int | None, sha256: str | None) -> str:
        """Make sure that the whole is right; gives its digest.

        Raises:
            WrongFile: it is not.
        """
        digest = self._digest.hexdigest()
        if size is not None and self.size != size:
            raise WrongFile(f"{self._shown}: it came out as {self.size:,} bytes, the manifest says {size:,}")
        if sha256 is not None and digest != sha256:
            raise WrongFile(f"{self._shown}: its digest is {digest[:12]}…, the manifest says {sha256[:12]}…")
        return digest

    def put_in_place(self, path: Path, mode: int | None = None, mtime_ns: int | None = None) -> None:
        """Make it durable and give it its name."""
        try:
            os.ftruncate(self._fd, self.size)
            os.fchmod(self._fd, (0o666 & ~_umask()) if mode is None else mode & 0o7777)
            if mtime_ns is not None:
                os.utime(self._fd, ns=(mtime_ns, mtime_ns))
            os.fsync(self._fd)
            self.close()
            self.path.rename(path)
            sync_folder(path.parent)
            faults.reach("download.renamed")
            self._state.unlink(missing_ok=True)
        except OSError as error:
            raise self._told(error) from None

    def discard(self) -> None:
        """Remove what turned out to be wrong."""
        self.close()
        for path in (self.path, self._state):
            with suppress(OSError):
                path.unlink()

    def _read(self, lo: int, size: int) -> memoryview:
        data = memoryview(bytearray(size))
        done = 0
        while done < size and (got := os.preadv(self._fd, [data[done:]], lo + done)):
            done += got
        return data[:done]

    def _remembered(self) -> dict[str, Any]:
        try:
            about = orjson.loads(self._state.read_bytes())
            numbers = type(about["size"]) is int and type(about["packed"]) is int
            return about if numbers else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def _told(self, error: OSError) -> Exception:
        return cannot_write(self._shown, error)


def cannot_write(shown: str, error: OSError) -> Exception:
    """What an error in writing means: the side is lost when the disk is full, the file when it is not."""
    import errno

    text = f"{clean(shown, limit=200)} cannot be written: {error.strerror}"
    if errno.errorcode.get(error.errno or 0) in NO_ROOM:
        return SideLost("target", f"{text}: free some space there, then resume")
    return WrongFile(text)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
