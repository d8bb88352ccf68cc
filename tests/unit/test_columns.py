"""Column types: how they widen, and names that are free."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streamconsole.engines.migration.columns import (
    EXACT,
    INT64,
    Column,
    ColumnType,
    Schema,
    free_name,
    infer,
    type_of,
    widen,
    widen_for,
)
from streamconsole.engines.migration.targets.sqlite_table import quote

TYPES = st.sampled_from(ColumnType)
VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.binary(max_size=5)
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.datetimes(timezones=st.just(UTC))
    | st.just({"a": 1})
    | st.just([1])
)


@given(TYPES, TYPES)
def test_widening_does_not_depend_on_who_comes_first(one: ColumnType, other: ColumnType) -> None:
    assert widen(one, other) is widen(other, one)
    assert widen(one, widen(one, other)) is widen(one, other)


@given(TYPES, TYPES, TYPES)
def test_a_wider_type_holds_what_the_narrower_ones_held(one: ColumnType, two: ColumnType, three: ColumnType) -> None:
    wide = widen(widen(one, two), three)
    for each in (one, two, three):
        assert widen(wide, each) is wide
    # Numbers and text are a chain; any other type that meets a second one ends as text.
    assert wide is widen(one, widen(two, three))


@given(st.lists(VALUES, max_size=8))
def test_an_inferred_type_needs_no_widening_for_its_own_values(values: list[Any]) -> None:
    kind = infer({"a": value} for value in values).get("a", ColumnType.NULL)
    for value in values:
        assert widen(kind, type_of(value)) is kind


def test_numbers_become_no_less_exact() -> None:
    assert type_of(INT64 - 1) is ColumnType.INTEGER
    assert type_of(INT64) is type_of(-INT64 - 1) is ColumnType.DECIMAL
    assert widen_for(ColumnType.FLOAT, EXACT) is ColumnType.FLOAT
    assert widen_for(ColumnType.FLOAT, EXACT + 1) is ColumnType.DECIMAL
    assert widen_for(ColumnType.INTEGER, 0.5) is ColumnType.FLOAT
    assert widen_for(ColumnType.INTEGER, True) is ColumnType.TEXT
    assert widen_for(ColumnType.BOOLEAN, 1) is ColumnType.TEXT
    assert widen_for(ColumnType.INTEGER, "7") is ColumnType.TEXT


def test_every_kind_of_value_has_its_column() -> None:
    values: list[Any] = [None, True, 1, 1.5, Decimal(1), datetime.now(UTC), b"", {}, [], ""]
    kinds = [type_of(value) for value in values]
    assert kinds == ["null", "boolean", "integer", "float", "decimal", "datetime", "binary", "json", "json", "text"]


def test_new_keys_become_columns_at_the_end_up_to_the_most() -> None:
    schema = Schema((Column("a", "a", ColumnType.INTEGER),), ("a",))
    wider = schema.widened({"b": ColumnType.TEXT, "a": ColumnType.FLOAT, "c": ColumnType.JSON}, most=2)
    assert wider.columns == (Column("a", "a", ColumnType.FLOAT), Column("b", "b", ColumnType.TEXT))
    assert wider.primary_key == ("a",)
    assert wider.widened({"b": ColumnType.NULL}) == wider


KEYS = st.lists(
    st.text(max_size=6)
    | st.sampled_from(["select", "SELECT", "Select", 'a"b', "a'b", "🙂", "", "\0", "a_2", "A", "a"]),
    unique=True,
    max_size=12,
)


@given(KEYS)
def test_any_keys_get_names_that_one_table_takes(keys: list[str]) -> None:
    schema = Schema(()).widened(dict.fromkeys([*keys, "last"], ColumnType.TEXT))
    names = [column.name for column in schema.columns]
    assert [column.key for column in schema.columns] == list(dict.fromkeys([*keys, "last"]))
    assert len({name.casefold() for name in names}) == len(names)
    assert all(name and name.isprintable() for name in names)
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"CREATE TABLE t ({', '.join(map(quote, names))})")
        assert [row[1] for row in connection.execute("PRAGMA table_info(t)")] == names


def test_a_plain_key_keeps_its_name() -> None:
    assert free_name("e-mail 🙂", set()) == "e-mail 🙂"
    assert free_name("", set()) == "empty"
    assert free_name("a\0\nb", set()) == "a__b"
    assert free_name("NAME", {"name", "name_2"}) == "NAME_3"
