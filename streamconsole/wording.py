"""Numbers in the operator's words."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """So many of something: `1 window`, `1,200 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
