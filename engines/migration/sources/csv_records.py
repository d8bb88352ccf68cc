"""Where records of CSV end: at a line's end that is not inside quotes."""

from __future__ import annotations

import re
from functools import lru_cache
from re import Pattern

PAIR, SEAM = b"\1\1", b"\2"
"""Stand for two quotes one after the other, and for a value in quotes; both as long as what they stand for."""


@lru_cache(maxsize=16)
def _record(delimiter: bytes) -> Pattern[bytes]:
    """A record that is whole. A quote that does not begin a value, or does not end one, is a letter."""
    inside, no_end = rb'"(?:[^"]|"")*+', rb"[^" + re.escape(delimiter) + rb"\n]*+"
    quoted = inside + rb'"(?=[' + re.escape(delimiter) + rb"\r\n]|\Z)"
    value = rb"(?>" + quoted + rb"|(?!" + inside + rb"\Z))" + no_end
    return re.compile(value + rb"(?:" + re.escape(delimiter) + value + rb")*+\n")


def ends_of(block: bytes, delimiter: bytes, most: int) -> list[int]:
    """Offsets after the records at the start of a block, up to `most`; what is not whole has no end.

    A quote inside a value that does not begin with one is a letter like any other.
    """
    if b'"' not in block:
        return _line_ends(block, most)
    plain = _without_inner_ends(block, delimiter)
    if plain is not None:
        return _line_ends(plain, most)
    return by_pattern(block, delimiter, most)


def by_pattern(block: bytes, delimiter: bytes, most: int) -> list[int]:
    """The same, wherever quotes stand."""
    match, at = _record(delimiter).match, 0
    ends: list[int] = []
    while len(ends) < most and (found := match(block, at)):
        at = found.end()
        ends.append(at)
    return ends


def _without_inner_ends(block: bytes, delimiter: bytes) -> bytes | None:
    """The block with other bytes for the line ends inside quotes; None where quotes stand in other places too.

    Every step is one call over the whole block: the pattern that takes any quote costs ten times as much.
    """
    if PAIR[:1] in block or SEAM in block:
        return None
    parts = block.replace(b'""', PAIR).split(b'"')
    between = SEAM.join([b"\n" + parts[0], *parts[2::2]]) + (b"" if len(parts) % 2 else SEAM)
    quoted = len(parts) // 2
    opened = sum(between.count(each + seam) for each in (delimiter, b"\n") for seam in (SEAM, PAIR + SEAM))
    closed = sum(between.count(SEAM + each) for each in (delimiter, b"\r", b"\n")) + between.endswith(SEAM)
    if opened != quoted or closed != quoted:
        return None
    inside = parts[1::2]
    if b"\n" in b"".join(inside):
        parts[1::2] = [part.replace(b"\n", PAIR[:1]) for part in inside]
        return b'"'.join(parts)
    return block


def _line_ends(block: bytes, most: int) -> list[int]:
    ends: list[int] = []
    at, find = 0, block.find
    while len(ends) < most and (at := find(b"\n", at) + 1):
        ends.append(at)
    return ends
