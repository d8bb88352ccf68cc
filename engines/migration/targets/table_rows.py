"""Rows as tuples of a table: how SQL targets normalize.

Rows of one file have few shapes (their keys and the types of their values). What is to be done
with a row is worked out once per shape; a row then costs a look-up and the few conversions its
shape needs.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import chain
from math import isnan
from operator import itemgetter
from typing import Any, ClassVar

from streamconsole.engines.migration.batch import Misfit, NotAlike
from streamconsole.engines.migration.columns import (
    EXACT,
    INT64,
    NUMBERS,
    TYPE_OF,
    Column,
    ColumnType,
    Schema,
    type_of,
    widen,
    widen_for,
)
from streamconsole.engines.migration.extended_json import iso
from streamconsole.engines.migration.sources.json_columns import ParsedColumn
from streamconsole.engines.migration.targets.json_rows import dump, dump_all

MIN_INT64, MAX_INT64 = -INT64, INT64 - 1

Convert = Callable[[Any], Any]

NUMBER = re.compile(r"[ \t-\r]*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[ \t-\r]*")
"""Text that SQLite takes for a number."""

VALUES_TOGETHER = 900
"""Values that one statement takes, at most: SQLite before 3.32 took 999."""

ROWS_TOGETHER = 50
"""Rows that one statement takes, at most; more of them gain nothing."""

SHAPES_KEPT = 1_000
"""Shapes remembered; input with more of them (a new set of keys in each row) stays bounded."""


_Shape = tuple[tuple[str, ...], tuple[type, ...]]
"""Keys of a row, and the types of their values."""


class TooWide(ValueError):
    """The value needs a wider column."""


@dataclass(frozen=True, slots=True)
class TableRows:
    """Makes the normalizer of one table.

    Args:
        schema: the table's columns at the moment.
        most_columns: columns the database can hold in a table.
    """

    schema: Schema
    most_columns: int

    def __call__(self) -> TableNormalizer:
        """A fresh normalizer."""
        return TableNormalizer(self.schema, self.most_columns)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What to do with rows of one shape: check and convert some values, then put them in the table's order."""

    integers: tuple[int, ...]
    conversions: tuple[tuple[int, str, Convert], ...]
    arrange: Callable[[list[Any]], Any] | None


