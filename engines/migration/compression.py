"""How a file is compressed, told by its name; what is compressed in pieces is one file when the pieces are joined."""

from __future__ import annotations

import gzip
from enum import StrEnum
from pathlib import Path

LEVEL_ZSTD, LEVEL_GZIP = 3, 6


class Compression(StrEnum):
    """Compression of a file."""

    NONE = ""
    GZIP = ".gz"
    ZSTD = ".zst"

    def compress(self, data: bytes) -> bytes:
        """A piece: a gzip member or a zstd frame of its own."""
        match self:
            case Compression.GZIP:
                return gzip.compress(data, LEVEL_GZIP, mtime=0)
            case Compression.ZSTD:
                import zstandard

                return zstandard.ZstdCompressor(level=LEVEL_ZSTD, write_checksum=True).compress(data)
        return data

    def decompress(self, data: bytes) -> bytes:
        """What a piece made by `compress` holds."""
        match self:
            case Compression.GZIP:
                return gzip.decompress(data)
            case Compression.ZSTD:
                import zstandard

                return zstandard.ZstdDecompressor().decompress(data)
        return data


def split_name(path: Path) -> tuple[str, Compression]:
    """A file's ending without that of its compression, in lower case, and its compression."""
    ending = path.suffix.lower()
    for compression in (Compression.GZIP, Compression.ZSTD):
        if ending == compression.value:
            return path.with_suffix("").suffix.lower(), compression
    return ending, Compression.NONE
