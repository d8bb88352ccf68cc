"""Which rows one side has and the other has not, in bounded memory: two passes over both sides.

The first pass counts rows into buckets by their hash; only buckets that differ are looked at again,
and of those no more than fit.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from streamconsole.engines.migration.verifying.digest import MODULUS, hashes_of
from streamconsole.engines.migration.verifying.side import Stored

BUCKETS = 4_096

ROWS_HELD = 100_000
"""Rows of both sides that are held at once, at most."""

Rows = Callable[[], AsyncIterator[list[Stored]]]
"""Reads a side from its beginning."""


@dataclass(frozen=True, slots=True)
class Uneven:
    """What was found.

    Args:
        source: rows that the target has not (or fewer times).
        target: rows that the source has not (or fewer times).
        whole: these are all of them.
    """

    source: list[Stored]
    target: list[Stored]
    whole: bool


async def uneven(source: Rows, target: Rows) -> Uneven:
    """Find rows that do not stand on both sides equally often, told by their `Stored.key`."""
    ours, theirs = await _buckets(source), await _buckets(target)
    chosen: set[int] = set()
    held = 0
    differing = [n for n in range(BUCKETS) if ours[n] != theirs[n]]
    for n in differing:
        held += ours[n][0] + theirs[n][0]
        if chosen and held > ROWS_HELD:
            break
        chosen.add(n)
    mine, others = await _held(source, chosen), await _held(target, chosen)
    return Uneven(_left(mine, others), _left(others, mine), len(chosen) == len(differing))


async def _buckets(side: Rows) -> list[tuple[int, int]]:
    buckets = [(0, 0)] * BUCKETS
    async for rows in side():
        await asyncio.to_thread(_count, buckets, rows)
    return buckets


def _count(buckets: list[tuple[int, int]], rows: list[Stored]) -> None:
    for each in hashes_of(row.key for row in rows):
        bucket = _bucket(each)
        count, total = buckets[bucket]
        buckets[bucket] = count + 1, (total + int.from_bytes(each)) % MODULUS


async def _held(side: Rows, chosen: set[int]) -> list[Stored]:
    held: list[Stored] = []
    async for rows in side():
        held += await asyncio.to_thread(_of, rows, chosen)
    return held


def _of(rows: list[Stored], chosen: set[int]) -> list[Stored]:
    hashes = hashes_of(row.key for row in rows)
    return [row for row, each in zip(rows, hashes, strict=True) if _bucket(each) in chosen]


def _bucket(hashed: bytes) -> int:
    return int.from_bytes(hashed[:2]) % BUCKETS


def _left(rows: list[Stored], others: list[Stored]) -> list[Stored]:
    there = Counter(row.key for row in others)
    left = []
    for row in rows:
        if there[row.key]:
            there[row.key] -= 1
        else:
            left.append(row)
    return left
