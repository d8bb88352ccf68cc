"""Compression: a compressor and a decompressor for each thread, whole chunks at a time.

zstandard's objects are not safe to share, and its readers hold the interpreter for long: `compress` and
`decompress` of a whole chunk let other threads run.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import zstandard

from streamconsole.engines.transfer.digests import Buffer

LIBRARY: Final = f"zstandard {zstandard.__version__}, libzstd {'.'.join(map(str, zstandard.ZSTD_VERSION))}"

SLICE: Final = 4096
"""Bytes of a stream decompressed at once: they become 128 MiB at the very most, which bounds a bomb."""

_of_thread = threading.local()


def pool() -> ThreadPoolExecutor:
    """Threads for hashing and compression, one a core."""
    return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="transfer-cpu")


def compress(data: Buffer, level: int) -> bytes:
    """One frame that says how much it holds."""
    compressors: dict[int, zstandard.ZstdCompressor] | None = getattr(_of_thread, "compressors", None)
    if compressors is None:
        compressors = _of_thread.compressors = {}
    if level not in compressors:
        compressors[level] = zstandard.ZstdCompressor(level=level, write_content_size=True)
    return compressors[level].compress(data)


def pack(data: Buffer, level: int) -> Buffer:
    """What is stored for a chunk: one frame, or the chunk as it is where a frame would not be smaller."""
    packed = compress(data, level)
    return packed if len(packed) < len(data) else data


def unpack(stored: Buffer, size: int) -> Buffer:
    """The chunk of `size` bytes that is stored so.

    Raises:
        ValueError: it is not one; nothing larger than `size` is made on the way.
    """
    if len(stored) == size:
        return stored
    try:
        if zstandard.frame_content_size(stored) != size:
            raise ValueError("it does not hold as much as the manifest says")
        data = _decompressor().decompress(stored, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise ValueError(f"it cannot be decompressed ({error})") from None
    return data


class Decompression:
    """A stream of frames, decompressed as it comes.

    Args:
        most: bytes that may come out, at most; None when nobody knows.
    """

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._stream: zstandard.ZstdDecompressionObj | None = None
        self.size = 0

    @property
    def between_frames(self) -> bool:
        """Whether everything that came belongs to frames that have ended."""
        return self._stream is None

    def feed(self, data: Buffer) -> tuple[list[bytes], tuple[int, int] | None]:
        """Decompress more of the stream.

        Returns:
            What comes out; and where the last frame that ended in it did: after so many of these pieces, and
            so many bytes of `data`. None when none ended.

        Raises:
            ValueError: not zstd, or more than was declared.
        """
        pieces: list[bytes] = []
        boundary: tuple[int, int] | None = None
        rest, taken = memoryview(data), 0
        while rest:
            part = rest[:SLICE]
            self._stream = self._stream or _decompressor().decompressobj()
            try:
                piece = self._stream.decompress(part)
            except zstandard.ZstdError as error:
                raise ValueError(f"the compressed stream is damaged ({error})") from None
            used = len(part)
            self._count(piece)
            if piece:
                pieces.append(piece)
            if self._stream.eof:
                used -= len(self._stream.unused_data)
                boundary = len(pieces), taken + used
                self._stream = None
            taken += used
            rest = rest[used:]
        return pieces, boundary

    def _count(self, piece: bytes) -> None:
        self.size += len(piece)
        if self._most is not None and self.size > self._most:
            raise ValueError(f"more comes out of the compressed stream than the {self._most:,} bytes declared")


def _decompressor() -> zstandard.ZstdDecompressor:
    decompressor: zstandard.ZstdDecompressor | None = getattr(_of_thread, "decompressor", None)
    if decompressor is None:
        decompressor = _of_thread.decompressor = zstandard.ZstdDecompressor()
    return decompressor
