"""Notices that a processor holds up the event loop, and says which and where."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from time import monotonic

BEAT = 0.25
"""Seconds between two signs of life of the loop."""


class Watchdog:
    """A thread that watches the loop.

    Args:
        limit: seconds of silence that are too many.
        bark: called from the thread, once per silence, with the task that ran last, the place in the code,
            and the seconds so far.
    """

    def __init__(self, limit: float, bark: Callable[[asyncio.Task[object] | None, str, float], None]) -> None:
        self._limit = limit
        self._bark = bark
        self._loop = asyncio.get_running_loop()
        self._ident = threading.get_ident()
        self._beat_at = monotonic()
        self._stop = threading.Event()
        self._timer = self._loop.call_soon(self._beat)
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._stop.set()
        self._timer.cancel()

    def _beat(self) -> None:
        self._beat_at = monotonic()
        if not self._stop.is_set():
            self._timer = self._loop.call_later(BEAT, self._beat)

    def _watch(self) -> None:
        barked_at = 0.0
        while not self._stop.wait(BEAT):
            beat_at = self._beat_at
            silence = monotonic() - beat_at
            if silence > self._limit and beat_at != barked_at:
                barked_at = beat_at
                self._bark(self._current(), self._place(), silence)

    def _current(self) -> asyncio.Task[object] | None:
        try:
            return asyncio.current_task(self._loop)
        except RuntimeError:
            return None

    def _place(self) -> str:
        frame = sys._current_frames().get(self._ident)
        return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "unknown"
