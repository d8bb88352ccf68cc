"""The terminal as the console needs it: it may stall or vanish, and the engines never notice.

Textual's own driver hands frames to its writer thread through a short, blocking queue, and its input
thread reads for ever from a terminal that is gone. `ConsoleDriver` replaces just these two:

- `write` never blocks. Behind a slow line it drops whole frames once `BACKLOG_LIMIT` bytes wait, and asks
  for one full repaint when the line has drained. Half a frame is never sent.
- A terminal that is gone (EOF, EIO) ends both threads, and the app receives one `TerminalLost`.
- The process is never stopped: SIGTSTP is ignored (Ctrl-Z arrives as the key `ctrl+z`), and reading or
  writing from the background does not stop it either.

What the application does:

- `App(driver_class=ConsoleDriver)`, run on the main thread (signal handlers are set here).
- Handle `on_terminal_lost`: go on without a screen, or drain, as the operator chose. The driver swallows
  all output from then on; widgets may go on painting or stop (`driver.lost`).
- Install `loop.add_signal_handler` for SIGHUP, SIGTERM and SIGINT as soon as the loop runs (at the
  latest in `on_mount`), and end with `app.exit(return_code=128 + signal)`; exit restores the terminal.
  Without handlers these signals kill the process at once and leave the terminal as it is.
- Read `driver.backlog` in the screen's tick and beat slower while it is not 0 (10 → 4 → 1 Hz).
- Leave by `sys.exit(app.return_code)`, and write nothing more to a terminal that is lost.
"""

from __future__ import annotations

import errno
import os
import re
import selectors
import signal
import sys
from codecs import getincrementaldecoder
from contextlib import suppress
from time import sleep
from typing import TYPE_CHECKING, Any, Final

from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message

from streamconsole.terminal_writer import BACKLOG_LIMIT, TerminalWriter

if TYPE_CHECKING:
    from textual.app import App

__all__ = ["BACKLOG_LIMIT", "ConsoleDriver", "TerminalLost"]

_SYNC_START: Final = "\x1b[?2026h"
_SYNC_END: Final = "\x1b[?2026l"
_POINTER_SHAPE: Final = "\x1b]22;"
_PLACES_CURSOR: Final = re.compile(r"\x1b\[\d+;\d+H")
_READ_SIZE: Final = 4096
_POLL_SECONDS: Final = 0.1
_RESTORE_SECONDS: Final = 1.0


class TerminalLost(Message, bubble=False):
    """The terminal is gone for good: window closed, link broken. Posted to the app once."""

    def __init__(self, reason: str) -> None:
        """Args: reason: what the system said, one line."""
        super().__init__()
        self.reason = reason


