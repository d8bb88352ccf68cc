"""Tasks at work, bounded: a chunk that is lost lets the others go on, anything else ends the file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from streamconsole.engines.errors import SideLost
from streamconsole.engines.transfer.chunks import ChunkLost


class InFlight:
    """Tasks at work, so many at most; a chunk that is lost lets the others go on, anything else does not.

    Args:
        most: how many at once; asked anew each time.
    """

    def __init__(self, most: Callable[[], int]) -> None:
        self._most = most
        self._tasks: set[asyncio.Task[None]] = set()
        self._lost: ChunkLost | None = None
        self._error: BaseException | None = None

    async def __aenter__(self) -> InFlight:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            while self._tasks:
                await self._wait()
        except asyncio.CancelledError:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            raise
        error = self._error or self._lost
        if kind is None and error is not None:
            raise error

    async def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin a task when there is room.

        Raises:
            BaseException: an earlier one failed with something else than a lost chunk.
        """
        self._tasks.add(asyncio.create_task(work))
        while len(self._tasks) >= max(1, self._most()) and self._error is None:
            await self._wait()
        if self._error is not None:
            raise self._error

    async def empty(self) -> None:
        """Wait until none is at work.

        Raises:
            BaseException: one failed with something else than a lost chunk.
        """
        while self._tasks and self._error is None:
            await self._wait()
        if self._error is not None:
            raise self._error

    async def _wait(self) -> None:
        done, self._tasks = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            error = task.exception() if not task.cancelled() else asyncio.CancelledError()
            if isinstance(error, ChunkLost):
                self._lost = self._lost or error
            elif error is not None:
                self._error = self._error or error
                if isinstance(error, SideLost):
                    # The others would only find out the same, each after all its attempts.
                    for other in self._tasks:
                        other.cancel()
