"""Rows as PostgreSQL's COPY takes them: how its target normalizes.

First every value is fitted to its column, as for any table; then columns are written out as text, many values
at a time, and put together to lines.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from math import isfinite
from typing import Any, ClassVar

from streamconsole.engines.migration.batch import Misfit
from streamconsole.engines.migration.columns import NUMBERS, Column, ColumnType
from streamconsole.engines.migration.extended_json import iso
from streamconsole.engines.migration.sources.json_columns import ParsedColumn
from streamconsole.engines.migration.targets.json_rows import dump, dump_all
from streamconsole.engines.migration.targets.postgresql_narrow import narrowed
from streamconsole.engines.migration.targets.table_rows import (
    Convert,
    TableNormalizer,
    TableRows,
    checked_integer,
    float_of,
)

NULL = "\\N"

NUL_IN_JSON = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")

ODD = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}

MOST_DIGITS = 131_072
"""Digits that a numeric has before its point, at most."""

BOOLEANS = {True: "t", False: "f", None: NULL}


@dataclass(frozen=True, slots=True)
class CopyRows(TableRows):
    """Makes the normalizer of one table; its payload is lines of COPY's text format, without their ends."""

    def __call__(self) -> CopyNormalizer:
        """A fresh normalizer."""
        return CopyNormalizer(self.schema, self.most_columns)


@dataclass(frozen=True, slots=True)
class FittedRows(TableRows):
    """Makes a normalizer that fits values alike, but does not write them out."""

    def __call__(self) -> PostgresqlNormalizer:
        """A fresh normalizer."""
        return PostgresqlNormalizer(self.schema, self.most_columns)


class PostgresqlNormalizer(TableNormalizer):
    """Fits rows to a schema, each value to what its column can hold."""

    whole: ClassVar[Mapping[Convert, Callable[[Sequence[Any]], Sequence[Any]]]]

    def conversion(self, value: ColumnType, column: Column) -> Convert | None:
        """How a value of some type is put into a column."""
        convert = CONVERSIONS.get((value, column.type))
        return narrowed(convert, value, column) if column.declared else convert


class CopyNormalizer(PostgresqlNormalizer):
    """The same, written out."""

    def payload(self) -> tuple[list[Any], list[int]]:
        """A line for each row; just once."""
        values, self._values = self._values, []
        return lines_of([column.type for column in self._schema.columns], values), self._indexes


def lines_of(kinds: Sequence[ColumnType], values: list[Any]) -> list[str]:
    """Lines of COPY's text format.

    Args:
        kinds: what the columns hold.
        values: of one row after the other, fitted.
    """
    width = len(kinds)
    columns = [_written(kind, values[place::width]) for place, kind in enumerate(kinds)]
    return columns[0] if width == 1 else list(map("\t".join, zip(*columns, strict=True)))


def text_of(value: Any) -> str:
    """A scalar as the text that a text column keeps: as the server itself would make it of what was stored before."""
    match value:
        case bool():
            return "true" if value else "false"
        case bytes():
            return base64.b64encode(value).decode()
        case datetime():
            return iso(value)
        case float() if not isfinite(value):
            return ODD[repr(value)]
        case float():
            number = Decimal(repr(value))
            return plain_number(number.to_integral_value() if value.is_integer() else number)
        case Decimal():
            return plain_number(value)
    return str(value)


def plain_number(number: Decimal) -> str:
    """A decimal as a numeric is spelled: without an exponent."""
    if not number.is_finite():
        return "NaN" if number.is_nan() else ODD[str(float(number))]
    return format(number or abs(number), "f") if abs(number.adjusted()) < MOST_DIGITS else str(number)


def _written(kind: ColumnType, values: list[Any]) -> list[str]:
    if kind in ESCAPED:
        return _escaped(values)
    if kind is ColumnType.BOOLEAN:
        return list(map(BOOLEANS.__getitem__, values))
    write = WRITTEN.get(kind)
    if None in values:
        return [NULL if each is None else each if write is None else write(each) for each in values]
    return values if write is None else list(map(write, values))


