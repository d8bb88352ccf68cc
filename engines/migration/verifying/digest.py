"""What many rows come to: one number, whatever their order, that a doubled row changes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

HASH_BYTES = 16

MODULUS = 2 ** (8 * HASH_BYTES)


@dataclass(frozen=True, slots=True)
class Digest:
    """Of a multiset of rows: two of them added are the digest of both together.

    Args:
        rows: how many.
        total: sum of their hashes, modulo 2**128.
    """

    rows: int = 0
    total: int = 0

    def __add__(self, other: Digest) -> Digest:
        return Digest(self.rows + other.rows, (self.total + other.total) % MODULUS)

    @property
    def text(self) -> str:
        """The sum as 32 hexadecimal digits."""
        return f"{self.total:0{2 * HASH_BYTES}x}"

    @classmethod
    def read(cls, rows: int, text: str) -> Digest:
        """The digest whose sum was written as `text`."""
        return cls(rows, int(text, 16))


NO_ROWS = Digest()


def hashes_of(rows: Iterable[bytes]) -> list[bytes]:
    """The hash of each row, given in its canonical form."""
    return [blake2b(row, digest_size=HASH_BYTES).digest() for row in rows]


def digest_of(hashes: list[bytes]) -> Digest:
    """The digest of rows whose hashes these are."""
    return Digest(len(hashes), sum(map(int.from_bytes, hashes)) % MODULUS)
