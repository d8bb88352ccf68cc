"""Rows in a form that is the same on both sides: columns by name, numbers by value, no types.

Whole columns at a time where that will do: a step of Python per value costs more than the hash.
"""

from __future__ import annotations

import json
import marshal
import re
from collections.abc import Sequence
from typing import Any

import orjson

from streamconsole.engines.migration.columns import EXACT

LONG_NUMBER = re.compile(rb"[0-9]{16}")
"""Integers that may lie beyond 64 bits, which the quick parser turns into floats."""

_PLAIN = frozenset({int, str, bytes, type(None)})


def table_rows(columns: Sequence[list[Any]]) -> list[bytes]:
    """Rows of a table, given column by column, in the order of the columns' names."""
    # Version 2 writes equal values alike, wherever they came from.
    return [marshal.dumps(row, 2) for row in zip(*map(plain, columns), strict=True)]


def plain(values: list[Any]) -> list[Any]:
    """A column's values as a database gives them back: truth as 1 and 0, whole floats as integers."""
    return values if _PLAIN.issuperset(map(type, values)) else list(map(plain_value, values))


def plain_value(value: Any) -> Any:
    """One value as a database gives it back."""
    if type(value) is float:
        return int(value) if value.is_integer() and abs(value) <= EXACT else value
    if type(value) is bool:
        return int(value)
    return value if type(value) in _PLAIN else str(value)


def json_line(line: bytes) -> bytes:
    """A line of JSON with the keys of every object in order.

    Raises:
        ValueError: it is no JSON.
    """
    row = orjson.loads(line) if LONG_NUMBER.search(line) is None else _long(json.loads(line))
    return orjson.dumps(row, option=orjson.OPT_SORT_KEYS)


def _long(value: Any) -> Any:
    """The value with integers that the quick writer refuses as text that nothing else reads as."""
    if type(value) is int:
        return value if -(2**63) <= value < 2**64 else {"": str(value)}
    if type(value) is list:
        return list(map(_long, value))
    return {key: _long(each) for key, each in value.items()} if type(value) is dict else value
