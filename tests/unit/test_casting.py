"""Casts keep every digit of what they keep, whatever they are given."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamconsole.engines.migration.batch import Misfit
from streamconsole.engines.migration.transforms.casting import CASTS, cast

numbers = st.one_of(
    st.integers(),
    st.floats(),
    st.decimals(allow_nan=True, allow_infinity=True),
    st.booleans(),
    st.integers().map(str),
    st.floats().map(repr),
    st.decimals(allow_nan=True).map(str),
    st.from_regex(r"[ +-]?[0-9]{0,25}\.?[0-9]{0,25}([eE][+-]?[0-9]{1,5})?", fullmatch=True),
)
anything = st.one_of(numbers, st.text(), st.binary(), st.lists(st.integers()), st.dictionaries(st.text(), st.text()))


def meanings(value: Any) -> set[Decimal]:
    """What a value is as a number: a float both exactly, and by the shortest text that means it."""
    if isinstance(value, float):
        return {Decimal(value), Decimal(repr(value))}
    return {Decimal(value.strip() if isinstance(value, str) else value)}


@given(value=numbers, kind=st.sampled_from(["integer", "float", "decimal"]))
def test_a_number_that_is_kept_is_the_same_number(value: Any, kind: str) -> None:
    try:
        kept = cast(value, kind)
    except Misfit:
        return
    assert type(kept) is {"integer": int, "float": float, "decimal": Decimal}[kind]
    assert meanings(kept) & meanings(value)


@given(value=anything, kind=st.sampled_from(sorted(CASTS)))
def test_a_cast_gives_its_type_or_a_misfit_and_casting_again_changes_nothing(value: Any, kind: str) -> None:
    said = ""
    try:
        kept = cast(value, kind)
    except Misfit as misfit:
        said = str(misfit)
        kept = None
    if kept is None:
        assert len(said) < 200
        assert said.isprintable()
        return
    types = {
        "integer": (int,),
        "float": (float,),
        "decimal": (Decimal,),
        "boolean": (bool,),
        "datetime": (datetime,),
        "text": (str,),
        "json": (dict, list),
    }
    assert type(kept) in types[kind]
    assert cast(kept, kind) == kept


@given(st.datetimes(timezones=st.just(UTC)), st.integers(-23, 23))
def test_moments_are_the_same_moments(moment: datetime, hours: int) -> None:
    there = timezone(timedelta(hours=hours))
    try:
        text = moment.astimezone(there).isoformat()
    except OverflowError:
        return
    assert cast(text, "datetime") == moment


@pytest.mark.parametrize(
    ("value", "kind", "wanted"),
    [
        (" 12 ", "integer", 12),
        ("007", "integer", 7),
        ("12.0", "integer", 12),
        (3.0, "integer", 3),
        (True, "integer", 1),
        ("0.1", "float", 0.1),
        (5, "float", 5.0),
        ("1e3", "float", 1000.0),
        ("12345678901234567890.5", "decimal", Decimal("12345678901234567890.5")),
        ("Yes", "boolean", True),
        (0, "boolean", False),
        ("2020-01-02", "datetime", datetime(2020, 1, 2, tzinfo=UTC)),
        ("2020-01-02 03:04:05.120000000+02:00", "datetime", datetime(2020, 1, 2, 1, 4, 5, 120000, tzinfo=UTC)),
        (1.0, "text", "1"),
        ({"a": 1}, "text", '{"a":1}'),
        ("[1, 2]", "json", [1, 2]),
    ],
)
def test_what_is_cast(value: Any, kind: str, wanted: Any) -> None:
    found = cast(value, kind)
    assert (found, type(found)) == (wanted, type(wanted))


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("", "integer"),
        ("1_000", "integer"),
        ("١٢", "integer"),
        ("12.5", "integer"),
        (2**63, "integer"),
        ("9" * 500, "integer"),
        (float("nan"), "integer"),
        ("0.1000000000000000055", "float"),
        (2**53 + 1, "float"),
        ("1e999", "float"),
        ("inf", "float"),
        (True, "float"),
        ("NaN", "decimal"),
        ("1e999999999", "decimal"),
        (2, "boolean"),
        ("2", "boolean"),
        ("yesterday", "datetime"),
        (0, "datetime"),
        ("2020-01-02T03:04:05.1234567", "datetime"),
        ("5", "json"),
        ('{"a": 1, "a": 2}', "json"),
        ('1, "other": 2', "json"),
        ([1], "integer"),
    ],
)
def test_what_is_not(value: Any, kind: str) -> None:
    with pytest.raises(Misfit, match=f"cannot be cast to {kind}"):
        cast(value, kind)