class TableNormalizer:
    """Fits rows to a schema, and notes what the schema would have to become where they do not fit."""

    whole: ClassVar[Mapping[Convert, Callable[[Sequence[Any]], Sequence[Any]]]] = {}
    """Conversions that cost less for all values of a column at once; a target's own."""

    def __init__(self, schema: Schema, most_columns: int) -> None:
        self._schema = schema
        self._columns = schema.by_key()
        self._spare = {column.key: column for column in schema.spare if column.key not in self._columns}
        self._room = most_columns - len(schema.columns) - len(self._spare)
        self._plans: dict[_Shape, _Plan | None] = {}
        self._needs: dict[str, ColumnType] = {}
        self._last: tuple[_Shape | None, _Plan | None] = (None, None)
        self._values: list[Any] = []
        self._indexes: list[int] = []

    def add(self, index: int, row: dict[str, Any]) -> None:
        """Fit one row.

        Raises:
            Misfit: no column can hold one of its values.
        """
        values = [*row.values()]
        shape = (tuple(row), tuple(map(type, values)))
        last, plan = self._last
        if shape != last:
            try:
                plan = self._plans[shape]
            except KeyError:
                plan = self._plan(shape, row)
            self._last = shape, plan
        if plan is None:
            self._widen_for(row)
            return
        for position in plan.integers:
            if not MIN_INT64 <= values[position] <= MAX_INT64:
                self._widen_for(row)
                return
        key = None
        try:
            for position, key, convert in plan.conversions:  # noqa: B007 - named in the misfit
                values[position] = convert(values[position])
        except TooWide:
            self._widen_for(row)
            return
        except Misfit as misfit:
            raise Misfit(key, str(misfit)) from None
        if plan.arrange is not None:
            values.append(None)
            self._values.extend(plan.arrange(values))
        else:
            self._values.extend(values)
        self._indexes.append(index)

    def add_alike(self, rows: list[dict[str, Any]]) -> None:
        """Fit rows of the same keys column by column."""
        keys = [*rows[0]]
        if [*chain.from_iterable(rows)] != keys * len(rows) or set(map(len, rows)) != {len(keys)}:
            raise NotAlike
        # All values in one list: a column is a slice of it, and putting one back costs no new rows.
        self._add_values(keys, list(chain.from_iterable(map(dict.values, rows))), len(rows))

    def add_block(self, keys: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
        """Fit rows of the same keys column by column."""
        self._add_values([*keys], list(chain.from_iterable(rows)), len(rows))

    def add_columns(self, keys: tuple[str, ...], columns: list[Sequence[Any]]) -> None:
        """Fit rows of the same keys column by column."""
        if not self._columns.keys() >= set(keys):
            raise NotAlike
        count = len(columns[0])
        try:
            self._values.extend(self._arranged(dict(zip(keys, columns, strict=True)), count))
        except (TooWide, Misfit):
            raise NotAlike from None
        self._indexes.extend(range(len(self._indexes), len(self._indexes) + count))

    def _add_values(self, keys: list[str], values: list[Any], count: int) -> None:
        if not self._columns.keys() >= set(keys):
            raise NotAlike
        width = len(keys)
        try:
            if keys == [column.key for column in self._schema.columns]:
                for position, column in enumerate(self._schema.columns):
                    found = values[position::width]
                    fitted = self._whole_column(column, found)
                    if fitted is not found:
                        values[position::width] = fitted
            else:
                values = self._arranged(dict(zip(keys, (values[n::width] for n in range(width)), strict=True)), count)
        except (TooWide, Misfit):
            raise NotAlike from None
        self._values.extend(values)
        self._indexes.extend(range(len(self._indexes), len(self._indexes) + count))

    def _arranged(self, found: Mapping[str, Sequence[Any]], count: int) -> list[Any]:
        """Values of rows whose keys are others, or in another order, than the table's columns."""
        nothing = [None] * count
        columns = [self._whole_column(each, found.get(each.key, nothing)) for each in self._schema.columns]
        return list(chain.from_iterable(zip(*columns, strict=True)))

    def conversion(self, value: ColumnType, column: Column) -> Convert | None:
        """How a value of some type is put into a column; None when it goes in as it is."""
        return conversion(value, column)

    def _whole_column(self, column: Column, values: Sequence[Any]) -> Sequence[Any]:
        """A column's values as the table takes them; the same list when they go in as they are.

        Raises:
            TooWide, Misfit: one of them needs a closer look.
        """
        kinds = set(map(type, values))
        nulls = type(None) in kinds
        kinds.discard(type(None))
        if len(kinds) > 1 or (nulls and column.key in self._schema.primary_key):
            raise TooWide
        if not kinds:
            return values
        kind = TYPE_OF.get(kinds.pop(), ColumnType.TEXT)
        if widen(column.type, kind) is not column.type:
            raise TooWide
        convert = self.conversion(kind, column)
        if convert is checked_integer:
            present = [value for value in values if value is not None] if nulls else values
            if min(present) < MIN_INT64 or max(present) > MAX_INT64:
                raise TooWide
            return values
        if convert is None:
            return values
        whole = self.whole.get(convert)
        if whole is not None and nulls:
            made = iter(whole([value for value in values if value is not None]))
            return [None if value is None else next(made) for value in values]
        if whole is not None:
            return whole(values)
        if nulls:
            return [value if value is None else convert(value) for value in values]
        return list(map(convert, values))

    def needs(self) -> Mapping[str, ColumnType]:
        """The type each key needs, for keys whose column is missing or too narrow."""
        return self._needs

    def payload(self) -> tuple[list[list[Any]], list[int]]:
        """The rows, values in the order of the schema's columns, some rows to a list; just once.

        One list per row would cost a third more to make, and to collect.
        """
        width = max(1, len(self._schema.columns))
        step = width * max(1, min(ROWS_TOGETHER, VALUES_TOGETHER // width))
        values, self._values = self._values, []
        return [values[at : at + step] for at in range(0, len(values), step)], self._indexes

    def _plan(self, shape: _Shape, row: dict[str, Any]) -> _Plan | None:
        """The plan for a shape; None when the schema has no room for it yet."""
        missing = [key for key in self._schema.primary_key if row.get(key) is None]
        if missing:
            raise Misfit(missing[0], "the key has no value")
        if len(self._plans) >= SHAPES_KEPT:
            self._plans.clear()
        plan = self._plans[shape] = self._work_out(row)
        return plan

    def _work_out(self, row: dict[str, Any]) -> _Plan | None:
        integers, conversions = [], []
        for position, (key, value) in enumerate(row.items()):
            column = self._columns.get(key)
            if column is None:
                return None
            if value is None:
                continue
            kind = TYPE_OF.get(type(value), ColumnType.TEXT)
            if widen(column.type, kind) is not column.type:
                return None
            convert = self.conversion(kind, column)
            if convert is checked_integer:
                integers.append(position)
            elif convert is not None:
                conversions.append((position, key, convert))
        return _Plan(tuple(integers), tuple(conversions), self._arrangement(row))

    def _arrangement(self, row: dict[str, Any]) -> Callable[[list[Any]], Any] | None:
        keys = list(row)
        wanted = [column.key for column in self._schema.columns]
        if keys == wanted:
            return None
        # One more value than the row has, None, stands at its end for every key it lacks.
        places = dict(zip(keys, range(len(keys)), strict=True))
        positions = [places.get(key, len(keys)) for key in wanted]
        if len(positions) == 1:
            only = positions[0]
            return lambda values: (values[only],)
        return itemgetter(*positions)

    def _widen_for(self, row: dict[str, Any]) -> None:
        """Note what the schema lacks for a row.

        Raises:
            Misfit: the table is somebody else's and its types are as they are, or it is full.
        """
        for key, value in row.items():
            column = self._columns.get(key)
            present = column or self._spare.get(key)
            current = self._needs.get(key, present.type if present else ColumnType.NULL)
            kind = widen_for(current, value)
            if present is not None and kind is not present.type and self._schema.fixed:
                raise Misfit(key, f"the column is {present.type}, the value is {type_of(value)}")
            if present is None and key not in self._needs:
                self._take_room(key)
            if column is None or kind is not column.type:
                self._needs[key] = kind

    def _take_room(self, key: str) -> None:
        if self._schema.closed:
            raise Misfit(key, "the table has no such column, and --no-create says that none is made")
        if self._room <= 0:
            raise Misfit(key, f"the table has {len(self._columns)} columns already, the most it can have")
        self._room -= 1


def conversion(value: ColumnType, column: Column) -> Convert | None:
    """How a value of some type is put into a column; None when it goes in as it is."""
    if column.makes_numbers and value is ColumnType.TEXT:
        return _no_number
    return CONVERSIONS.get((value, column.type))


def text_of(value: Any) -> str:
    """A scalar as the text that a text column keeps."""
    if type(value) is str:
        return value
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is bytes:
        return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        return iso(value)
    return _number_as_text(value) if type(value) is float else str(value)


def _number_as_text(value: float) -> str:
    """A float as text; a whole one like the integer it may have been.

    An integer that came before its column was widened to float is stored as one: it must read the
    same as one that came later, or the result would depend on which window was first.
    """
    checked = _checked_float(value)
    if checked.is_integer() and abs(checked) <= EXACT:
        return str(int(checked))
    return repr(checked)


def _no_number(text: str) -> str:
    if NUMBER.fullmatch(text):
        raise Misfit(None, "the column would turn this text into a number")
    return text


def _json(value: Any) -> str:
    return str(dump(value), "utf-8")


def _json_column(values: Sequence[Any]) -> Sequence[str]:
    if isinstance(values, ParsedColumn):
        return values.texts
    # A line break inside a value is written as an escape: one decoding serves them all.
    return b"\n".join(dump_all(values)).decode().split("\n")


def _float_column(values: Sequence[float]) -> Sequence[float]:
    return list(map(_checked_float, values)) if any(map(isnan, values)) else values


def _checked_float(value: float) -> float:
    if value != value:
        raise Misfit(None, "NaN has no place in a database column")
    return value


def checked_integer(value: int) -> int:
    """An integer of 64 bits."""
    if not MIN_INT64 <= value <= MAX_INT64:
        raise TooWide
    return value


def float_of(value: int) -> float:
    """An integer as the float that is the same number."""
    if abs(value) > EXACT:
        raise TooWide
    return float(value)


def _decimal_of(value: int | float | Decimal) -> str:
    if type(value) is float:
        return _number_as_text(value)
    return str(value)


CONVERSIONS: dict[tuple[ColumnType, ColumnType], Convert] = {
    (ColumnType.INTEGER, ColumnType.INTEGER): checked_integer,
    (ColumnType.INTEGER, ColumnType.FLOAT): float_of,
    (ColumnType.FLOAT, ColumnType.FLOAT): _checked_float,
    **{(number, ColumnType.DECIMAL): _decimal_of for number in NUMBERS},
    (ColumnType.DATETIME, ColumnType.DATETIME): iso,
    (ColumnType.JSON, ColumnType.JSON): _json,
    (ColumnType.JSON, ColumnType.TEXT): _json,
    **{
        (kind, ColumnType.TEXT): text_of
        for kind in ColumnType
        if kind not in (ColumnType.TEXT, ColumnType.JSON, ColumnType.NULL)
    },
}

TableNormalizer.whole = {_json: _json_column, _checked_float: _float_column}
