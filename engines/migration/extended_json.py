"""MongoDB Extended JSON, canonical and relaxed, as `mongoexport` writes it.

Source: the specification "MongoDB Extended JSON (v2)". The common wrappers are unwrapped here;
the rare ones by `bson.json_util`, which knows the legacy spellings too.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Malformed(ValueError):
    """A wrapper whose content is not what its name promises, or a value that no column can hold."""


def unwrap_row(row: dict[str, Any]) -> dict[str, Any]:
    """A row with every top-level wrapper turned into its value, and nested ones relaxed."""
    try:
        return {key: unwrap(value) if type(value) in (dict, list) else value for key, value in row.items()}
    except RecursionError:
        raise Malformed("nested too deep") from None


def unwrap(value: Any) -> Any:
    """The value a wrapper stands for; containers come back with what is inside them relaxed."""
    if type(value) is dict and is_wrapper(value):
        name = next(iter(value))
        unwrapper = UNWRAPPERS.get(name) if len(value) == 1 else None
        try:
            return unwrapper(value[name]) if unwrapper else _rare(value)
        except (ValueError, TypeError, KeyError, ArithmeticError, OverflowError) as error:
            raise Malformed(f"malformed {name}: {error}") from error
    return relax(value)


def relax(value: Any) -> Any:
    """A nested value in relaxed form: plain numbers and ISO dates, other wrappers as they are."""
    if type(value) is list:
        return [relax(item) for item in value]
    if type(value) is not dict:
        return value
    if len(value) == 1:
        name = next(iter(value))
        if name in PLAIN_NUMBERS:
            number = unwrap(value)
            finite = type(number) is int or (number == number and abs(number) != float("inf"))
            return number if finite else value
        if name == "$date" and type(value[name]) is dict:
            return {"$date": iso(unwrap(value))}
    return {key: relax(item) for key, item in value.items()}


def is_wrapper(value: dict[str, Any]) -> bool:
    """Whether an object stands for one value of another type."""
    return any(name in value for name in WRAPPERS) if 0 < len(value) <= 2 else False


def iso(moment: datetime) -> str:
    """A moment as ISO 8601 in UTC; with milliseconds, or microseconds where there are any."""
    exact = "microseconds" if moment.microsecond % 1000 else "milliseconds"
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec=exact) + "Z"


def from_millis(millis: int) -> datetime:
    """The moment so many milliseconds from 1970, before it too.

    Raises:
        Malformed: outside the years 1 to 9999.
    """
    try:
        return EPOCH + timedelta(milliseconds=millis)
    except OverflowError as error:
        raise Malformed(f"date {millis} ms is outside the years 1 to 9999") from error


def _date(content: Any) -> datetime:
    if type(content) is dict:
        return from_millis(_integer(content["$numberLong"]))
    if type(content) is int:
        return from_millis(content)
    moment = datetime.fromisoformat(content)
    # In UTC at once: the first and last days of the calendar may fall out of it there.
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _integer(content: Any) -> int:
    if type(content) is not str:
        raise TypeError(f"expected a number in quotes, found {content!r}")
    return int(content)


def _double(content: Any) -> float:
    if type(content) is not str:
        raise TypeError(f"expected a number in quotes, found {content!r}")
    return float(content)


def _object_id(content: Any) -> str:
    if type(content) is not str or len(content) != 24 or len(bytes.fromhex(content)) != 12:
        raise ValueError(f"expected 24 hexadecimal digits, found {content!r}")
    return content.lower()


def _rare(value: dict[str, Any]) -> Any:
    """Wrappers seldom met: binary, decimal, timestamp, regular expression, min and max key."""
    # bson costs 60 ms to import and most files never need it.
    from bson import Binary, Decimal128, json_util

    options = json_util.JSONOptions(uuid_representation=4, tz_aware=True)
    found = json_util.object_hook(value, options)
    if isinstance(found, Decimal128):
        return _decimal(found.to_decimal())
    if isinstance(found, UUID):
        return str(found)
    if isinstance(found, Binary | bytes):
        return bytes(found)
    if found is None or type(found) in (int, float, str, bool):
        return found
    return value


def _decimal(number: Decimal) -> Decimal:
    if not number.is_finite():
        raise Malformed(f"decimal {number} has no place in a database column")
    return number


UNWRAPPERS: dict[str, Callable[[Any], Any]] = {
    "$oid": _object_id,
    "$date": _date,
    "$numberInt": _integer,
    "$numberLong": _integer,
    "$numberDouble": _double,
}

PLAIN_NUMBERS = frozenset({"$numberInt", "$numberLong", "$numberDouble"})

WRAPPERS = frozenset(
    {
        *UNWRAPPERS,
        "$numberDecimal",
        "$binary",
        "$uuid",
        "$timestamp",
        "$regularExpression",
        "$regex",
        "$minKey",
        "$maxKey",
        "$symbol",
        "$code",
        "$undefined",
        "$dbPointer",
    }
)
