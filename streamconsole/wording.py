"""Numbers in the operator's words."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """So many of something: `1 window`, `1,200 rows`, `2 processes`."""
    ending = "" if number == 1 else "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{ending}"
