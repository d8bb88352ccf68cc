"""What a CSV file looks like: its delimiter and header, and what each of its columns holds."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any

import orjson

from streamconsole.engines.migration.columns import NUMBERS, ColumnType, free_name
from streamconsole.engines.migration.extended_json import iso

DELIMITERS = (",", ";", "\t", "|")

MARK = "\0"
"""Put before a quoted text that would be taken for no value: NUL stands in no text that is read."""


@dataclass(frozen=True, slots=True)
class CsvShape:
    """A CSV file.

    Args:
        delimiter: between two values.
        encoding: of the text.
        null: stands for no value where it is not quoted.
        columns: keys of the rows.
        kinds: what each column holds; TEXT for texts as they are.
        body: offset of the first record that is no header.
    """

    delimiter: str
    encoding: str
    null: str
    columns: tuple[str, ...]
    kinds: tuple[ColumnType, ...]
    body: int


def delimiter_of(text: str) -> str:
    """The delimiter by which most lines of a text have the same number of values, more than one."""
    best, most = ",", (0.0, 0)
    for delimiter in DELIMITERS:
        widths = [len(record) for record in list(parsed(text, delimiter))[:200] if record]
        usual = max(set(widths), key=widths.count, default=0)
        if usual > 1 and (widths.count(usual) / len(widths), usual) > most:
            best, most = delimiter, (widths.count(usual) / len(widths), usual)
    return best


def parsed(text: str, delimiter: str) -> list[list[str]]:
    """The records of a text, as far as they can be told."""
    records: list[list[str]] = []
    with suppress(csv.Error):
        records.extend(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    return records


def is_header(record: Sequence[str]) -> bool:
    """Whether a first record names columns: none of its values reads like a number, a truth or a moment."""
    return any(record) and not any(kind_of([text]) is not ColumnType.TEXT for text in record if text)


def names_of(record: Sequence[str]) -> tuple[str, ...]:
    """Keys for the columns of a header: what has no name is numbered, what stands twice gets a number."""
    taken: set[str] = set()
    names = []
    for number, text in enumerate(record, start=1):
        name = free_name(text.strip() or f"column_{number}", taken)
        taken.add(name.casefold())
        names.append(name)
    return tuple(names)


def kind_of(texts: Sequence[str]) -> ColumnType:
    """What a column holds whose values look like these: the narrowest kind whose values are written just so."""
    if not texts:
        return ColumnType.TEXT
    for kind, convert in CONVERTERS.items():
        if all(type(convert(text)) is not str for text in texts):
            return kind
    return ColumnType.TEXT


def value(kind: ColumnType, text: str) -> Any:
    """A value of a column; a text that would be written another way stays text."""
    if kind in NUMBERS:
        # A number of another kind is still a number: the column is widened for it, not made text.
        return _number(text)
    convert = CONVERTERS.get(kind)
    return convert(text) if convert is not None else text


def _number(text: str) -> Any:
    """An integer, else a float, else a decimal: whichever is written just as it stands here."""
    try:
        whole = int(text)
        return whole if str(whole) == text else text
    except ValueError:
        pass
    try:
        number = float(text)
        if repr(number) == text and isfinite(number):
            return number
        exact = Decimal(text)
        return exact if exact.is_finite() and str(exact) == text and "E" not in text else text
    except (ValueError, InvalidOperation):
        return text


def _integer(text: str) -> Any:
    number = _number(text)
    return number if type(number) is int else text


def _float(text: str) -> Any:
    number = _number(text)
    return number if type(number) in (int, float) else text


def _boolean(text: str) -> Any:
    return {"true": True, "false": False}.get(text, text)


def _moment(text: str) -> Any:
    if not text.endswith("Z") or len(text) not in (24, 27):
        return text
    try:
        moment = datetime.fromisoformat(text)
        return moment if iso(moment) == text else text
    except ValueError:
        return text


def _json(text: str) -> Any:
    if not text.startswith(("{", "[")):
        return text
    try:
        found = orjson.loads(text)
        return found if orjson.dumps(found) == text.encode() else text
    except (ValueError, TypeError, RecursionError):
        return text


CONVERTERS: dict[ColumnType, Callable[[str], Any]] = {
    ColumnType.INTEGER: _integer,
    ColumnType.FLOAT: _float,
    ColumnType.DECIMAL: _number,
    ColumnType.BOOLEAN: _boolean,
    ColumnType.DATETIME: _moment,
    ColumnType.JSON: _json,
}
"""By kind, narrowest first: a column is of the first kind that all its texts are written for."""
