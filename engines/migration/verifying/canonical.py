"""Rows in a form that is the same on both sides: columns by name, numbers by value, no types.

Whole columns at a time where that will do: a step of Python per value costs more than the hash.
"""

from __future__ import annotations

import json
import marshal
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, time
from decimal import Context, Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

import orjson

from streamconsole.engines.migration.columns import EXACT
from streamconsole.engines.migration.sources.sql_values import as_row_value

LONG_NUMBER = re.compile(rb"[0-9]{16}")
"""Integers that may lie beyond 64 bits, which the quick parser turns into floats."""

_PLAIN = frozenset({int, str, bytes, type(None)})

_EVERY_DIGIT = Context(prec=100_000)

_WRITTEN_OUT = 400
"""Zeros that a number is written out with, at most; it has an exponent beyond."""


class Kind(StrEnum):
    """What values of a column are compared as, where that is not what a driver gives.

    `number`: the column keeps the value, not the digits (1.50 is 1.5). `moment`: a point in time, whatever its
    zone. `clock`: date and time of day without a zone. `time`: time of day, however many digits its
    fraction has. `json`: the order of keys is nobody's. `word`: letters without their case.
    """

    PLAIN = "plain"
    NUMBER = "number"
    MOMENT = "moment"
    CLOCK = "clock"
    TIME = "time"
    JSON = "json"
    WORD = "word"


def table_rows(columns: Sequence[list[Any]]) -> list[bytes]:
    """Rows of a table, given column by column, in the order of the columns' names."""
    # Version 2 writes equal values alike, wherever they came from.
    return [marshal.dumps(row, 2) for row in zip(*map(plain, columns), strict=True)]


def of_kind(kind: Kind, values: list[Any]) -> list[Any]:
    """A column's values as they are compared."""
    convert = _CONVERSIONS.get(kind)
    return plain(values) if convert is None else [None if each is None else convert(each) for each in values]


def plain(values: list[Any]) -> list[Any]:
    """A column's values as a database gives them back: truth as 1 and 0, whole floats as integers."""
    return values if _PLAIN.issuperset(map(type, values)) else list(map(plain_value, values))


def plain_value(value: Any) -> Any:
    """One value as a database gives it back."""
    if type(value) is float:
        return int(value) if value.is_integer() and abs(value) <= EXACT else value
    if type(value) is bool:
        return int(value)
    if type(value) in _PLAIN:
        return value
    other = as_row_value(value)
    if isinstance(other, datetime):
        return other.isoformat()
    if type(other) in (dict, list):
        return str(_sorted_json(other), "utf-8")
    return other if type(other) in _PLAIN else str(other)


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


def _sorted_json(value: Any) -> bytes:
    return orjson.dumps(_long(value), option=orjson.OPT_SORT_KEYS, default=str)


def _number(value: Any) -> Any:
    try:
        number = Decimal(repr(value) if type(value) is float else value)
    except (InvalidOperation, TypeError, ValueError):
        return plain_value(value)
    if not number.is_finite():
        return str(number)
    number = _EVERY_DIGIT.normalize(number) if number else Decimal(0)
    return format(number, "f") if abs(number.adjusted()) < _WRITTEN_OUT else str(number)


def _moment(value: Any) -> Any:
    found = _datetime(value)
    if found is None:
        return plain_value(value)
    return (found.astimezone(UTC) if found.tzinfo else found).isoformat()


def _clock(value: Any) -> Any:
    found = _datetime(value)
    return plain_value(value) if found is None else found.replace(tzinfo=None).isoformat()


def _time(value: Any) -> Any:
    try:
        return time.fromisoformat(value).isoformat() if type(value) is str else plain_value(value)
    except ValueError:
        return value


def _datetime(value: Any) -> datetime | None:
    if type(value) is not str:
        return value if isinstance(value, datetime) else None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def _json(value: Any) -> Any:
    if type(value) is not str:
        return plain_value(value)
    try:
        return str(json_line(value.encode()), "utf-8")
    except ValueError:
        return value


def _word(value: Any) -> Any:
    return str(plain_value(value)).lower()


_CONVERSIONS: Mapping[Kind, Callable[[Any], Any]] = {
    Kind.NUMBER: _number,
    Kind.MOMENT: _moment,
    Kind.CLOCK: _clock,
    Kind.TIME: _time,
    Kind.JSON: _json,
    Kind.WORD: _word,
}
