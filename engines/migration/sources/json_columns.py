"""Columns whose texts are JSON or numbers, parsed at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from streamconsole.engines.migration.columns import ColumnType


class ParsedColumn(list[Any]):
    """Values of a column, each parsed from a text that would be written again just so.

    Args:
        values: parsed.
        texts: what they were parsed from.
    """

    def __init__(self, values: Sequence[Any], texts: Sequence[str]) -> None:
        super().__init__(values)
        self.texts = texts


def whole_json(texts: Sequence[str]) -> ParsedColumn | None:
    """All values of a column; None unless each is an object or array that would be written again as it is."""
    try:
        parsed = list(map(orjson.loads, texts))
        same = orjson.dumps(parsed) == f"[{','.join(texts)}]".encode()
    except (ValueError, TypeError, RecursionError):
        return None
    return ParsedColumn(parsed, texts) if same and set(map(type, parsed)) <= {dict, list} else None


def whole_numbers(kind: ColumnType, texts: Sequence[str]) -> list[Any] | None:
    """All values of a column of integers or floats; None unless each would be written again as it is."""
    joined = ",".join(texts)
    # JSON takes blanks around numbers and a sign before a zero, and Python writes exponents otherwise.
    if kind is ColumnType.INTEGER:
        usual = joined.replace(",", "").replace("-", "").isdecimal() and "-0" not in joined
    else:
        usual = joined.isascii() and "e" not in joined
    if not usual:
        return None
    try:
        numbers: list[Any] = orjson.loads(f"[{joined}]")
    except ValueError:
        return None
    # More than 64 bits come as floats.
    if len(numbers) != len(texts) or set(map(type, numbers)) != {int if kind is ColumnType.INTEGER else float}:
        return None
    return numbers if kind is ColumnType.INTEGER or orjson.dumps(numbers) == f"[{joined}]".encode() else None