def _escaped(values: list[Any]) -> list[str]:
    nulls = None in values
    # Fitted text holds no NUL: it may stand between the values.
    joined = "\0".join(["" if each is None else each for each in values] if nulls else values)
    if "\\" in joined or "\n" in joined or "\t" in joined or "\r" in joined:
        for mark, escape in ESCAPES:
            joined = joined.replace(mark, escape)
        made = joined.split("\0")
    elif not nulls:
        return values
    else:
        made = values
    return [NULL if each is None else text for each, text in zip(values, made, strict=True)] if nulls else made


def _text(value: str) -> str:
    _texts([value])
    return value


def _texts(values: Sequence[str]) -> Sequence[str]:
    joined = "".join(values)
    if "\0" in joined:
        raise Misfit(None, "the text holds a NUL, which PostgreSQL has no place for")
    if not joined.isascii():
        try:
            joined.encode()
        except UnicodeEncodeError:
            raise Misfit(None, "the text holds half a character, which is no UTF-8") from None
    return values


def _jsonb(value: Any) -> str:
    return _checked_json(str(dump(value), "utf-8"))


def _jsonbs(values: Sequence[Any]) -> Sequence[str]:
    if isinstance(values, ParsedColumn):
        _checked_json("\n".join(values.texts))
        return values.texts
    return _checked_json(b"\n".join(dump_all(values)).decode()).split("\n")


def _checked_json(text: str) -> str:
    if "\\u0000" in text and NUL_IN_JSON.search(text) is not None:
        raise Misfit(None, "the JSON holds a NUL (\\u0000), which PostgreSQL has no place for")
    return text


def _json_text(value: Any) -> str:
    """JSON in a text column, in the words that `jsonb` has for it: some of it may have been one before."""
    return _checked_json(_spelled(json.loads(dump(value))))


def _spelled(value: Any) -> str:
    if isinstance(value, dict):
        by_length = sorted(value.items(), key=lambda each: (len(each[0].encode()), each[0].encode()))
        return "{" + ", ".join(f"{_spelled(key)}: {_spelled(each)}" for key, each in by_length) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_spelled, value)) + "]"
    if isinstance(value, float):
        return plain_number(Decimal(repr(value)))
    return json.dumps(value, ensure_ascii=False)


def _decimal_of(value: int | float | Decimal) -> str:
    return text_of(value) if type(value) is float else str(value)


def _bytes(value: bytes) -> str:
    return f"\\\\x{value.hex()}"


ESCAPED = frozenset({ColumnType.TEXT, ColumnType.JSON, ColumnType.NULL})

ESCAPES = (("\\", "\\\\"), ("\n", "\\n"), ("\t", "\\t"), ("\r", "\\r"))

WRITTEN: Mapping[ColumnType, Callable[[Any], str]] = {
    ColumnType.INTEGER: str,
    ColumnType.FLOAT: repr,
    ColumnType.BINARY: _bytes,
}
"""What is not here is text already."""

CONVERSIONS: Mapping[tuple[ColumnType, ColumnType], Convert] = {
    (ColumnType.INTEGER, ColumnType.INTEGER): checked_integer,
    (ColumnType.INTEGER, ColumnType.FLOAT): float_of,
    **{(number, ColumnType.DECIMAL): _decimal_of for number in NUMBERS},
    (ColumnType.DATETIME, ColumnType.DATETIME): iso,
    (ColumnType.JSON, ColumnType.JSON): _jsonb,
    (ColumnType.JSON, ColumnType.TEXT): _json_text,
    (ColumnType.TEXT, ColumnType.TEXT): _text,
    **{
        (kind, ColumnType.TEXT): text_of
        for kind in ColumnType
        if kind not in (ColumnType.TEXT, ColumnType.JSON, ColumnType.NULL)
    },
}

PostgresqlNormalizer.whole = {_text: _texts, _jsonb: _jsonbs}
