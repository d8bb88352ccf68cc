"""How big the next chunk is. The length of a stream is not known, so only what is buffered counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

MOST_CHUNKS: Final = 65_536
"""Chunks of a file, about: the chunks of larger files are larger, so that a manifest stays small."""

LARGEST: Final = 16 * MIB
"""Bytes in a chunk, at most, however large the file is."""


@dataclass(frozen=True, slots=True)
class ChunkSizes:
    """Bounds of a chunk, in bytes.

    Args:
        most: what a chunk holds when that much is there.
        least: what a chunk is not halved below.
    """

    most: int = 512 * KIB
    least: int = 4 * KIB


DEFAULT: Final = ChunkSizes()


def next_chunk_size(buffered: int, *, ended: bool = False, sizes: ChunkSizes = DEFAULT) -> int:
    """Bytes to cut off a buffer now.

    `sizes.most` when that much is buffered; otherwise that halved until it fits, not below `sizes.least`;
    below that 0 (wait for more), unless the stream has ended: then what remains is the chunk.

    Args:
        buffered: bytes that are there.
        ended: whether no more will come.
        sizes: the bounds, 512 KiB and 4 KiB by default.
    """
    size = sizes.most
    while size > max(buffered, sizes.least):
        size = max(size // 2, sizes.least)
    if size <= buffered:
        return size
    return buffered if ended else 0


def chunk_size_for(size: int, wanted: int) -> int:
    """Bytes in a chunk of a file of `size` bytes: as wanted, doubled while there would be too many chunks."""
    while size > wanted * MOST_CHUNKS and wanted < LARGEST:
        wanted *= 2
    return wanted