class ConsoleDriver(LinuxDriver):
    """A `LinuxDriver` whose output never blocks and whose input ends with its terminal."""

    def __init__(
        self,
        app: App[Any],
        *,
        debug: bool = False,
        mouse: bool = True,
        size: tuple[int, int] | None = None,
    ) -> None:
        """Args as `LinuxDriver`; `mouse` reports clicks, wheel and drags, never bare movement."""
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self._writer: TerminalWriter | None = None
        self._lost = False
        self._active = False
        self._sync_open = False

    @property
    def backlog(self) -> int:
        """Bytes accepted but not yet taken by the terminal; 0 when it keeps up."""
        return 0 if self._writer is None else self._writer.backlog

    @property
    def lost(self) -> bool:
        """The terminal is gone; nothing written from now on reaches anyone."""
        return self._lost

    # -- output ------------------------------------------------------------------------------------

    def write(self, data: str) -> None:
        """Hand `data` on and return at once. A frame may be dropped, whole; a mode change never."""
        if self._writer is None or self._lost:
            return
        if data == _SYNC_START:
            # Sent together with its frame, so that a dropped frame leaves nothing behind.
            self._sync_open = True
        elif data == _SYNC_END:
            self._sync_open = False
        elif data.startswith(_POINTER_SHAPE) and not self._mouse:
            return
        elif _is_frame(data):
            self._writer.frame(f"{_SYNC_START}{data}{_SYNC_END}" if self._sync_open else data)
        else:
            self._writer.control(data)

    def flush(self) -> None:
        """Nothing to do: the writer's thread sends as soon as the terminal takes."""

    def start_application_mode(self) -> None:
        """Enter full-screen mode."""
        file = self._file or sys.stderr
        self._writer = TerminalWriter(
            file.fileno(),
            encoding=file.encoding or "utf-8",
            on_drained=self._ask_repaint,
            on_lost=self._lose,
        )
        super().start_application_mode()  # type: ignore[no-untyped-call]
        # The default action of these two would stop the process, and every engine with it.
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        signal.signal(signal.SIGTTIN, signal.SIG_IGN)
        self._active = True

    def stop_application_mode(self) -> None:
        """Leave full-screen mode and restore the terminal, in front of whatever still waits to be sent."""
        if self._writer is not None:
            self._writer.discard_frames()
        self._active = False
        super().stop_application_mode()

    def close(self) -> None:
        """Wait, at most a second, until the terminal has taken its restoration; then let go of it."""
        super().close()
        if self._writer is not None:
            self._writer.close(_RESTORE_SECONDS)
            self._writer = None

    def _enable_mouse_support(self) -> None:
        """Ask for clicks, wheel and drags. Any-motion reports would repaint at every move of the hand."""
        if self._mouse:
            self.write("\x1b[?1000h\x1b[?1002h\x1b[?1006h")

    def _disable_mouse_support(self) -> None:
        if self._mouse:
            self.write("\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l")

    def _enable_mouse_pixels(self) -> None:
        """Cells are enough."""

    # -- input -------------------------------------------------------------------------------------

    def run_input_thread(self) -> None:
        """Read keys until told to stop or until the terminal is gone."""
        parser = XTermParser(self._debug)
        decode = getincrementaldecoder("utf-8")("replace").decode
        with selectors.SelectSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                if selector.select(_POLL_SECONDS):
                    data = self._read()
                    if data is None:
                        return
                    for event in parser.feed(decode(data)):
                        self.process_message(event)
                for event in parser.tick():
                    self.process_message(event)

    def _read(self) -> bytes | None:
        """Return what was typed, `b""` for nothing yet, or None when the terminal is gone."""
        try:
            data = os.read(self.fileno, _READ_SIZE)
        except BlockingIOError:
            return b""
        except OSError as error:
            if error.errno == errno.EIO and self._in_background():
                sleep(_POLL_SECONDS)
                return b""
            self._lose(error.strerror or str(error))
            return None
        if not data:
            self._lose("end of input")
            return None
        return data

    def _in_background(self) -> bool:
        """Whether another job of the shell owns the terminal: reading fails then, but it is still there."""
        try:
            return os.tcgetpgrp(self.fileno) != os.getpgrp()
        except OSError:
            return False

    # -- job control -------------------------------------------------------------------------------

    def _sigtstp_application(self, *_: object) -> None:
        """Ignore a stop: leases would expire and every engine would stand still."""

    def _sigcont_application(self, *_: object) -> None:
        """After a SIGSTOP from outside the shell may have changed the terminal: set it up again."""
        if self._auto_restart and self._active:
            self._loop.call_soon_threadsafe(self._reenter)

    def _reenter(self) -> None:
        if self._active and not self._lost and not self._in_background():
            self.suspend_application_mode()
            self.resume_application_mode()
            self._ask_repaint()

    # -- to the app --------------------------------------------------------------------------------

    def _lose(self, reason: str) -> None:
        """Tell the app, once. Called from the input thread or the writer's."""
        if self._lost:
            return
        self._lost = True
        with suppress(RuntimeError):  # the loop may have ended meanwhile
            self._app.post_message(TerminalLost(reason))

    def _ask_repaint(self) -> None:
        """Have the whole screen painted again. Called from the writer's thread."""
        with suppress(RuntimeError):
            self._app.call_later(self._app.refresh)


def _is_frame(data: str) -> bool:
    """Whether `data` is a picture: the compositor's begin by placing the cursor, nothing else does."""
    return _PLACES_CURSOR.match(data) is not None
