"""The offset manager: no range twice, none skipped, whoever asks and whoever gives up."""

from __future__ import annotations

import asyncio
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamconsole.engines.errors import SideLost
from streamconsole.engines.migration.offsets import LOOK_AHEAD, OffsetManager, Position, after
from streamconsole.engines.units import Window

START = Position(1, 0, 0)


class Source:
    """Cuts `count` windows of one row, and notes what was recorded before it was handed out."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.recorded: list[int] = []
        self.cuts = 0

    def cut(self, position: Position) -> list[Window]:
        self.cuts += 1
        numbers = range(position.number, min(position.number + LOOK_AHEAD, self.count + 1))
        return [Window(n, n - 1, n, n - 1, 1) for n in numbers]

    async def record(self, cut: list[Window]) -> None:
        await asyncio.sleep(0)
        self.recorded += [window.number for window in cut]


def manager(source: Source, ranges: list[Window] | None = None, start: Position | None = START) -> OffsetManager:
    return OffsetManager(ranges or [], start, source.cut, source.record)


async def take_all(offsets: OffsetManager, source: Source, takers: int) -> list[int]:
    taken: list[int] = []

    async def take() -> None:
        while (window := await offsets.next()) is not None:
            assert window.number in source.recorded
            taken.append(window.number)
            await asyncio.sleep(0)
            await offsets.settle(window)

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for _ in range(takers):
            group.create_task(take())
    return taken


@settings(max_examples=40)
@given(st.integers(0, 60), st.integers(1, 20))
def test_many_takers_get_each_range_once(count: int, takers: int) -> None:
    async def main() -> None:
        source = Source(count)
        offsets = manager(source)
        taken = await take_all(offsets, source, takers)
        assert sorted(taken) == list(range(1, count + 1))
        assert source.recorded == list(range(1, count + 1))
        assert offsets.dry
        assert await offsets.next() is None

    asyncio.run(main())


async def test_just_a_list() -> None:
    ranges = [Window(n, n, n + 1, 0, 1) for n in (7, 3, 5)]
    offsets = OffsetManager(ranges)
    assert offsets.dry
    for wanted in (7, 3, 5):
        window = await offsets.next()
        assert window is not None
        assert window.number == wanted
        await offsets.settle(window)
    assert await offsets.next() is None


async def test_a_list_and_then_on_from_a_number() -> None:
    source = Source(6)
    left = [Window(2, 1, 2, 1, 1)]
    source.recorded.append(2)
    taken = await take_all(manager(source, left, Position(4, 3, 3)), source, 1)
    assert taken == [2, 4, 5, 6]


async def test_what_is_put_back_comes_first_and_ends_nobody() -> None:
    source = Source(2)
    offsets = manager(source)
    first, second = await offsets.next(), await offsets.next()
    assert first is not None
    assert second is not None
    waiting = asyncio.ensure_future(offsets.next())
    await asyncio.sleep(0.01)
    # Nothing is left, but one of those that are out may come back.
    assert not waiting.done()
    await offsets.put_back(second)
    assert await asyncio.wait_for(waiting, 5) is second
    await offsets.settle(second)
    last = asyncio.ensure_future(offsets.next())
    await offsets.settle(first)
    assert await asyncio.wait_for(last, 5) is None


async def test_what_is_put_back_comes_in_its_own_place_again() -> None:
    offsets = OffsetManager([Window(n, n, n + 1, n, 1) for n in range(1, 7)])
    out = [await offsets.next() for _ in range(4)]
    for window in (out[1], out[3], out[0], out[2]):
        assert window is not None
        await offsets.put_back(window)
    again = [await offsets.next() for _ in range(6)]
    assert [each.number for each in again if each is not None] == [1, 2, 3, 4, 5, 6]


async def test_a_taker_that_is_cancelled_loses_no_range() -> None:
    source = Source(30)
    offsets = manager(source)
    taken: list[int] = []
    for turns in range(40):
        task = asyncio.ensure_future(offsets.next())
        for _ in range(turns % 8):
            await asyncio.sleep(0)
        task.cancel()
        try:
            window = await task
        except asyncio.CancelledError:
            continue
        if window is not None:
            taken.append(window.number)
            await offsets.settle(window)
    rest = await asyncio.wait_for(take_all(offsets, source, 3), 30)
    assert sorted(taken + rest) == list(range(1, 31))
    assert sorted(set(source.recorded)) == list(range(1, 31))


async def test_cutting_happens_off_the_loop_and_its_error_reaches_the_taker() -> None:
    def cut(_: Position) -> list[Window]:
        assert threading.current_thread() is not threading.main_thread()
        raise SideLost("source", "gone")

    offsets = OffsetManager([], START, cut)
    for _ in range(2):
        with pytest.raises(SideLost, match="gone"):
            await offsets.next()


def test_where_to_go_on() -> None:
    assert after([Window(4, 10, 30, 2, 5)]) == Position(5, 30, 7)
    assert after([Window(1, 0, 5, 0, 5, "a"), Window(2, 5, 7, 5, 2, "b")]) == Position(3, 7, 7, "b")
