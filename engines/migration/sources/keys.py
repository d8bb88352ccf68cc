"""Ranges of keys: how windows of a table are bounded, and the conditions that find their rows."""

from __future__ import annotations

import base64
import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import orjson

from streamconsole.engines.errors import Refused
from streamconsole.engines.units import Window

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Rows whose key lies after one and up to another; an end left out is open.

    Args:
        after: the key before the first.
        first: the first key itself, instead.
        upto: the last key.
        most: rows, at most; None for all.
    """

    after: Key | None = None
    first: Key | None = None
    upto: Key | None = None
    most: int | None = None

    @property
    def open_ended(self) -> bool:
        """Whether nothing can come after it."""
        return self.upto is None

    def dump(self) -> str:
        """As compact JSON."""
        ends = {
            name: list(map(_encoded, key))
            for name, key in (("after", self.after), ("first", self.first), ("upto", self.upto))
            if key is not None
        }
        return orjson.dumps(ends | ({"most": self.most} if self.most is not None else {})).decode()

    def condition(self, columns: Sequence[ColumnElement[Any]]) -> ColumnElement[bool]:
        """What its rows have in common, in the order that the database itself gives the columns."""
        # Here, so that a process that reads SQLite alone starts without it.
        from sqlalchemy import and_, true

        parts: list[ColumnElement[bool]] = []
        if self.after is not None:
            parts.append(_beyond(columns, self.after, strict=True))
        if self.first is not None:
            parts.append(_beyond(columns, self.first, strict=False))
        if self.upto is not None:
            parts.append(_up_to(columns, self.upto))
        return and_(true(), *parts)

    def behind(self) -> KeyRange:
        """All that comes after it."""
        return replace(KeyRange(), after=self.upto)


def of_window(window: Window, width: int, where: str) -> KeyRange:
    """The range of a window's rows; of all rows when it has no bounds."""
    return load(window.bounds, width, where) if window.bounds is not None else KeyRange()


def load(text: str, width: int, where: str) -> KeyRange:
    """The range that a window's bounds stand for.

    Args:
        text: compact JSON.
        width: columns of the key.
        where: names the source in an error.

    Raises:
        Refused: it is no range of such keys.
    """
    try:
        found = orjson.loads(text)
        ends = {name: tuple(map(_decoded, found[name])) for name in ("after", "first", "upto") if name in found}
        most = found.get("most")
        if set(found) - {"after", "first", "upto", "most"} or any(len(key) != width for key in ends.values()):
            raise ValueError("it has other keys")
        if most is not None and (type(most) is not int or most < 1):
            raise ValueError("most must be a number")
        return KeyRange(**ends, most=most)
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError) as error:
        raise Refused(f"--windows: {text[:100]} is no range of keys of {where} ({error})") from None


def _beyond(columns: Sequence[ColumnElement[Any]], key: Key, *, strict: bool) -> ColumnElement[bool]:
    """Lexicographically greater, spelled out: not every database compares rows of values."""
    column, value = columns[0], key[0]
    if len(columns) == 1:
        compare = operator.gt if strict else operator.ge
        return cast("ColumnElement[bool]", compare(column, value))
    from sqlalchemy import and_, or_

    # The first part lets the database seek in its index.
    return and_(column >= value, or_(column > value, _beyond(columns[1:], key[1:], strict=strict)))


def _up_to(columns: Sequence[ColumnElement[Any]], key: Key) -> ColumnElement[bool]:
    column, value = columns[0], key[0]
    if len(columns) == 1:
        return cast("ColumnElement[bool]", column <= value)
    from sqlalchemy import and_, or_

    return and_(column <= value, or_(column < value, _up_to(columns[1:], key[1:])))


def _encoded(value: Any) -> Any:
    match value:
        case bool() | int() | float() | str():
            return value
        case bytes() | memoryview():
            return {"bytes": base64.b64encode(value).decode()}
        case Decimal() | UUID():
            return {type(value).__name__.lower(): str(value)}
        case datetime() | date():
            return {type(value).__name__: value.isoformat()}
    raise Refused(f"a key of type {type(value).__name__} cannot bound a window")


def _decoded(value: Any) -> Any:
    if type(value) is not dict:
        return value
    ((name, text),) = value.items()
    return DECODERS[name](text)


DECODERS: dict[str, Any] = {
    "bytes": base64.b64decode,
    "decimal": Decimal,
    "uuid": UUID,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
}
