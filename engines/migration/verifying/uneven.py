"""Which rows one side has and the other has not, in bounded memory: two passes over both sides.

The first keeps the hashes of their rows (see `spill`); the second brings the rows of those that are not
even, as many as are to be named.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any

from streamconsole.engines.errors import SideLost
from streamconsole.engines.migration.verifying.digest import hashes_of
from streamconsole.engines.migration.verifying.side import Stored
from streamconsole.engines.migration.verifying.spill import Spill

ROWS_HELD = 2_000
"""Rows of a side that are held at once, at most."""

BYTES_HELD = 16 * 2**20
"""Bytes of them, about."""

Rows = Callable[[], AsyncIterator[list[Stored]]]
"""Reads a side from its beginning."""


InThread = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Uneven:
    """What was found.

    Args:
        source: rows that the target has not (or fewer times), as many as are held.
        target: rows that the source has not (or fewer times), as many as are held.
        missing: how many there are of the former.
        extra: how many there are of the latter.
    """

    source: list[Stored]
    target: list[Stored]
    missing: int
    extra: int

    @property
    def whole(self) -> bool:
        """Whether all of them are held."""
        return len(self.source) == self.missing and len(self.target) == self.extra


async def uneven(
    source: Rows, target: Rows, *, contained: bool = False, in_thread: InThread = asyncio.to_thread
) -> Uneven:
    """Find rows that do not stand on both sides equally often, told by their `Stored.key`.

    Args:
        source: one side.
        target: the other.
        contained: it may have more; only what it lacks is looked for.
        in_thread: calls a function in a thread.

    Raises:
        SideLost: there is no room for the hashes.
    """
    try:
        with Spill() as spill:
            for number, side in enumerate((source, target)):
                async for rows in side():
                    await in_thread(_spill, spill, number, rows)
            mine, others, missing, extra = await in_thread(_surplus, spill, contained)
    except OSError as error:
        raise SideLost("workspace", f"hashes of rows cannot be kept in the temporary folder: {error}") from error
    ours, theirs = await _held(source, mine, in_thread), await _held(target, others, in_thread)
    return Uneven(ours, theirs, missing, extra)


def _spill(spill: Spill, side: int, rows: list[Stored]) -> None:
    spill.add(side, hashes_of([row.key for row in rows]))


def _surplus(spill: Spill, contained: bool) -> tuple[Counter[bytes], Counter[bytes], int, int]:
    """Hashes in surplus on each side, as many as rows are held, and how many there are."""
    mine: Counter[bytes] = Counter()
    others: Counter[bytes] = Counter()
    missing = extra = 0
    for ours, theirs in spill.surplus():
        missing += ours.total()
        _take(mine, ours)
        if not contained:
            extra += theirs.total()
            _take(others, theirs)
    return mine, others, missing, extra


def _take(taken: Counter[bytes], some: Counter[bytes]) -> None:
    room = ROWS_HELD - taken.total()
    for each, count in some.items():
        if room <= 0:
            return
        taken[each] = min(count, room)
        room -= taken[each]


async def _held(side: Rows, wanted: Counter[bytes], in_thread: InThread) -> list[Stored]:
    """Rows of a side with these hashes, each as often as it is wanted, in order.

    The last ones of those that are alike: of a row that stands twice it is the second that is too much.
    """
    if not wanted:
        return []
    holding = _Holding(wanted)
    async for rows in side():
        await in_thread(holding.look, rows)
    return [row for _, row in sorted(chain.from_iterable(holding.found.values()), key=itemgetter(0))]


class _Holding:
    """Rows that are held, by their hashes, each with its number on its side."""

    def __init__(self, wanted: Counter[bytes]) -> None:
        self.found: dict[bytes, list[tuple[int, Stored]]] = {}
        self._wanted = wanted
        self._seen = self._bytes = 0

    def look(self, rows: list[Stored]) -> None:
        """Hold those that are wanted."""
        for row, each in zip(rows, hashes_of([row.key for row in rows]), strict=True):
            self._seen += 1
            if each not in self._wanted:
                continue
            if each not in self.found:
                if self._bytes > BYTES_HELD:
                    continue
                self.found[each] = []
            kept = self.found[each]
            if len(kept) == self._wanted[each]:
                self._bytes -= len(kept.pop(0)[1].row)
            self._bytes += len(row.row)
            kept.append((self._seen, row))
