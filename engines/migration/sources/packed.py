"""Compressed files: read once, forward, and windowed on the way.

Offsets are those of the unpacked bytes. What is cut is laid out as a private file per window, which
its worker reads wherever it is; a window that is done again is found by reading forward from the start.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from streamconsole.engines.errors import SideLost
from streamconsole.engines.migration.compression import Compression
from streamconsole.engines.migration.sources.files import Readable, unreadable
from streamconsole.engines.units import Window

BLOCK = 2**20
"""Bytes unpacked at once."""

MOST_KEPT = 64 * 2**20
"""Unpacked bytes that are kept in memory until they are cut, at most."""

LAID_OUT_MOST = 32 * 2**20
"""Bytes of a window that are laid out, at most: a longer row is refused unread."""

FOLDER = "streamconsole-unpacked-"


@dataclass(frozen=True, slots=True)
class LaidOut:
    """Reads windows that were laid out, in any process.

    Args:
        path: the compressed file, for errors.
        folder: where they lie.
    """

    path: Path
    folder: Path

    def read(self, lo: int, hi: int) -> bytes:
        """The bytes of a range that begins where a window does."""
        try:
            with (self.folder / str(lo)).open("rb") as file:
                return file.read(hi - lo)
        except OSError as error:
            raise SideLost("source", f"what was unpacked of {self.path} cannot be read: {error.strerror}") from error


class PackedFile:
    """A compressed file.

    Args:
        path: where it is.
        compression: how it is compressed.
    """

    def __init__(self, path: Path, compression: Compression) -> None:
        self.path = path
        self.size: int | None = None
        self._compression = compression
        self._lock = threading.RLock()
        self._folder: Path | None = None
        self._stream: IO[bytes] | None = None
        self._place = 0
        self._blocks: list[tuple[int, bytes]] = []

    @property
    def content(self) -> LaidOut:
        """Reads windows that are laid out."""
        return LaidOut(self.path, self._made_folder())

    @contextmanager
    def at(self, offset: int) -> Iterator[Readable]:
        """The file from an offset on; one caller at a time."""
        with self._lock:
            self._seek(offset)
            yield _From(self, offset)

    def lay_out(self, window: Window) -> None:
        """Write a window's bytes where its worker finds them, unless they are there."""
        with self._lock:
            place = self._made_folder() / str(window.lo)
            if place.exists():
                return
            self._seek(window.lo)
            unfinished = place.with_suffix(".part")
            with os.fdopen(os.open(unfinished, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
                left = min(window.hi - window.lo, LAID_OUT_MOST)
                view = _From(self, window.lo)
                while left and (block := view.read(min(left, BLOCK))):
                    file.write(block)
                    left -= len(block)
            unfinished.rename(place)

    def clear(self, window: Window) -> None:
        """A window is settled: its bytes are not needed any more."""
        if self._folder is not None:
            (self._folder / str(window.lo)).unlink(missing_ok=True)

    def keep_from(self, offset: int) -> None:
        """Let go of what lies before."""
        with self._lock:
            self._blocks = [(at, block) for at, block in self._blocks if at + len(block) > offset]

    def close(self) -> None:
        """Clear everything away. Safe to call twice."""
        with self._lock:
            if self._stream is not None:
                self._stream.close()
                self._stream = None
            self._blocks.clear()
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None

    def __del__(self) -> None:
        with suppress(Exception):
            self.close()

    # Unpacking ---------------------------------------------------------------------------------

    def block_at(self, offset: int) -> bytes:
        """Bytes from an offset on, as many as are at hand; none at the end."""
        while True:
            for at, block in self._blocks:
                if at <= offset < at + len(block):
                    return block[offset - at :] if offset > at else block
            if not self._unpack():
                return b""

    def _seek(self, offset: int) -> None:
        known = self._blocks and self._blocks[0][0] <= offset
        if self._stream is None or (offset < self._place and not known):
            self._rewind()
        while self._place < offset:
            if not self._unpack():
                return
            if self._place < offset:
                self._blocks.clear()

    def _rewind(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._blocks.clear()
        self._place = 0
        self._stream = self._open()

    def _open(self) -> IO[bytes]:
        try:
            if self._compression is Compression.GZIP:
                import gzip

                return gzip.open(self.path, "rb")  # type: ignore[return-value]
            import zstandard

            file = self.path.open("rb")
            return zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True, closefd=True)
        except OSError as error:
            raise unreadable(self.path, error) from error

    def _unpack(self) -> bool:
        """Unpack one block more; False at the end.

        Raises:
            SideLost: the file is broken there, or gone.
        """
        assert self._stream is not None
        try:
            # Not `read`: that goes on until it has all, and keeps nothing of it when the file breaks off.
            block = self._stream.read1(BLOCK)  # type: ignore[attr-defined]
        except (EOFError, zlib.error) as error:
            raise self._broken(error) from error
        except OSError as error:
            raise (self._broken(error) if error.errno is None else unreadable(self.path, error)) from error
        except Exception as error:
            # The errors of zstandard have no base but Exception.
            if type(error).__module__.split(".")[0] != "zstandard":
                raise
            raise self._broken(error) from error
        if not block:
            self._refuse_cut_off()
            return False
        self._blocks.append((self._place, block))
        self._place += len(block)
        if len(self._blocks) > 2 and sum(len(each) for _, each in self._blocks) > MOST_KEPT:
            # A row without an end: its head is shown, its middle is nobody's.
            del self._blocks[-2]
        return True

    def _refuse_cut_off(self) -> None:
        """Zstandard says nothing of a last frame without an end."""
        if self._compression is not Compression.ZSTD or self._is_whole():
            return
        raise SideLost(
            "source", f"{self.path} is cut off: it ends in the middle of a frame, after {self._place:,} bytes"
        )

    def _is_whole(self) -> bool:
        import zstandard

        unpacker = zstandard.ZstdDecompressor().decompressobj(read_across_frames=False)
        ended = True
        with self.path.open("rb") as file:
            while block := file.read(BLOCK):
                while block:
                    if unpacker.eof:
                        unpacker = zstandard.ZstdDecompressor().decompressobj(read_across_frames=False)
                    unpacker.decompress(block)
                    block, ended = unpacker.unused_data, unpacker.eof
        return ended

    def _broken(self, error: Exception) -> SideLost:
        return SideLost("source", f"{self.path} is broken or cut off after {self._place:,} unpacked bytes: {error}")

    def _made_folder(self) -> Path:
        if self._folder is None:
            self._folder = private_folder()
        return self._folder


class _From:
    """Reads a packed file forward from an offset."""

    def __init__(self, file: PackedFile, offset: int) -> None:
        self._file = file
        self._offset = offset

    def read(self, size: int, /) -> bytes:
        """So many bytes, fewer only at the end, or where the file is broken: the next call says so."""
        blocks: list[bytes] = []
        try:
            while size > 0 and (block := self._file.block_at(self._offset)):
                block = block[:size]
                blocks.append(block)
                self._offset += len(block)
                size -= len(block)
        except SideLost:
            # What is there comes first, the bad news next.
            if not blocks:
                raise
        return b"".join(blocks)


def private_folder() -> Path:
    """A new folder for what nobody else is to read; its maker removes it, or whoever comes after its end."""
    sweep()
    return Path(tempfile.mkdtemp(prefix=f"{FOLDER}{os.getpid()}-"))


def sweep() -> None:
    """Remove what processes that were killed have left."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER}*"):
        pid = folder.name.removeprefix(FOLDER).partition("-")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists() and Path("/proc/self").exists():
            shutil.rmtree(folder, ignore_errors=True)
