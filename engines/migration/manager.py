"""The workers' manager: every free worker is given the next range as soon as it is free."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from streamconsole.engines.errors import StreamConsoleError
from streamconsole.engines.migration.locks import LockManager
from streamconsole.engines.migration.notifications import Kind, Notification
from streamconsole.engines.migration.offsets import OffsetManager
from streamconsole.engines.migration.pace import Pace
from streamconsole.engines.units import Window

Work = Callable[[int, Window], Awaitable[Notification]]
Notify = Callable[[Notification], Awaitable[None]]


class WorkerManager:
    """Runs N workers over the ranges of an offset manager.

    Args:
        offsets: where ranges come from.
        work: does one range as worker number n; its notification says how it went.
        notify: told of every notification, in the worker's own turn.
        workers: how many work at once.
        pace: says when the next range may begin; None for at once.
    """

    def __init__(
        self, offsets: OffsetManager, work: Work, notify: Notify, workers: int, pace: Pace | None = None
    ) -> None:
        self.locks = LockManager()
        self.wanted = workers
        self._offsets = offsets
        self._work = work
        self._notify = notify
        self._pace = pace or Pace(None)
        self._open = asyncio.Event()
        self._open.set()
        self._ended = False
        self._group: asyncio.TaskGroup | None = None
        self._alive: set[int] = set()

    @property
    def paused(self) -> bool:
        """Whether ranges are held back."""
        return not self._open.is_set()

    async def start(self) -> None:
        """Work until there is nothing left, or `end` was called; back when all workers are done."""
        async with asyncio.TaskGroup() as self._group:
            self.resize(self.wanted)

    def pause(self) -> None:
        """Hand nothing out; what is active ends."""
        self._open.clear()
        self._pace.interrupt()

    def continue_(self) -> None:
        """Hand ranges out again."""
        self._open.set()

    def end(self) -> None:
        """Hand nothing out any more; workers leave when what they do is done."""
        self._ended = True
        self._open.set()
        self._pace.interrupt()

    def resize(self, workers: int) -> None:
        """Work with more or fewer workers from now on; a surplus one leaves after its range."""
        self.wanted = workers
        self._pace.interrupt()
        if self._group is None or self._ended:
            return
        for number in range(1, workers + 1):
            if number not in self._alive:
                self._alive.add(number)
                self._group.create_task(self._run(number), name=f"worker-{number}")

    async def _run(self, number: int) -> None:
        try:
            while await self._may_go_on(number):
                try:
                    window = await self._offsets.next()
                except StreamConsoleError as error:
                    await self._notify(Notification(Kind.FAILURE, number, message=str(error), error=error))
                    return
                if window is None:
                    await self._notify(Notification(Kind.END, number))
                    return
                if self._must_wait(number) or not await self._pace.admit(window) or self._must_wait(number):
                    # Decided while this worker was waiting for a range, or for its time: it must not start now.
                    await self._offsets.put_back(window)
                    continue
                with self.locks.hold(number):
                    await self._notify(await self._work(number, window))
        finally:
            self._alive.discard(number)

    def _must_wait(self, number: int) -> bool:
        return self.paused or self._ended or number > self.wanted

    async def _may_go_on(self, number: int) -> bool:
        await self._open.wait()
        return not self._ended and number <= self.wanted
