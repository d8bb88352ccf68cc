"""Workers: locked while they work, paused, resized, ended; one's error is its own."""

from __future__ import annotations

import asyncio

import pytest

from streamconsole.engines.errors import SideLost
from streamconsole.engines.migration.locks import LockManager, WorkerLocked
from streamconsole.engines.migration.manager import WorkerManager
from streamconsole.engines.migration.notifications import Kind, Notification
from streamconsole.engines.migration.offsets import OffsetManager, Position
from streamconsole.engines.units import Window


def test_a_worker_is_locked_while_it_works_and_unlocks_itself() -> None:
    locks = LockManager()
    with locks.hold(1), locks.hold(2):
        assert (locks.locked, locks.is_locked(1), locks.is_locked(3)) == (2, True, False)
        with pytest.raises(WorkerLocked), locks.hold(1):
            raise AssertionError("nothing may start on a locked worker")
        assert locks.is_locked(1)
    assert locks.locked == 0
    with pytest.raises(KeyError), locks.hold(1):
        raise KeyError
    assert not locks.is_locked(1)


class Shop:
    """Workers whose work lasts until the test lets it end."""

    def __init__(self, count: int, workers: int) -> None:
        self.offsets = OffsetManager([Window(n, n, n + 1, 0, 1) for n in range(1, count + 1)])
        self.manager = WorkerManager(self.offsets, self.work, self.notify, workers)
        self.active: dict[int, asyncio.Event] = {}
        self.by: dict[int, int] = {}
        self.heard: list[Notification] = []
        self.most = 0
        self._changed = asyncio.Condition()

    async def work(self, number: int, window: Window) -> Notification:
        assert self.manager.locks.is_locked(number)
        self.by[window.number] = number
        done = self.active[window.number] = asyncio.Event()
        self.most = max(self.most, len(self.active))
        async with self._changed:
            self._changed.notify_all()
        await done.wait()
        del self.active[window.number]
        kind = Kind.ERROR if window.number == 2 else Kind.COMPLETED
        return Notification(kind, number, window)

    async def notify(self, notification: Notification) -> None:
        self.heard.append(notification)
        if notification.window is not None:
            await self.offsets.settle(notification.window)

    async def until_active(self, *windows: int) -> None:
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: set(self.active) == set(windows))

    def finish(self, *windows: int) -> None:
        for window in windows:
            self.active[window].set()


async def idle_for_a_while() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_every_free_worker_gets_the_next_range_at_once() -> None:
    shop = Shop(5, workers=2)
    working = asyncio.ensure_future(shop.manager.start())
    await shop.until_active(1, 2)
    shop.finish(2)
    await shop.until_active(1, 3)
    shop.finish(1, 3)
    await shop.until_active(4, 5)
    shop.finish(4, 5)
    await asyncio.wait_for(working, 10)
    kinds = [each.kind for each in shop.heard]
    assert kinds.count(Kind.COMPLETED) == 4
    assert kinds.count(Kind.ERROR) == 1
    assert kinds.count(Kind.END) == 2
    assert shop.most == 2
    assert set(shop.by.values()) == {1, 2}
    assert shop.manager.locks.locked == 0


async def test_paused_nothing_new_starts_and_what_is_active_ends() -> None:
    shop = Shop(6, workers=3)
    working = asyncio.ensure_future(shop.manager.start())
    await shop.until_active(1, 2, 3)
    shop.manager.pause()
    shop.finish(1, 2, 3)
    await idle_for_a_while()
    assert shop.active == {}
    assert [each.kind for each in shop.heard] == [Kind.COMPLETED, Kind.ERROR, Kind.COMPLETED]
    shop.manager.continue_()
    await shop.until_active(4, 5, 6)
    shop.finish(4, 5, 6)
    await asyncio.wait_for(working, 10)


async def test_a_worker_that_waits_for_a_range_while_paused_does_not_start_on_it() -> None:
    shop = Shop(1, workers=2)
    working = asyncio.ensure_future(shop.manager.start())
    await shop.until_active(1)
    shop.manager.pause()
    shop.finish(1)
    # The second worker is already waiting for a range when one comes back.
    await shop.offsets.put_back(Window(9, 9, 10, 0, 1))
    await idle_for_a_while()
    assert 9 not in shop.by
    shop.manager.continue_()
    await shop.until_active(9)
    shop.finish(9)
    await asyncio.wait_for(working, 10)


async def test_more_and_fewer_workers_while_they_work() -> None:
    shop = Shop(12, workers=1)
    working = asyncio.ensure_future(shop.manager.start())
    await shop.until_active(1)
    shop.manager.resize(4)
    await shop.until_active(1, 2, 3, 4)
    shop.manager.resize(2)
    shop.finish(1, 2, 3, 4)
    await shop.until_active(5, 6)
    assert {shop.by[5], shop.by[6]} == {1, 2}
    # Down and up again before anybody has left: nobody is started twice.
    shop.manager.resize(1)
    shop.manager.resize(3)
    await shop.until_active(5, 6, 7)
    shop.manager.end()
    shop.finish(5, 6, 7)
    await asyncio.wait_for(working, 10)
    assert len(shop.by) == 7


async def test_ended_active_workers_finish_and_the_rest_is_left() -> None:
    shop = Shop(5, workers=2)
    working = asyncio.ensure_future(shop.manager.start())
    await shop.until_active(1, 2)
    shop.manager.end()
    shop.manager.resize(4)
    shop.finish(1, 2)
    await asyncio.wait_for(working, 10)
    assert sorted(shop.by) == [1, 2]
    assert shop.offsets.waiting == 3


async def test_a_lost_source_is_told_as_a_failure() -> None:
    def cut(_: Position) -> list[Window]:
        raise SideLost("source", "the file is gone")

    heard: list[Notification] = []

    async def notify(notification: Notification) -> None:
        heard.append(notification)

    async def work(_: int, __: Window) -> Notification:
        raise AssertionError

    manager = WorkerManager(OffsetManager([], Position(1, 0, 0), cut), work, notify, 2)
    await asyncio.wait_for(manager.start(), 10)
    assert [(each.kind, each.message) for each in heard] == [(Kind.FAILURE, "the file is gone")] * 2


async def test_a_programming_error_is_loud() -> None:
    async def work(_: int, __: Window) -> Notification:
        raise ZeroDivisionError

    async def notify(_: Notification) -> None:
        raise AssertionError

    manager = WorkerManager(OffsetManager([Window(1, 0, 1, 0, 1)]), work, notify, 2)
    with pytest.raises(ExceptionGroup) as caught:
        await asyncio.wait_for(manager.start(), 10)
    assert caught.group_contains(ZeroDivisionError)
    assert manager.locks.locked == 0
