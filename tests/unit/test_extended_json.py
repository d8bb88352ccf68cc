"""Extended JSON, compared with bson's own reading of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from bson import Binary, Decimal128, Int64, ObjectId, json_util
from hypothesis import given
from hypothesis import strategies as st

from streamconsole.engines.migration.extended_json import WRAPPERS, Malformed, from_millis, iso, unwrap, unwrap_row
from streamconsole.engines.migration.json_lines import LineParser

MODES = st.sampled_from([json_util.CANONICAL_JSON_OPTIONS, json_util.RELAXED_JSON_OPTIONS])
MOMENTS = st.integers(-62_135_500_000_000, 253_402_200_000_000).map(
    lambda millis: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=millis)
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**31), 2**31 - 1)
    | st.integers(-(2**63), 2**63 - 1).map(Int64)
    | st.floats()
    | st.text(max_size=8).filter(lambda text: "\0" not in text)
    | MOMENTS
    | st.binary(min_size=12, max_size=12).map(ObjectId)
    | st.uuids()
    | st.binary(max_size=8).map(lambda data: Binary(data, 0))
    | st.decimals(places=3, min_value=-(10**9), max_value=10**9).map(Decimal128)
)
PLAIN_KEYS = st.text("abcd.", min_size=1, max_size=4)
NESTED = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PLAIN_KEYS, inner, max_size=3)
)


def parse(line: bytes) -> dict[str, Any]:
    return LineParser(line).parse(line)


def stored(value: Any) -> Any:
    """What a value of bson's is to become."""
    match value:
        case ObjectId() | UUID():
            return str(value)
        case Decimal128():
            return value.to_decimal()
        case Int64():
            return int(value)
        case Binary():
            return bytes(value)
    return value


def same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and one != one:
        return isinstance(other, float) and other != other
    return type(one) is type(other) and one == other


@given(SCALARS, MODES)
def test_a_value_is_read_as_bson_reads_it(value: Any, mode: json_util.JSONOptions) -> None:
    options = mode.with_options(uuid_representation=4, tz_aware=True)
    row = parse(json_util.dumps({"v": value}, json_options=options).encode())
    assert same(unwrap_row(row)["v"], stored(value))


@given(NESTED, MODES)
def test_nested_values_keep_their_meaning(value: Any, mode: json_util.JSONOptions) -> None:
    options = mode.with_options(uuid_representation=4, tz_aware=True, tzinfo=UTC)
    written = json_util.dumps({"v": {"inner": [value]}}, json_options=options)
    nested = unwrap_row(parse(written.encode()))["v"]
    # What came out is still Extended JSON, relaxed: bson reads the same values from it.
    again = json_util.loads(json.dumps(nested), json_options=options)
    wanted = json_util.loads(written, json_options=options)["v"]
    assert repr(again) == repr(_widths_away(wanted))


def _widths_away(value: Any) -> Any:
    """Relaxed form does not tell 64-bit integers from shorter ones."""
    if isinstance(value, dict):
        return {key: _widths_away(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_widths_away(inner) for inner in value]
    return int(value) if isinstance(value, Int64) else value


@pytest.mark.parametrize(
    ("millis", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (226117231000, "1977-03-02T02:20:31.000Z"),
        (-62135596800000, "0001-01-01T00:00:00.000Z"),
        (253402300799999, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_dates_of_the_whole_calendar(millis: int, text: str) -> None:
    for form in ({"$numberLong": str(millis)}, millis, text):
        assert iso(unwrap({"$date": form})) == text
    assert unwrap([{"$date": {"$numberLong": str(millis)}}]) == [{"$date": text}]


@pytest.mark.parametrize("millis", [-62135596800001, 253402300800000, 2**63 - 1, -(2**63), 10**30])
def test_dates_beyond_the_calendar_are_refused_by_their_number(millis: int) -> None:
    with pytest.raises(Malformed, match=str(millis)):
        from_millis(millis)
    with pytest.raises(Malformed):
        unwrap({"$date": {"$numberLong": str(millis)}})


def test_a_date_with_an_offset_is_kept_in_utc() -> None:
    assert unwrap({"$date": "2020-01-01T01:00:00+02:00"}) == datetime(2019, 12, 31, 23, tzinfo=UTC)
    assert unwrap({"$date": "2020-01-01T01:00:00"}) == datetime(2020, 1, 1, 1, tzinfo=UTC)
    assert iso(datetime(2020, 1, 1, tzinfo=UTC) + timedelta(microseconds=5)) == "2020-01-01T00:00:00.000005Z"


@pytest.mark.parametrize(
    "wrapper",
    [
        {"$oid": "short"},
        {"$oid": 5},
        {"$oid": "0x00000000000000000000ab"},
        {"$numberInt": 5},
        {"$numberInt": "1.5"},
        {"$numberLong": "x"},
        {"$numberLong": "9" * 5000},
        {"$numberDouble": "one"},
        {"$numberDecimal": "NaN"},
        {"$numberDecimal": "abc"},
        {"$date": True},
        {"$date": None},
        {"$date": "yesterday"},
        {"$date": {"$numberLong": 5}},
        {"$date": {}},
        {"$date": "0001-01-01T00:00:00+05:00"},
        {"$date": "9999-12-31T23:59:59-05:00"},
        {"$date": "2020-01-01T00:00:00Z", "extra": 1},
        {"$uuid": "no"},
        {"$binary": {"base64": "!", "subType": "zz"}},
    ],
)
def test_a_wrapper_that_does_not_hold_what_it_promises_is_refused(wrapper: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        unwrap_row({"v": wrapper})


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*sorted(WRAPPERS), "$options", "$type", "base64", "subType", "t"]), inner, max_size=2
        )
    ),
    max_leaves=8,
)


@given(st.sampled_from(sorted(WRAPPERS)), JSON_VALUES, st.booleans())
def test_nothing_but_malformed_ever_comes_of_it(name: str, content: Any, nested: bool) -> None:
    wrapper = {name: content}
    try:
        found = unwrap_row({"v": [wrapper] if nested else wrapper})["v"]
    except Malformed:
        return
    assert isinstance(found, None | bool | int | float | str | bytes | datetime | Decimal | dict | list)


def test_what_is_no_wrapper_stays() -> None:
    row = {"a": {"b": 1, "$oid": "x", "c": 3}, "l": [{"x": 1}], "t": "$oid", "e": {}, "n": None}
    assert unwrap_row(row) == row


def test_deep_nesting_is_refused_in_words() -> None:
    deep: Any = {"$numberInt": "1"}
    for _ in range(5_000):
        deep = [deep]
    with pytest.raises(Malformed, match="too deep"):
        unwrap_row({"v": deep})
