"""The bucket that windows are paid from, by a clock that the test turns; and who waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamconsole.engines.migration.pace import CATCH_UP_SECONDS, Bucket, Pace, bytes_of
from streamconsole.engines.rate import Rate, Unit
from streamconsole.engines.units import Window


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def rows(amount: float) -> Rate:
    return Rate(amount, Unit.ROWS)


def test_the_first_begins_at_once_and_the_next_when_it_is_paid() -> None:
    clock = Clock()
    bucket = Bucket(rows(100), clock)
    assert bucket.wait() == 0
    bucket.take(5000)
    assert bucket.wait() == 50
    clock.now += 49
    assert bucket.wait() == pytest.approx(1)
    clock.now += 1
    assert bucket.wait() == 0


def test_less_than_a_window_a_second_is_kept_over_a_long_time() -> None:
    clock = Clock()
    bucket = Bucket(rows(3), clock)
    began = clock.now
    for _ in range(20):
        clock.now += bucket.wait()
        bucket.take(1000)
    assert clock.now - began == pytest.approx(19 * 1000 / 3)


def test_what_was_not_used_is_made_up_for_within_a_second_only() -> None:
    clock = Clock()
    bucket = Bucket(rows(100), clock)
    clock.now += 3600
    bucket.take(100 * CATCH_UP_SECONDS)
    assert bucket.wait() == 0
    bucket.take(100)
    assert bucket.wait() == 1


def test_another_rate_counts_from_now_on() -> None:
    clock = Clock()
    bucket = Bucket(rows(100), clock)
    bucket.take(5000)
    clock.now += 10
    bucket.change(rows(1000))
    assert bucket.wait() == 4
    bucket.change(Rate(1000, Unit.BYTES))
    assert bucket.wait() == 0
    bucket.take(2000)
    bucket.change(None)
    assert bucket.wait() == 0
    clock.now += 100
    bucket.change(rows(10))
    assert bucket.wait() == 0
    bucket.take(10)
    assert bucket.wait() == 1


@given(
    st.floats(0.5, 1e6),
    st.lists(st.tuples(st.floats(0, 5), st.integers(1, 10_000)), min_size=1, max_size=50),
)
def test_never_more_than_the_rate_a_second_and_one_window(rate: float, windows: list[tuple[float, int]]) -> None:
    clock = Clock()
    bucket = Bucket(rows(rate), clock)
    began, begun = clock.now, 0
    for idle, cost in windows:
        clock.now += idle + bucket.wait()
        assert begun <= rate * (clock.now - began + CATCH_UP_SECONDS) * (1 + 1e-9) + 1e-3
        bucket.take(cost)
        begun += cost


# Waiting -------------------------------------------------------------------------------------------


def window(number: int, count: int = 100, size: int = 1000) -> Window:
    return Window(number, number * size, (number + 1) * size, 0, count)


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def going(admitting: Coroutine[Any, Any, bool]) -> asyncio.Task[bool]:
    return asyncio.ensure_future(admitting)


async def test_without_a_limit_nobody_waits() -> None:
    pace = Pace(None)
    assert all([await pace.admit(window(n, 10**9)) for n in range(100)])


async def test_workers_share_the_limit_and_go_in_their_order() -> None:
    clock = Clock()
    pace = Pace(rows(1), clock=clock)
    assert await pace.admit(window(1))
    order: list[int] = []

    async def admitted(number: int) -> None:
        assert await pace.admit(window(number))
        order.append(number)

    waiting = [asyncio.ensure_future(admitted(number)) for number in range(2, 5)]
    for paid in range(1, 4):
        await settled()
        assert order == list(range(2, 1 + paid))
        clock.now += 100
        # Nothing is changed by it, but who waits looks at the clock anew.
        pace.change(rows(1))
    await asyncio.wait_for(asyncio.gather(*waiting), 10)
    assert order == [2, 3, 4]


async def test_a_waiting_worker_is_woken_by_another_limit() -> None:
    pace = Pace(Rate(1, Unit.BYTES))
    assert await pace.admit(window(1, size=10**6))
    waiting = [going(pace.admit(window(n, size=10))) for n in (2, 3)]
    await settled()
    assert not any(each.done() for each in waiting)
    pace.change(None)
    assert await asyncio.wait_for(asyncio.gather(*waiting), 10) == [True, True]


async def test_whoever_waits_can_be_called_away() -> None:
    pace = Pace(rows(1))
    assert await pace.admit(window(1, 10**6))
    waiting = [going(pace.admit(window(n))) for n in (2, 3)]
    await settled()
    pace.interrupt()
    assert await asyncio.wait_for(asyncio.gather(*waiting), 10) == [False, False]
    later = going(pace.admit(window(4)))
    await settled()
    assert not later.done()
    later.cancel()


async def test_a_short_wait_ends_by_itself() -> None:
    pace = Pace(rows(1000))
    assert await pace.admit(window(1, 50))
    assert await asyncio.wait_for(pace.admit(window(2, 50)), 10)


async def test_rows_that_were_not_known_are_counted_when_they_are() -> None:
    clock = Clock()
    pace = Pace(rows(100), 5000, clock=clock)
    assert await pace.admit(window(1, 0))
    waiting = going(pace.admit(window(2, 0)))
    await settled()
    pace.finish(window(1, 0), 300)
    clock.now += 3
    pace.change(pace.rate)
    assert await asyncio.wait_for(waiting, 10)


async def test_bytes_of_a_source_that_counts_rows_are_reckoned() -> None:
    clock = Clock()
    pace = Pace(Rate(1000, Unit.BYTES), row_bytes=50, clock=clock)
    assert await pace.admit(window(1, 100))
    waiting = going(pace.admit(window(2, 100)))
    await settled()
    clock.now += 4.9
    pace.change(pace.rate)
    await settled()
    assert not waiting.done()
    clock.now += 0.1
    pace.change(pace.rate)
    assert await asyncio.wait_for(waiting, 10)


def test_bytes_of_a_row() -> None:
    assert bytes_of({"a": "four", "b": b"12", "c": 1, "d": None, "e": [1, 2]}) == 4 + 2 + 8 + 8 + len("[1, 2]")
