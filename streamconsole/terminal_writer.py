"""Bytes on their way to a terminal that may be slow, stalled or gone; nobody ever waits for it."""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

__all__ = ["BACKLOG_LIMIT", "TerminalWriter"]

BACKLOG_LIMIT: Final = 256 * 1024
"""Bytes that may wait for the terminal before frames are dropped."""

_CHUNK: Final = 4096
_RETRY_SECONDS: Final = 0.5


class TerminalWriter:
    """A thread that writes to a file descriptor what it is handed, in order.

    Two kinds of output are told apart: *control* (mode changes, always sent) and *frame* (a picture, useless
    once there is a newer one). When more than `BACKLOG_LIMIT` bytes wait, all waiting frames are thrown away
    and new ones refused until the terminal has taken the rest; then `on_drained` is called, to paint afresh.
    What has been begun is always finished.
    """

    def __init__(
        self,
        fileno: int,
        *,
        encoding: str = "utf-8",
        on_drained: Callable[[], None],
        on_lost: Callable[[str], None],
    ) -> None:
        """Start the thread.

        Args:
            fileno: where to write; it stays open.
            encoding: of the terminal; what it cannot say becomes `?`.
            on_drained: called in the writer's thread after frames had to be dropped and the rest is out.
            on_lost: called once in the writer's thread when writing fails for good, with the reason.
        """
        self._fileno = fileno
        self._encoding = encoding
        self._on_drained = on_drained
        self._on_lost = on_lost
        self._waiting: deque[tuple[bool, bytes]] = deque()
        self._changed = threading.Condition()
        self._backlog = 0
        self._dropping = False
        self._closing = False
        self._abandoned = False
        self._thread = threading.Thread(target=self._run, name="terminal-writer", daemon=True)
        self._thread.start()

    @property
    def backlog(self) -> int:
        """Bytes accepted and not yet taken by the terminal."""
        return self._backlog

    def control(self, text: str) -> None:
        """Queue `text`; it is never dropped."""
        with self._changed:
            self._put(False, text)

    def frame(self, text: str) -> None:
        """Queue a frame, or drop it when the terminal is too far behind."""
        with self._changed:
            if self._backlog > BACKLOG_LIMIT:
                self._dropping = True
                self._discard()
            if not self._dropping:
                self._put(True, text)

    def discard_frames(self) -> None:
        """Throw away the frames that wait."""
        with self._changed:
            self._discard()

    def close(self, timeout: float) -> None:
        """Finish writing; after `timeout` seconds leave a stalled terminal to itself."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout)
        self._abandoned = True

    def _put(self, is_frame: bool, text: str) -> None:
        if self._closing:
            return
        data = text.encode(self._encoding, "replace")
        self._waiting.append((is_frame, data))
        self._backlog += len(data)
        self._changed.notify()

    def _discard(self) -> None:
        kept = [item for item in self._waiting if not item[0]]
        dropped = sum(len(data) for _, data in self._waiting) - sum(len(data) for _, data in kept)
        self._waiting = deque(kept)
        self._backlog -= dropped

    def _run(self) -> None:
        while (data := self._next()) is not None:
            try:
                self._send(memoryview(data))
            except OSError as error:
                self._lose(error.strerror or str(error))
                return

    def _next(self) -> bytes | None:
        while True:
            with self._changed:
                drained = self._dropping and not self._waiting
                if drained:
                    self._dropping = False
                else:
                    self._changed.wait_for(lambda: self._waiting or self._closing)
                    return self._waiting.popleft()[1] if self._waiting else None
            self._on_drained()

    def _send(self, data: memoryview) -> None:
        while data and not self._abandoned:
            try:
                sent = os.write(self._fileno, data[:_CHUNK])
            except BlockingIOError:
                # Whoever shares this terminal made it non-blocking.
                select.select([], [self._fileno], [], _RETRY_SECONDS)
                continue
            data = data[sent:]
            with self._changed:
                self._backlog -= sent

    def _lose(self, reason: str) -> None:
        with self._changed:
            self._closing = True
            self._waiting.clear()
            self._backlog = 0
        self._on_lost(reason)
