"""Widening never changes a value that is written already, whatever comes later."""

from __future__ import annotations

import asyncio
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamconsole.engines.migration.targets.json_rows import JsonNormalizer
from tests.unit.loading import loading, read

texts = st.one_of(st.text(), st.sampled_from(["007", "1e5", " 5", "0x1f", "true", "NaN", "-0", "5."]))
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(),
    st.sampled_from([2**53, 2**53 + 1, -(2**63), 2**63]),
    st.floats(allow_nan=False),
    st.decimals(allow_nan=False, allow_infinity=False),
    texts,
)
# A column is mostly of one type, as columns are; now and then it is not.
columns = st.one_of(*[st.lists(kind, min_size=1, max_size=6) for kind in (st.integers(), st.floats(allow_nan=False))])
parts = st.lists(st.one_of(columns, st.lists(values, min_size=1, max_size=6)), min_size=2, max_size=4)


def is_kept(value: Any, stored: Any) -> bool:
    """Whether what is stored is the value, as a number or as its text."""
    if value is None or type(value) is str:
        return bool(stored == value and type(stored) is type(value))
    if type(value) is bool:
        return stored in ("true", "false")[not value :][:1] or (type(stored) is int and stored == value)
    if type(stored) is str:
        return float(stored) == value if type(value) is float else Decimal(stored) == value
    return bool(stored == value)


async def load(path: Path, windows: list[list[dict[str, Any]]]) -> None:
    async with loading(path, windows[0]) as loader:
        for rows in windows:
            written = await loader.load(rows)
            assert written.rows_written == len(rows)


@given(parts)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_in_a_table_stays_what_it_was(parts: list[list[Any]]) -> None:
    numbered = iter(range(1_000))
    windows = [[{"n": next(numbered), "v": value} for value in part] for part in parts]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.db"
        asyncio.run(load(path, windows))
        stored = {row["n"]: row["v"] for row in read(path)}
    for row in (row for rows in windows for row in rows):
        assert is_kept(row["v"], stored[row["n"]]), (row, stored[row["n"]])


@given(st.lists(st.dictionaries(st.text(), values), min_size=1))
@settings(max_examples=80, deadline=None)
def test_a_line_of_json_is_its_row_however_many_are_beside_it(rows: list[dict[str, Any]]) -> None:
    one_by_one = JsonNormalizer()
    for index, row in enumerate(rows):
        one_by_one.add(index, row)
    lines = one_by_one.payload()[0].split(b"\n")[:-1]
    for row, line in zip(rows, lines, strict=True):
        alone = JsonNormalizer()
        alone.add(0, row)
        assert alone.payload()[0] == line + b"\n"
        if all(type(value) in (str, bool, type(None)) for value in row.values()):
            assert orjson.loads(line) == row
