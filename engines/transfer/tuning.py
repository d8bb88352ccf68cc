"""What can be turned while a transfer is at work: how much at once, how far ahead, how fast; and whether at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic


class Ended(Exception):
    """The transfer takes no more work: it was stopped or cancelled."""


class Tuning:
    """Live settings and the gate that chunks pass before they are begun.

    Args:
        workers: chunks in hand at once.
        look_ahead: chunks fetched before they are needed.
        bandwidth: bytes a second over the line, at most; None for no limit.
    """

    def __init__(self, workers: int, look_ahead: int, bandwidth: int | None = None) -> None:
        self.workers = workers
        self.look_ahead = look_ahead
        self.bandwidth = bandwidth
        self.active = 0
        self.ended = False
        self._open = asyncio.Event()
        self._open.set()
        self._changed = asyncio.Condition()
        self._line_free_at = 0.0

    @property
    def paused(self) -> bool:
        """Whether chunks are held back."""
        return not self._open.is_set()

    def pause(self) -> None:
        """Begin no chunk; what is active ends."""
        self._open.clear()

    def resume(self) -> None:
        """Begin chunks again."""
        self._open.set()

    def end(self) -> None:
        """Begin no chunk any more."""
        self.ended = True
        self._open.set()

    async def passed(self) -> None:
        """Wait until chunks may begin.

        Raises:
            Ended: none will any more.
        """
        await self._open.wait()
        if self.ended:
            raise Ended

    async def changed(self) -> None:
        """Wake who waits for a place, after `workers` has been turned."""
        async with self._changed:
            self._changed.notify_all()

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold one of the places for chunks in hand.

        Raises:
            Ended: nothing begins any more.
        """
        await self.passed()
        while self.active >= self.workers:
            async with self._changed:
                await self._changed.wait_for(lambda: self.ended or self.active < self.workers)
                if self.ended:
                    # Who leaves without a place frees none: the others must be woken by it.
                    self._changed.notify()
            await self.passed()
        self.active += 1
        try:
            yield
        finally:
            self.active -= 1
            async with self._changed:
                self._changed.notify()

    async def line(self, size: int) -> None:
        """Wait until `size` bytes may go over the line."""
        if self.bandwidth is None:
            return
        now = monotonic()
        # A second's worth may be caught up on, not more.
        start = max(self._line_free_at, now - 1.0)
        self._line_free_at = start + size / self.bandwidth
        if self._line_free_at > now:
            await asyncio.sleep(self._line_free_at - now)
