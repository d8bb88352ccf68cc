from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamconsole.engines.errors import SideLost
from streamconsole.engines.migration.verifying import spill, uneven
from streamconsole.engines.migration.verifying.side import Stored
from streamconsole.engines.migration.verifying.uneven import Rows, Uneven

NUMBERS = st.lists(st.integers(0, 6), max_size=20)


def side(numbers: list[int], together: int = 3) -> Rows:
    """Rows told by a number."""

    async def read() -> AsyncIterator[list[Stored]]:
        rows = [Stored(f"row {at}", b"row %d" % n, b"%d" % n) for at, n in enumerate(numbers, 1)]
        for at in range(0, len(rows), together):
            yield rows[at : at + together]

    return read


def numbers(rows: list[Stored]) -> Counter[int]:
    return Counter(int(row.key) for row in rows)


@settings(max_examples=40)
@given(NUMBERS, NUMBERS)
async def test_just_what_is_uneven_is_found(ours: list[int], theirs: list[int]) -> None:
    found = await uneven.uneven(side(ours), side(theirs))
    assert numbers(found.source) == Counter(ours) - Counter(theirs)
    assert numbers(found.target) == Counter(theirs) - Counter(ours)
    assert (found.missing, found.extra) == (len(found.source), len(found.target))
    assert found.whole


@settings(max_examples=40)
@given(NUMBERS, NUMBERS)
async def test_what_a_side_has_beside_is_not_looked_at(ours: list[int], theirs: list[int]) -> None:
    found = await uneven.uneven(side(ours), side(theirs), contained=True)
    assert numbers(found.source) == Counter(ours) - Counter(theirs)
    assert (found.target, found.extra) == ([], 0)


async def test_of_a_row_that_stands_twice_the_second_is_too_much() -> None:
    found = await uneven.uneven(side([1, 2, 3]), side([1, 2, 3, 2]))
    assert [row.place for row in found.target] == ["row 4"]


async def test_more_than_is_held_is_counted_to_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uneven, "ROWS_HELD", 10)
    found = await uneven.uneven(side(list(range(500)) + [1] * 40), side(list(range(400, 700))))
    assert (found.missing, found.extra) == (440, 200)
    assert (len(found.source), len(found.target), found.whole) == (10, 10, False)


async def test_large_rows_are_held_up_to_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uneven, "BYTES_HELD", 20)
    found = await uneven.uneven(side(list(range(100))), side([]))
    assert found.missing == 100
    assert len(found.source) < 10


@settings(max_examples=40)
@given(NUMBERS, NUMBERS)
async def test_many_hashes_are_counted_in_several_turns(ours: list[int], theirs: list[int]) -> None:
    before, spill.COUNTED_AT_ONCE = spill.COUNTED_AT_ONCE, 1
    try:
        found = await uneven.uneven(side(ours), side(theirs))
    finally:
        spill.COUNTED_AT_ONCE = before
    assert numbers(found.source) == Counter(ours) - Counter(theirs)
    assert numbers(found.target) == Counter(theirs) - Counter(ours)


async def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    await uneven.uneven(side([1]), side([2]))
    assert list(tmp_path.iterdir()) == []


async def test_no_room_for_hashes_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(SideLost, match="temporary folder"):
        await uneven.uneven(side([1]), side([2]))


def test_even_sides_are_whole() -> None:
    assert Uneven([], [], 0, 0).whole
