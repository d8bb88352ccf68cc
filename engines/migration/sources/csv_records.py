"""Where records of CSV end: at a line's end that is not inside quotes."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import accumulate
from operator import itemgetter
from re import Pattern

PAIR = b"\1\1"
"""Stands for two quotes one after the other, and is as long."""


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
    if PAIR[:1] in block:
        return None
    parts = block.replace(b'""', PAIR).split(b'"')
    if len(parts) == 1:
        return block
    # What is in front of a value in quotes begins the block or ends the value before; what follows, likewise.
    before, behind = parts[: -1 if len(parts) % 2 else None : 2], parts[2::2]
    before[0] = b"\n" + before[0]
    if behind and len(parts) % 2:
        behind[-1] += b"\n"
    edges = {*delimiter, *b"\n"}
    if not set(map(itemgetter(-1), before)) <= edges:
        ends = (delimiter, b"\n", delimiter + PAIR, b"\n" + PAIR)
        if not all(part.endswith(ends) for part in before):
            return None
    if not set(map(itemgetter(0), behind)) <= {*edges, *b"\r"}:
        return None
    inside = parts[1::2]
    if b"\n" in b"".join(inside):
        parts[1::2] = [part.replace(b"\n", PAIR[:1]) for part in inside]
        return b'"'.join(parts)
    return block


def _line_ends(block: bytes, most: int) -> list[int]:
    lines = block.split(b"\n", most)
    return list(accumulate(map((1).__add__, map(len, lines[:-1]))))
