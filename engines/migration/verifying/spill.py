"""Hashes of many rows on both sides, kept in files by their first bits: which stand there more often on one side.

Memory is bounded whatever the number of rows: a part of them is counted at a time.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from streamconsole.engines.migration.sources.packed import private_folder
from streamconsole.engines.migration.verifying.digest import HASH_BYTES

PARTS = 64

COUNTED_AT_ONCE = 2**18
"""Hashes of a side that are counted at once, about."""


class Spill:
    """Private files of hashes; used as a context they are gone at its end."""

    def __init__(self) -> None:
        self._folder = private_folder()
        self._files: dict[tuple[int, int], BinaryIO] = {}

    def __enter__(self) -> Spill:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def add(self, side: int, hashes: list[bytes]) -> None:
        """Keep hashes of side 0 or 1."""
        # Sorted, those of a part lie together: a step of Python for each part, not for each row.
        ordered = b"".join(sorted(hashes))
        firsts = ordered[::HASH_BYTES]
        at = 0
        while at < len(firsts):
            part = firsts[at] * PARTS // 256
            end = _first_of(firsts, (part + 1) * 256 // PARTS, at)
            self._file(side, part).write(ordered[at * HASH_BYTES : end * HASH_BYTES])
            at = end

    def surplus(self) -> Iterator[tuple[Counter[bytes], Counter[bytes]]]:
        """Hashes that stand more often on side 0 than on side 1, and the other way round; some at a time."""
        for file in self._files.values():
            file.flush()
        for part in sorted({part for _, part in self._files}):
            ours, theirs = (self._path(side, part) for side in range(2))
            size = max(path.stat().st_size for path in (ours, theirs) if path.exists())
            turns = 1 + size // (COUNTED_AT_ONCE * HASH_BYTES)
            for turn in range(turns):
                mine, others = _counted(ours, turns, turn), _counted(theirs, turns, turn)
                yield mine - others, others - mine

    def _file(self, side: int, part: int) -> BinaryIO:
        if (side, part) not in self._files:
            self._files[side, part] = self._path(side, part).open("wb")
        return self._files[side, part]

    def _path(self, side: int, part: int) -> Path:
        return self._folder / f"{side}-{part}"


def _first_of(firsts: bytes, byte: int, at: int) -> int:
    """The first place at or after `at` in sorted bytes whose byte is not below another."""
    lo, hi = at, len(firsts)
    while lo < hi:
        middle = (lo + hi) // 2
        if firsts[middle] < byte:
            lo = middle + 1
        else:
            hi = middle
    return lo


def _counted(path: Path, turns: int, turn: int) -> Counter[bytes]:
    counted: Counter[bytes] = Counter()
    if not path.exists():
        return counted
    with path.open("rb") as file:
        while block := file.read(HASH_BYTES * 4_096):
            hashes = [block[at : at + HASH_BYTES] for at in range(0, len(block), HASH_BYTES)]
            counted.update(hashes if turns == 1 else [each for each in hashes if each[-1] % turns == turn])
    return counted
