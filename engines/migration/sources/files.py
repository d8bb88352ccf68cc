"""The bytes of a source's file, wherever they lie: in the file itself, or laid out while it is unpacked."""

from __future__ import annotations

import hashlib
import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeGuard

from streamconsole.engines.errors import Refused, SideLost
from streamconsole.engines.units import Window

MAX_LINE = 16 * 2**20
"""Bytes a row may have; a longer one is refused unread."""

BOM = b"\xef\xbb\xbf"
HEAD_BYTES = 2**20
"""Bytes at the start of a file that are looked at to find out what it is."""

FINGERPRINT_BYTES = 65_536


class Readable(Protocol):
    """What is read forward from some offset."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, fewer than asked for only at the end."""
        ...


class FileBytes(Protocol):
    """Reads ranges of a file's bytes, in any process; small and picklable."""

    def read(self, lo: int, hi: int) -> bytes:
        """The bytes of a range.

        Raises:
            SideLost: they are not there any more.
        """
        ...


class SourceFile(Protocol):
    """A source's file, as the owner of the run has it. Offsets are those of the unpacked bytes."""

    @property
    def path(self) -> Path:
        """Where it is."""
        ...

    @property
    def content(self) -> FileBytes:
        """Reads windows that are laid out."""
        ...

    @property
    def size(self) -> int | None:
        """Bytes in it; None when that is known only at its end."""
        ...

    def at(self, offset: int) -> AbstractContextManager[Readable]:
        """The file from an offset on.

        Raises:
            OSError: it cannot be read.
            SideLost: it is broken there.
        """
        ...

    def lay_out(self, window: Window) -> None:
        """Make a window's bytes readable (blocking).

        Raises:
            SideLost: it is broken before they end.
        """
        ...

    def clear(self, window: Window) -> None:
        """A window is settled: its bytes are not needed any more."""
        ...

    def keep_from(self, offset: int) -> None:
        """What lies before is only needed where a window was cut from it."""
        ...

    def close(self) -> None:
        """Clear everything away. Safe to call twice."""
        ...


class FromFile(Protocol):
    """A source that reads a file."""

    @property
    def file(self) -> SourceFile:
        """The file."""
        ...


def reads_file(source: object) -> TypeGuard[FromFile]:
    """Whether a source, or the one behind its transforms, reads a file."""
    # Not by the protocol: Python 3.12 does not see attributes that are passed on.
    return hasattr(source, "file")


@dataclass(frozen=True, slots=True)
class PlainFile:
    """A file that is read as it is.

    Args:
        path: where it is.
    """

    path: Path

    @property
    def content(self) -> PlainFile:
        """Itself."""
        return self

    @property
    def size(self) -> int | None:
        """Bytes in it."""
        return self.path.stat().st_size

    def at(self, offset: int) -> BinaryIO:
        """The file from an offset on."""
        file = self.path.open("rb")
        file.seek(offset)
        return file

    def read(self, lo: int, hi: int) -> bytes:
        """The bytes of a range."""
        try:
            with self.at(lo) as file:
                block = file.read(hi - lo)
        except OSError as error:
            raise unreadable(self.path, error) from error
        if len(block) < hi - lo:
            raise SideLost("source", f"{self.path} has become shorter while it was read")
        return block

    def lay_out(self, window: Window) -> None:
        """It lies there."""

    def clear(self, window: Window) -> None:
        """It stays."""

    def keep_from(self, offset: int) -> None:
        """It stays."""

    def close(self) -> None:
        """Nothing is held open."""


def file_of(file: Path | SourceFile) -> SourceFile:
    """A path as a plain file; a file as it is."""
    return PlainFile(file) if isinstance(file, Path) else file


def bytes_of(file: Path | FileBytes) -> FileBytes:
    """The bytes of a path as they are; other bytes as they come."""
    return PlainFile(file) if isinstance(file, Path) else file


def unreadable(path: Path, error: OSError) -> SideLost:
    """The loss of a source's file."""
    return SideLost("source", f"{path} cannot be read any more: {error.strerror}")


def head_of(file: SourceFile, size: int = HEAD_BYTES) -> bytes:
    """The start of a file, without the mark some editors put first.

    Raises:
        Refused: missing, a folder, unreadable, empty, or UTF-16.
    """
    path = file.path
    if path.is_dir():
        raise Refused(f"{path} is a folder: name a file")
    try:
        with file.at(0) as opened:
            head = opened.read(size)
    except FileNotFoundError:
        raise Refused(f"{path} does not exist") from None
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}") from error
    except SideLost as error:
        raise Refused(str(error)) from error
    if not head:
        raise Refused(f"{path} is empty: there is nothing to move")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Refused(f"{path} is UTF-16: convert it to UTF-8 first (iconv -f utf-16 -t utf-8)")
    return head.removeprefix(BOM)


def more_of(file: Readable, size: int, *, enough: bool) -> bytes | None:
    """The next bytes; none at the end. None where the file is broken and there is enough for a window.

    Raises:
        SideLost: it is broken, and nothing before is left to be moved.
    """
    try:
        return file.read(size)
    except SideLost:
        if not enough:
            raise
        return None


def fingerprint(path: Path) -> dict[str, Any]:
    """Size, time of change, and a hash of head and tail of a file.

    Raises:
        SideLost: it cannot be read any more.
    """
    try:
        facts = path.stat()
        digest = hashlib.sha256()
        with path.open("rb") as file:
            digest.update(file.read(FINGERPRINT_BYTES))
            file.seek(max(0, facts.st_size - FINGERPRINT_BYTES), os.SEEK_SET)
            digest.update(file.read(FINGERPRINT_BYTES))
    except OSError as error:
        raise unreadable(path, error) from error
    return {"size": facts.st_size, "mtime_ns": facts.st_mtime_ns, "sha256": digest.hexdigest()}
