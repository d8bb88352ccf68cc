"""Rows as records of CSV: how CSV targets normalize.

No value and an empty text are told apart: no value is nothing at all (or the mark that was asked for),
an empty text stands in quotes, and so does a text that reads like the mark.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from streamconsole.engines.migration.batch import Misfit, NotAlike
from streamconsole.engines.migration.columns import ColumnType
from streamconsole.engines.migration.targets.json_rows import ODD_FLOATS, dump
from streamconsole.engines.migration.targets.table_rows import text_of


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a file of CSV is written.

    Args:
        delimiter: between two values.
        null: stands for no value.
    """

    delimiter: str = ","
    null: str = ""


@dataclass(frozen=True, slots=True)
class CsvRows:
    """Makes the normalizer of one CSV target.

    Args:
        columns: keys of the rows, in the order of the file.
        dialect: how values are written.
        closed: no column may be added.
    """

    columns: tuple[str, ...]
    dialect: Dialect
    closed: bool = False

    def __call__(self) -> CsvNormalizer:
        """A fresh normalizer."""
        return CsvNormalizer(self)


class CsvNormalizer:
    """Writes each row as a record; keys without a column are noted."""

    def __init__(self, made_for: CsvRows) -> None:
        self._columns = made_for.columns
        self._known = frozenset(made_for.columns)
        self._closed = made_for.closed
        self._write = field_writer(made_for.dialect)
        self._delimiter = made_for.dialect.delimiter
        self._records: list[str] = []
        self._indexes: list[int] = []
        self._needs: dict[str, ColumnType] = {}

    def add(self, index: int, row: dict[str, Any]) -> None:
        """Fit one row.

        Raises:
            Misfit: a value has no text, or no column may be added for it.
        """
        unknown = [key for key in row if key not in self._known]
        if unknown and self._closed:
            raise Misfit(unknown[0], "the file has no such column, and none can be added to it")
        if unknown:
            self._needs.update(dict.fromkeys(unknown, ColumnType.TEXT))
            return
        self._records.append(self._delimiter.join([self._write(row.get(key)) for key in self._columns]))
        self._indexes.append(index)

    def add_alike(self, rows: list[dict[str, Any]]) -> None:
        """Fit many rows."""
        self._add_columns([[row.get(key) for row in rows] for key in self._columns], rows)

    def add_block(self, keys: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
        """Fit many rows of the same keys."""
        self.add_columns(keys, list(zip(*rows, strict=True)))

    def add_columns(self, keys: tuple[str, ...], columns: list[Sequence[Any]]) -> None:
        """Fit many rows of the same keys."""
        if not self._known.issuperset(keys):
            raise NotAlike
        count, values = len(columns[0]), dict(zip(keys, columns, strict=True))
        nothing = (None,) * count
        self._extend([values.get(key, nothing) for key in self._columns], count)

    def needs(self) -> Mapping[str, ColumnType]:
        """Keys without a column; every column takes every value."""
        return self._needs

    def payload(self) -> tuple[bytes, list[int]]:
        """The records, each with its end."""
        return "".join(f"{record}\n" for record in self._records).encode(), self._indexes

    def records(self) -> tuple[list[bytes], list[int]]:
        """The records without their ends; just once."""
        records, self._records = self._records, []
        return list(map(str.encode, records)), self._indexes

    def _add_columns(self, columns: list[list[Any]], rows: list[dict[str, Any]]) -> None:
        if not all(map(self._known.issuperset, rows)):
            raise NotAlike
        self._extend(columns, len(rows))

    def _extend(self, columns: Sequence[Sequence[Any]], count: int) -> None:
        try:
            written = [list(map(self._write, column)) for column in columns]
        except Misfit:
            raise NotAlike from None
        self._records.extend(map(self._delimiter.join, zip(*written, strict=True)) if written else [""] * count)
        self._indexes.extend(range(len(self._indexes), len(self._indexes) + count))


def record(values: Iterable[str], dialect: Dialect) -> bytes:
    """A record of texts, with its end: a header, say."""
    return (dialect.delimiter.join(map(field_writer(dialect), values)) + "\n").encode()


def field_writer(dialect: Dialect) -> Callable[[Any], str]:
    """Writes single values."""
    special = re.compile(f'["\r\n{re.escape(dialect.delimiter)}]|^[ \t]|[ \t]$').search
    null = dialect.null

    def write(value: Any) -> str:
        if value is None:
            return null
        kind = type(value)
        if kind is int:
            return str(value)
        if kind is float and not isfinite(value):
            return ODD_FLOATS[repr(value)]
        text = str(dump(value), "utf-8") if kind in (dict, list) else repr(value) if kind is float else text_of(value)
        if kind is str and (not text or text == null):
            return f'"{text}"'
        return '"' + text.replace('"', '""') + '"' if special(text) else text

    return write
