"""From what a database's driver gives to values of rows, many at a time.

A row holds None, bool, int, float, Decimal, str, bytes, moments with a zone, dicts and lists. What has
no place among them becomes text by a fixed rule: dates, times and moments without a zone in ISO 8601, time
spans as ISO 8601 durations, UUIDs and anything else as the database's driver spells it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum
from math import isfinite
from typing import Any

import orjson

from streamconsole.engines.migration.batch import NotAlike
from streamconsole.engines.migration.columns import TYPE_OF, ColumnType
from streamconsole.engines.migration.sources.json_columns import whole_json
from streamconsole.engines.migration.targets.json_rows import ODD_FLOATS

PLAIN = frozenset(TYPE_OF) - {datetime, dict, list}

BOOLEANS: dict[Any, Any] = {0: False, 1: True}


class BadText(bytes):
    """Bytes that a text column holds and that are not UTF-8."""


def block(
    kinds: Sequence[ColumnType], rows: list[tuple[Any, ...]], as_they_are: Container[int] = ()
) -> list[tuple[Any, ...]]:
    """Rows as the driver gave them, as values of rows; the same list when there is nothing to do.

    Args:
        kinds: what each column of a SQLite table is declared as; NULL for "take the value as it is".
        rows: of one window, in order.
        as_they_are: positions of columns about whose values nothing has to be done, whatever they are.

    Raises:
        NotAlike: a number that is none (NaN, infinity).
    """
    columns: list[Any] = list(zip(*rows, strict=True))
    changed = False
    for position, kind in enumerate(kinds):
        if position in as_they_are:
            continue
        found = columns[position]
        made = _column(kind, found)
        if made is not found:
            columns[position], changed = made, True
    return list(zip(*columns, strict=True)) if changed else rows


def value(kind: ColumnType, given: Any) -> Any:
    """One value."""
    kept = as_row_value(given)
    convert = DECLARED.get(kind)
    return convert(kept) if convert is not None else kept


def _column(kind: ColumnType, found: Sequence[Any]) -> Sequence[Any]:
    types = set(map(type, found))
    if float in types and not all(map(isfinite, found if types == {float} else filter(_is_float, found))):
        raise NotAlike
    if not types <= PLAIN:
        found = list(map(as_row_value, found))
    if kind is ColumnType.BOOLEAN and int in types:
        return list(map(BOOLEANS.get, found, found)) if types <= {int, type(None)} else list(map(_boolean, found))
    if kind is ColumnType.JSON and types == {str} and (parsed := whole_json(found)) is not None:
        return parsed
    convert = DECLARED.get(kind)
    return list(map(convert, found)) if convert is not None and str in types else found


def as_row_value(given: Any) -> Any:
    """A driver's value as a row holds it."""
    kind = type(given)
    if kind in PLAIN or kind is dict:
        return given
    for of, convert in OTHERS:
        if isinstance(given, of):
            return convert(given)
    return str(given)


def _element(given: Any) -> Any:
    """A value inside an array: JSON has no number for some."""
    kept = as_row_value(given)
    return {"$numberDouble": ODD_FLOATS[repr(kept)]} if type(kept) is float and not isfinite(kept) else kept


def _moment(given: datetime) -> Any:
    # Without a zone it is no moment: taken for one it would move with the machine's zone.
    return given.isoformat() if given.tzinfo is None else given.astimezone(UTC)


def _duration(span: timedelta) -> str:
    sign, span = ("-", -span) if span < timedelta(0) else ("", span)
    fraction = f".{span.microseconds:06d}".rstrip("0") if span.microseconds else ""
    return f"{sign}P{span.days}DT{span.seconds}{fraction}S"


def _boolean(given: Any) -> Any:
    return bool(given) if type(given) is int and given in (0, 1) else given


def _decimal(given: Any) -> Any:
    try:
        number = Decimal(given) if type(given) is str else given
    except InvalidOperation:
        return given
    # Only what is written again letter by letter.
    return number if str(number) == given and (type(number) is not Decimal or number.is_finite()) else given


def _date(given: Any) -> Any:
    """A moment that the SQLite target wrote; text of another form stays text."""
    if type(given) is not str or not given.endswith("Z") or len(given) not in (24, 27):
        return given
    try:
        return datetime.fromisoformat(given)
    except ValueError:
        return given


def _json(given: Any) -> Any:
    """An object or array; text that would not be the same when it is written again stays text."""
    if type(given) is not str or not given.startswith(("{", "[")):
        return given
    try:
        found = orjson.loads(given)
        return found if orjson.dumps(found) == given.encode() else _json_exactly(given)
    except (ValueError, TypeError, RecursionError):
        return given


def _is_float(value: Any) -> bool:
    return type(value) is float


def _json_exactly(given: str) -> Any:
    return json.loads(given, object_pairs_hook=_without_equal_keys, parse_constant=_no_constant)


def _without_equal_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


DECLARED: dict[ColumnType, Callable[[Any], Any]] = {
    ColumnType.BOOLEAN: _boolean,
    ColumnType.DECIMAL: _decimal,
    ColumnType.DATETIME: _date,
    ColumnType.JSON: _json,
}

OTHERS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (datetime, _moment),
    ((date, time), lambda given: given.isoformat()),
    (timedelta, _duration),
    ((memoryview, bytearray, bytes), bytes),
    (Enum, lambda given: as_row_value(given.value)),
    ((list, tuple, set, frozenset), lambda given: list(map(_element, given))),
    (bool, bool),
    (int, int),
    (float, float),
    (Decimal, Decimal),
)
