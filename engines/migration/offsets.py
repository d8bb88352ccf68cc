"""The offset manager: hands out the next range.

It works from a number (start there and go on until the source is dry) or from a list of ranges
(just those), or from a list and then a number (a resume). It knows offsets only, not workers. No
range is given twice, none is skipped: ranges are recorded before they are handed out.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from streamconsole.engines.units import Window

LOOK_AHEAD = 8
"""Windows cut and recorded at once."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where to go on cutting.

    Args:
        number: number of the next window.
        offset: where it begins.
        row: rows of the source handed out before it.
        behind: bounds of the window before it, where its source finds rows by their keys.
    """

    number: int
    offset: int
    row: int
    behind: str | None = None


class OffsetManager:
    """Hands ranges to whoever asks; each is settled or put back later.

    Args:
        ranges: ranges to hand out first.
        start: where to go on after them; None for "just those".
        cut: cuts up to LOOK_AHEAD windows from a position (called in a thread).
        record: keeps windows before they are handed out.
    """

    def __init__(
        self,
        ranges: Iterable[Window],
        start: Position | None = None,
        cut: Callable[[Position], list[Window]] | None = None,
        record: Callable[[list[Window]], Awaitable[None]] | None = None,
    ) -> None:
        self._ready = deque(ranges)
        self._position = start
        self._cut = cut
        self._record = record
        self._out: set[int] = set()
        self._changed = asyncio.Condition()
        self._filling = asyncio.Lock()

    @property
    def dry(self) -> bool:
        """Whether the source has given its last range."""
        return self._position is None

    @property
    def waiting(self) -> int:
        """Ranges cut but not handed out."""
        return len(self._ready)

    async def exhausted(self) -> bool:
        """Whether nothing is left to do: the source is dry, and what was handed out is settled."""
        if not self._ready and not self._out and not self.dry:
            await self._fill()
        return self.dry and not self._ready and not self._out

    async def next(self) -> Window | None:
        """The next range; None once all are settled and the source is dry.

        While others are still out it waits: one of them may be put back.
        """
        while True:
            if not self._ready and not self.dry:
                await self._fill()
            async with self._changed:
                if self._ready:
                    window = self._ready.popleft()
                    self._out.add(window.number)
                    return window
                if not self.dry:
                    continue
                if not self._out:
                    return None
                await self._changed.wait()

    async def settle(self, window: Window) -> None:
        """A range is done, or has failed for good."""
        async with self._changed:
            self._out.discard(window.number)
            self._changed.notify_all()

    async def put_back(self, window: Window) -> None:
        """Hand a range out again, before all that come after it in the source."""
        async with self._changed:
            self._out.discard(window.number)
            behind = next((n for n, each in enumerate(self._ready) if each.number > window.number), len(self._ready))
            self._ready.insert(behind, window)
            self._changed.notify_all()

    async def _fill(self) -> None:
        async with self._filling:
            if self._ready or self._position is None or self._cut is None:
                return
            windows = await asyncio.to_thread(self._cut, self._position)
            if self._record is not None and windows:
                await self._record(windows)
            self._ready.extend(windows)
            self._position = after(windows) if windows else None


def after(windows: list[Window]) -> Position:
    """Where to go on after the last of some windows."""
    last = windows[-1]
    return Position(last.number + 1, last.hi, last.first_row + last.rows, last.bounds)
