"""SQLite as a target: claimed once, late owners refused, and no value changed by what comes later."""

from __future__ import annotations

import asyncio
import base64
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamconsole.engines.errors import Refused
from streamconsole.engines.migration.columns import ColumnType
from streamconsole.engines.migration.extended_json import iso
from streamconsole.engines.migration.targets import sqlite_table
from streamconsole.engines.migration.targets.sqlite import SqliteTarget
from streamconsole.engines.migration.targets.target import Written
from tests.unit.loading import declared, loading, read

# Values ---------------------------------------------------------------------------------------------------

VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-10, 10)
    | st.integers(-(2**70), 2**70)
    | st.sampled_from([2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, 2**63, -(2**63), 0.5, 1.0, -0.0, 1e300, 1e-320])
    | st.floats(allow_nan=False)
    | st.text(max_size=4)
    | st.sampled_from(["007", "1e5", "0x1F", " 12 ", "true", "null", "", "a\0b", "🙂"])
    | st.binary(max_size=4)
    | st.decimals(places=2, min_value=-(10**20), max_value=10**20)
    | st.datetimes(timezones=st.just(UTC))
    | st.sampled_from([{"a": 1}, [1, "x"], {}, []])
)


def as_read(value: Any, kind: str) -> Any:
    """What a value is to read as from a column of a declared type: the documented forms."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        return json.dumps(value, separators=(",", ":"))
    if isinstance(value, datetime):
        return iso(value)
    match kind:
        case "BOOLEAN":
            return int(value)
        case "BLOB" | "INTEGER":
            return value
        case "REAL":
            return float(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) <= 2**53 else repr(value)
    return str(value)


def wholesome(value: Any, kind: str) -> bool:
    """Whether the form says the same as the value did."""
    if isinstance(value, int) and not isinstance(value, bool) and kind == "REAL":
        return int(float(value)) == value
    return True


@settings(max_examples=120)
@given(st.lists(st.lists(VALUES, min_size=1, max_size=4), min_size=1, max_size=4), st.booleans())
def test_no_value_is_changed_by_what_comes_later(windows: list[list[Any]], sampled: bool) -> None:
    async def main(path: Path) -> None:
        values = [value for window in windows for value in window]
        sample = [{"v": windows[0][0]}] if sampled else [{"other": 1}]
        async with loading(path, sample) as loader:
            for window in windows:
                await loader.load([{"v": value} for value in window])
        assert loader.kept == []
        kind = declared(path).get("v", "TEXT")
        found = [row["v"] for row in read(path, 'SELECT v FROM "t" ORDER BY rowid')]
        assert found == [as_read(value, kind) for value in values]
        assert [type(value) for value in found] == [type(as_read(value, kind)) for value in values]
        assert all(wholesome(value, kind) for value in values)

    with TemporaryDirectory() as folder:
        asyncio.run(main(Path(folder) / "t.db"))


@settings(max_examples=40)
@given(st.permutations([[1, 2**60], [0.5], ["007", None], [True], [{"a": 1}], [b"x"], [Decimal("1.50")]]), st.data())
def test_the_order_of_windows_does_not_change_the_result(windows: list[list[Any]], data: st.DataObject) -> None:
    count = data.draw(st.integers(1, len(windows)))
    chosen = windows[:count]

    async def load(path: Path, order: list[list[Any]]) -> list[Any]:
        async with loading(path, [{"id": 1}], ("id",)) as loader:
            number = {id(window): at for at, window in enumerate(chosen)}
            for window in order:
                rows = [{"id": number[id(window)] * 10 + n, "v": value} for n, value in enumerate(window)]
                await loader.load(rows)
        return [row["v"] for row in read(path, 'SELECT v FROM "t" ORDER BY id')]

    with TemporaryDirectory() as folder:
        one = asyncio.run(load(Path(folder) / "one.db", chosen))
        two = asyncio.run(load(Path(folder) / "two.db", chosen[::-1]))
    assert one == two


async def test_text_that_looks_like_a_number_stays_text(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    async with loading(path, [{"a": 1, "b": "007"}]) as loader:
        await loader.load([{"a": 7, "b": "007"}])
        await loader.load([{"a": "007", "b": "08"}])
    assert read(path) == [{"a": "7", "b": "007"}, {"a": "007", "b": "08"}]


async def test_integers_no_double_can_hold_make_a_decimal_of_a_float_column(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    async with loading(path, [{"a": 1}]) as loader:
        await loader.load([{"a": 2**53 + 1}])
        await loader.load([{"a": 0.5}])
    assert declared(path) == {"a": "DECIMAL_TEXT"}
    assert read(path) == [{"a": "9007199254740993"}, {"a": "0.5"}]


async def test_a_rebuild_keeps_every_row_column_and_key(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    rows = [{"id": n, "name": f"n{n}", "score": n / 3, "none": None} for n in range(500)]
    async with loading(path, rows, ("id",)) as loader:
        await loader.load(rows)
        before = read(path)
        await loader.load([{"id": 500, "name": "n", "score": "high", "none": True, "new": [1]}])
        assert (await loader.load([{"id": 5, "name": "again"}])).rejects == 1
    after = read(path, "SELECT * FROM t ORDER BY id")
    assert [row["id"] for row in after] == list(range(501))
    assert [(row["id"], row["name"]) for row in after[:500]] == [(row["id"], row["name"]) for row in before]
    assert [float(row["score"]) for row in after[:500]] == [row["score"] for row in before]
    keys = read(path, "SELECT name FROM pragma_table_info('t') WHERE pk")
    assert keys == [{"name": "id"}]
    tables = {row["name"] for row in read(path, "SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables == {"t", "_streamconsole_runs", "_streamconsole_windows"}


async def test_numbers_with_no_place_are_rejects(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    async with loading(path, [{"a": 1.5, "b": "x"}]) as loader:
        written = await loader.load([{"a": float("nan")}, {"a": float("inf")}, {"a": 1.0}, {"b": float("nan")}])
    assert written == Written(4, 2, 2)
    assert [(each.column, each.line) for each in loader.kept] == [("a", 1), ("b", 4)]
    assert [row["a"] for row in read(path)] == [float("inf"), 1.0]


# Columns --------------------------------------------------------------------------------------------------


async def test_odd_column_names(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    odd = ["select", 'quo"te', "apo'strophe", "🙂", "Name", "name", "NAME", "", "a b", "semi;--", "rowid", "%s", "?"]
    row = {key: str(number) for number, key in enumerate(odd)}
    async with loading(path, [row]) as loader:
        await loader.load([row, dict(reversed(row.items())), {"name": "alone"}])
    found = read(path)
    assert [list(each.values()) for each in found[:2]] == [list(row.values())] * 2
    assert len({name.casefold() for name in found[0]}) == len(odd)
    assert [value for value in found[2].values() if value] == ["alone"]


async def test_two_thousand_columns_and_one_more(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    wide = {f"c{n}": n for n in range(1_999)}
    async with loading(path, [wide]) as loader:
        await loader.load([wide])
        written = await loader.load([wide | {"the 2000th": 1}, wide | {"one more": 2}, wide, {"another": 1}])
        assert written == Written(4, 2, 2)
        assert "2000 columns already" in loader.kept[0].reason
        assert [each.column for each in loader.kept] == ["one more", "another"]
        assert (await loader.load([{"c5": "text"}])).rows_written == 1
    assert len(read(path)[0]) == 2_000
    assert [row["c5"] for row in read(path)] == ["5", "5", "5", "text"]


async def test_more_columns_than_a_table_has_from_the_start(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    wide = {f"c{n}": n for n in range(2_001)}
    async with loading(path, [wide | {"id": 1}], ("id",)) as loader:
        assert await loader.load([wide | {"id": 1}, {"id": 2, "c1": 1}]) == Written(2, 1, 1)
    assert read(path, "SELECT id FROM t") == [{"id": 2}]


async def test_duplicate_and_missing_keys_are_rejects(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    async with loading(path, [{"id": 1, "a": 1}], ("id",)) as loader:
        written = await loader.load([{"id": 1}, {"id": 2}, {"id": 1, "a": 9}, {"a": 3}, {"id": None}, {"id": 3}])
        assert written == Written(6, 3, 3)
        assert (await loader.load([{"id": 3}, {"id": 4}])) == Written(2, 1, 1)
    assert [(each.line, each.column, each.reason) for each in loader.kept] == [
        (4, "id", "the key has no value"),
        (5, "id", "the key has no value"),
        (3, "id", "duplicate key 1"),
        (1, "id", "duplicate key 3"),
    ]
    assert [row["id"] for row in read(path)] == [1, 2, 3, 4]


# What is there before ------------------------------------------------------------------------------------------


async def test_a_table_that_is_somebody_elses_keeps_its_types(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    with closing(sqlite3.connect(path)) as theirs, theirs:
        theirs.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(20), n NUMERIC, s STRING, d DATE)")
    rows: list[dict[str, Any]] = [
        {"id": 1, "name": "007", "extra": True},
        {"id": "x"},
        {"id": 2, "n": 12, "d": datetime(2020, 1, 1, tzinfo=UTC)},
        {"id": 3, "d": "2020-01-01"},
    ]
    async with loading(path, rows, ("id",)) as loader:
        await loader.load(rows)
        for number, column in enumerate(("n", "s", "d"), 10):
            await loader.load([{"id": number, column: "007"}])
    found = {row["id"]: row for row in read(path)}
    assert found[1]["name"] == "007"
    assert found[2]["n"] == 12
    assert found[2]["d"] == "2020-01-01T00:00:00.000Z"
    assert found[3]["d"] == "2020-01-01"
    assert declared(path)["n"] == "NUMERIC"
    # What the column would turn into a number is either there as it was, or refused in words.
    refused = {each.column for each in loader.kept}
    for number, column in enumerate(("n", "s", "d"), 10):
        assert found.get(number, {}).get(column) == "007" or column in refused
    assert "id" in refused


async def test_a_table_with_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    with closing(sqlite3.connect(path)) as theirs, theirs:
        theirs.execute("CREATE TABLE t (a)")
        theirs.execute("INSERT INTO t VALUES (1)")
    with pytest.raises(Refused, match="holds rows already"):
        SqliteTarget(path, "t").inspect({"a": ColumnType.INTEGER}, ())


@pytest.mark.parametrize("name", ["sqlite_x", "_streamconsole_runs", "_STREAMCONSOLE_x", "a\0b"])
def test_names_kept_by_others_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Refused):
        SqliteTarget(tmp_path / "t.db", name).inspect({"a": ColumnType.INTEGER}, ())


def test_a_table_without_a_single_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused):
        SqliteTarget(tmp_path / "t.db", "t").inspect({}, ())


@pytest.mark.parametrize("kind", ColumnType)
def test_what_is_declared_is_understood_again(kind: ColumnType) -> None:
    again = sqlite_table.type_declared(sqlite_table.DECLARED[kind])
    assert again is (ColumnType.TEXT if kind is ColumnType.NULL else kind)


async def test_the_journal_mode_is_put_back(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    async with loading(path, [{"a": 1}]) as loader:
        await loader.load([{"a": 1}])
    assert read(path, "PRAGMA journal_mode") == [{"journal_mode": "delete"}]
    assert {each.name for each in tmp_path.iterdir()} == {"t.db"}
