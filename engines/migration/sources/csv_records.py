"""Where records of CSV end: at a line's end that is not inside quotes."""

from __future__ import annotations

import re
from functools import lru_cache
from re import Pattern


@lru_cache(maxsize=16)
def _quoted(delimiter: bytes) -> tuple[Pattern[bytes], Pattern[bytes]]:
    """A value in quotes that is whole, and one that has no end."""
    begins = rb"(?:^|(?<=[" + re.escape(delimiter) + rb"\n]))"
    inside = rb'"(?:[^"]|"")*'
    return (
        re.compile(begins + inside + rb'"(?=[' + re.escape(delimiter) + rb"\r\n]|\Z)"),
        re.compile(begins + inside + rb"\Z"),
    )


def ends_of(block: bytes, delimiter: bytes, most: int) -> list[int]:
    """Offsets after the records at the start of a block, up to `most`; what is not whole has no end.

    A quote inside a value that does not begin with one is a letter like any other.
    """
    if b'"' not in block:
        return _line_ends(block, most)
    whole, open_ = _quoted(delimiter)
    inside = [match.span() for match in whole.finditer(block) if b"\n" in match[0]]
    # Searched behind the last value that is whole: what begins a value there may never end.
    last = max((match.end() for match in whole.finditer(block)), default=0)
    unended = open_.search(block, last)
    limit = unended.start() if unended is not None and b"\n" in unended[0] else len(block)
    if not inside and limit == len(block):
        return _line_ends(block, most)
    return _outside(block, inside, limit, most)


def _line_ends(block: bytes, most: int) -> list[int]:
    ends: list[int] = []
    at, find = 0, block.find
    while len(ends) < most and (at := find(b"\n", at) + 1):
        ends.append(at)
    return ends


def _outside(block: bytes, inside: list[tuple[int, int]], limit: int, most: int) -> list[int]:
    ends: list[int] = []
    at, spans = 0, iter([*inside, (len(block) + 1, len(block) + 1)])
    begin, end = next(spans)
    while len(ends) < most and (at := block.find(b"\n", at) + 1):
        while at > end:
            begin, end = next(spans)
        if at > begin:
            at = end
            continue
        if at > limit:
            break
        ends.append(at)
    return ends
