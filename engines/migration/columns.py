"""Columns and their types, and how a type widens when a value does not fit.

    null → anything
    integer → float → decimal → text      (a float column holds no integer beyond 2**53: decimal)
    anything else that meets another type → text

Widening never changes a value already written: that is why an integer beyond 64 bits goes to
decimal, and why nothing but numbers ever becomes a number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from streamconsole.engines.migration.extras import NO_EXTRAS, Extras

INT64 = 2**63
EXACT = 2**53
"""Integers up to here are exact in a double."""


class ColumnType(StrEnum):
    """Types a column can have; `null` only while no value has been seen."""

    NULL = "null"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    FLOAT = "float"
    DECIMAL = "decimal"
    DATETIME = "datetime"
    BINARY = "binary"
    JSON = "json"
    TEXT = "text"


NUMBERS = (ColumnType.INTEGER, ColumnType.FLOAT, ColumnType.DECIMAL)

TYPE_OF: Mapping[type, ColumnType] = {
    type(None): ColumnType.NULL,
    bool: ColumnType.BOOLEAN,
    int: ColumnType.INTEGER,
    float: ColumnType.FLOAT,
    Decimal: ColumnType.DECIMAL,
    datetime: ColumnType.DATETIME,
    bytes: ColumnType.BINARY,
    dict: ColumnType.JSON,
    list: ColumnType.JSON,
    str: ColumnType.TEXT,
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the target.

    Args:
        key: the key of a row whose value it takes.
        name: its name in the target.
        type: what it holds.
        makes_numbers: the target turns text that looks like a number into one here.
        declared: the type of a column that was there, in the target's words, where more is to be known of it.
    """

    key: str
    name: str
    type: ColumnType
    makes_numbers: bool = False
    declared: str = ""


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of a target table.

    Args:
        columns: in the order of the table.
        primary_key: keys of the rows that make up the primary key; empty for none.
        fixed: types must not be widened (the table is somebody else's).
        closed: no column may be added.
        spare: columns of a present table; one that a row names is taken as it is.
        extras: constraints that are made with the table, and indexes that are made when it is filled.
        longest: bytes that the name of a new column can have; None for any number.
    """

    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    fixed: bool = False
    closed: bool = False
    spare: tuple[Column, ...] = ()
    extras: Extras = NO_EXTRAS
    longest: int | None = None

    def by_key(self) -> dict[str, Column]:
        """The columns by the key of the rows."""
        return {column.key: column for column in self.columns}

    def widened(self, needs: Mapping[str, ColumnType], most: int | None = None) -> Schema:
        """This schema with every need met: types widened, new keys as new columns at the end.

        Args:
            needs: the type each key needs.
            most: columns the target can hold; keys past it get none.
        """
        columns = [
            replace(column, type=widen(column.type, needs[column.key]))
            if column.key in needs and not self.fixed
            else column
            for column in self.columns
        ]
        known = {column.key for column in columns}
        spare = {column.key: column for column in self.spare}
        taken = {column.name.casefold() for column in (*columns, *self.spare)}
        for key, kind in needs.items():
            if key in known:
                continue
            if key in spare:
                columns.append(spare[key])
            elif not self.closed and (most is None or len(taken) < most):
                name = free_name(key, taken, self.longest)
                taken.add(name.casefold())
                # A type that stays as it is must be one that takes values.
                lasting = ColumnType.TEXT if self.fixed and kind is ColumnType.NULL else kind
                columns.append(Column(key, name, lasting))
        return replace(self, columns=tuple(columns))


def widen(one: ColumnType, other: ColumnType) -> ColumnType:
    """The narrowest type that holds the values of both."""
    if one is other or other is ColumnType.NULL:
        return one
    if one is ColumnType.NULL:
        return other
    if one in NUMBERS and other in NUMBERS:
        return NUMBERS[max(NUMBERS.index(one), NUMBERS.index(other))]
    return ColumnType.TEXT


def type_of(value: Any) -> ColumnType:
    """The narrowest column type that holds a value."""
    if type(value) is int and not -INT64 <= value < INT64:
        return ColumnType.DECIMAL
    return TYPE_OF.get(type(value), ColumnType.TEXT)


def infer(rows: Iterable[Mapping[str, Any]]) -> dict[str, ColumnType]:
    """The type each key needs for all the rows given, in the order the keys were met."""
    needs: dict[str, ColumnType] = {}
    for row in rows:
        for key, value in row.items():
            needs[key] = widen_for(needs.get(key, ColumnType.NULL), value)
    return needs


def widen_for(current: ColumnType, value: Any) -> ColumnType:
    """The type a column needs to take one more value."""
    kind = widen(current, type_of(value))
    if kind is ColumnType.FLOAT and type(value) is int and abs(value) > EXACT:
        return ColumnType.DECIMAL
    return kind


def free_name(key: str, taken: set[str], longest: int | None = None) -> str:
    """A column name for a key: printable, and unlike all taken ones even when case is ignored.

    Args:
        key: any text a row used as a key.
        taken: names in use, case-folded.
        longest: bytes it can have; None for any number.
    """
    name = "".join(letter if letter.isprintable() else "_" for letter in key) or "empty"
    candidate, count = shortened(name, longest), 1
    while candidate.casefold() in taken:
        count += 1
        candidate = shortened(name, longest, f"_{count}")
    return candidate


def shortened(name: str, longest: int | None, end: str = "") -> str:
    """A name with an end, cut to so many bytes where it would be longer."""
    if longest is None:
        return name + end
    return name.encode(errors="replace")[: longest - len(end)].decode(errors="ignore") + end
