"""How fast a run may go: a token bucket that windows are paid from before they begin.

A window begins as soon as the ones before it are paid off. Its cost is taken at once, so the bucket
may go into debt by as much as one window: that is how a limit below a window a second is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import monotonic
from typing import Any

from streamconsole.engines.rate import Rate, Unit
from streamconsole.engines.units import Window

CATCH_UP_SECONDS = 1.0
"""What was left unused for so long may be made up for, not more."""

ROW_BYTES = 300
"""Bytes that a row counts for where its source has no bytes and none were measured."""

Clock = Callable[[], float]


class Bucket:
    """Counts what may go.

    Args:
        rate: so much a second; None for no limit.
        clock: the time in seconds.
    """

    def __init__(self, rate: Rate | None, clock: Clock = monotonic) -> None:
        self.rate = rate
        self._clock = clock
        self._credit = 0.0
        self._at = clock()

    def wait(self) -> float:
        """Seconds until something may begin; 0 when it may now."""
        if self.rate is None:
            return 0.0
        self._fill()
        return max(0.0, -self._credit / self.rate.amount)

    def take(self, cost: float) -> None:
        """Something of that cost (in the rate's unit) begins; a negative one is given back."""
        if self.rate is not None:
            self._fill()
            self._credit -= cost

    def change(self, rate: Rate | None) -> None:
        """Go on at another rate; what is owed in the same unit stays owed."""
        if self.rate is not None:
            self._fill()
        if self.rate is None or rate is None or self.rate.unit is not rate.unit:
            self._credit = 0.0
        self.rate, self._at = rate, self._clock()

    def _fill(self) -> None:
        assert self.rate is not None
        now = self._clock()
        most = self.rate.amount * CATCH_UP_SECONDS
        self._credit = min(most, self._credit + (now - self._at) * self.rate.amount)
        self._at = now


class Pace:
    """Lets windows begin no faster than a rate allows, whoever moves them. For one event loop.

    Args:
        rate: so much a second; None for no limit.
        window_rows: rows that a window counts for until they are counted.
        row_bytes: bytes that a row counts for, where offsets count rows; None where they count bytes.
        clock: the time in seconds.
    """

    def __init__(
        self, rate: Rate | None, window_rows: int = 1, row_bytes: float | None = None, clock: Clock = monotonic
    ) -> None:
        self._bucket = Bucket(rate, clock)
        self._window_rows = window_rows
        self._row_bytes = row_bytes
        self._taken: dict[int, tuple[Unit, float]] = {}
        self._line = asyncio.Lock()
        self._turned = asyncio.Event()
        self._interruptions = 0

    @property
    def rate(self) -> Rate | None:
        """The limit; None for none."""
        return self._bucket.rate

    def change(self, rate: Rate | None) -> None:
        """Another limit from now on, also for who is waiting."""
        self._bucket.change(rate)
        self._wake()

    def interrupt(self) -> None:
        """Let nobody wait any longer: there is something else to look at first."""
        self._interruptions += 1
        self._wake()

    async def admit(self, window: Window) -> bool:
        """Wait until a window may begin, first come first served; False when interrupted meanwhile."""
        if self._bucket.rate is None:
            return True
        interruptions = self._interruptions
        async with self._line:
            while interruptions == self._interruptions:
                seconds = self._bucket.wait()
                if seconds <= 0:
                    self._begin(window)
                    return True
                with suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await self._turned.wait()
        return False

    def finish(self, window: Window, rows_read: int) -> None:
        """A window is done: what its rows cost is known by now."""
        unit, taken = self._taken.pop(window.number, (None, 0.0))
        rate = self._bucket.rate
        if rate is None or unit is not rate.unit or (unit is Unit.BYTES and self._row_bytes is None):
            return
        cost = rows_read * (1.0 if unit is Unit.ROWS else self._row_bytes or 0.0)
        if cost != taken:
            self._bucket.take(cost - taken)
            self._wake()

    def _begin(self, window: Window) -> None:
        rate = self._bucket.rate
        if rate is not None:
            cost = self._cost(window, rate.unit)
            self._bucket.take(cost)
            self._taken[window.number] = (rate.unit, cost)

    def _cost(self, window: Window, unit: Unit) -> float:
        if unit is Unit.BYTES and self._row_bytes is None:
            return float(window.hi - window.lo)
        rows = window.rows or self._window_rows
        return rows * (1.0 if unit is Unit.ROWS else self._row_bytes or 0.0)

    def _wake(self) -> None:
        self._turned.set()
        # Who waits again waits for the next turn.
        self._turned = asyncio.Event()


def bytes_of(row: Mapping[str, Any]) -> int:
    """About how many bytes a row has, where its source does not say."""
    return sum(len(each) if isinstance(each, str | bytes) else _bytes_of(each) for each in row.values())


def _bytes_of(value: Any) -> int:
    return len(str(value)) if isinstance(value, dict | list) else 8
