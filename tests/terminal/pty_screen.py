"""A program in a terminal of its own: type keys, read the screen, stall the line, hang up."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from signal import Signals
from types import TracebackType
from typing import Final, Self

import pyte

__all__ = ["KEYS", "PtyScreen"]

KEYS: Final = {
    "enter": "\r",
    "escape": "\x1b",
    "tab": "\t",
    "shift+tab": "\x1b[Z",
    "space": " ",
    "backspace": "\x7f",
    "up": "\x1b[A",
    "down": "\x1b[B",
    "right": "\x1b[C",
    "left": "\x1b[D",
    "home": "\x1b[H",
    "end": "\x1b[F",
    "pageup": "\x1b[5~",
    "pagedown": "\x1b[6~",
    **{f"f{number}": code for number, code in zip(range(1, 5), ("\x1bOP", "\x1bOQ", "\x1bOR", "\x1bOS"), strict=True)},
    **{f"ctrl+{letter}": chr(ord(letter) - 96) for letter in "abcdefghijklmnopqrstuvwxyz"},
}

_POLL_SECONDS: Final = 0.05


class PtyScreen:
    """A child process on a pty, its output decoded by pyte in a thread.

    Use as a context manager; leaving it kills what still runs. Deadlines are in seconds and raise
    AssertionError with the screen as it is.
    """

    def __init__(self, process: subprocess.Popen[bytes], master: int, rows: int, cols: int, synchronised: bool) -> None:
        """Not for callers: use `start`."""
        self.process = process
        self.raw = bytearray()
        self._master = master
        self._synchronised = synchronised
        self._screen = pyte.Screen(cols, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self._reading = threading.Event()
        self._reading.set()
        self._paused = threading.Event()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._read, name="pty-reader", daemon=True)
        self._thread.start()

    @classmethod
    def start(
        cls,
        argv: Sequence[str | Path],
        *,
        rows: int = 24,
        cols: int = 80,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        synchronised: bool = True,
    ) -> Self:
        """Run `argv` on a new terminal that it controls.

        Args:
            argv: program and arguments.
            rows: of the terminal.
            cols: of the terminal.
            env: added to this process's environment; TERM is `xterm-256color` unless given.
            cwd: where it runs.
            synchronised: whether the terminal says that it knows synchronised output.
        """
        master, slave = os.openpty()
        _set_size(master, rows, cols)
        process = subprocess.Popen(
            [str(part) for part in argv],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=_own_terminal,  # noqa: PLW1509 - a single system call
            env={**_plain_environment(), **(env or {})},
            cwd=cwd,
        )
        os.close(slave)
        return cls(process, master, rows, cols, synchronised)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- what it shows -----------------------------------------------------------------------------

    @property
    def lines(self) -> list[str]:
        """The screen, line by line, padded to its width."""
        with self._lock:
            return list(self._screen.display)

    @property
    def text(self) -> str:
        """The screen as one string, blanks at line ends cut."""
        return "\n".join(line.rstrip() for line in self.lines)

    @property
    def bytes_read(self) -> int:
        """Bytes received so far."""
        return len(self.raw)

    def wait_for(self, text: str, timeout: float = 30) -> None:
        """Wait until `text` stands on the screen."""
        self.wait_until(lambda: text in self.text, f"{text!r} on the screen", timeout)

    def wait_gone(self, text: str, timeout: float = 30) -> None:
        """Wait until `text` stands nowhere on the screen."""
        self.wait_until(lambda: text not in self.text, f"{text!r} gone", timeout)

    def wait_until(self, met: Callable[[], bool], what: str = "condition", timeout: float = 30) -> None:
        """Wait until `met()` holds."""
        deadline = time.monotonic() + timeout
        while not met():
            if time.monotonic() > deadline:
                raise AssertionError(f"no {what} after {timeout} s; exit {self.process.poll()}; screen:\n{self.text}")
            time.sleep(_POLL_SECONDS)

    def wait_quiet(self, seconds: float = 0.5, timeout: float = 30) -> None:
        """Wait until nothing has come for `seconds`."""
        last = [self.bytes_read, time.monotonic()]

        def quiet() -> bool:
            if self.bytes_read != last[0]:
                last[:] = [self.bytes_read, time.monotonic()]
            return time.monotonic() - last[1] >= seconds

        self.wait_until(quiet, "quiet", timeout)

    # -- what is done to it ------------------------------------------------------------------------

    def keys(self, *keys: str) -> None:
        """Type keys: names of `KEYS`, or text as it is."""
        for key in keys:
            os.write(self._master, KEYS.get(key, key).encode())

    def stop_reading(self) -> None:
        """Take nothing more from the terminal, as a stalled line does."""
        self._reading.clear()
        assert self._paused.wait(5)

    def resume_reading(self) -> None:
        """Take everything again."""
        self._paused.clear()
        self._reading.set()

    def resize(self, rows: int, cols: int) -> None:
        """Change the terminal's size; the program gets SIGWINCH."""
        with self._lock:
            self._screen.resize(rows, cols)
        _set_size(self._master, rows, cols)

    def hang_up(self) -> None:
        """Close the terminal: SIGHUP to the program, EOF and EIO from then on."""
        self._done.set()
        self._reading.set()
        self._thread.join(5)
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def signal(self, number: Signals) -> None:
        """Send a signal to the program."""
        self.process.send_signal(number)

    # -- how it fares ------------------------------------------------------------------------------

    @property
    def echoes(self) -> bool:
        """Whether the terminal echoes what is typed: a shell's does, a full-screen program's does not."""
        return bool(termios.tcgetattr(self._master)[3] & termios.ECHO)

    @property
    def cpu_seconds(self) -> float:
        """Processor time the program has used, user and system."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def ignored_signals(self) -> set[Signals]:
        """The signals that the program ignores."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        mask = int(next(line for line in status.splitlines() if line.startswith("SigIgn:")).split()[1], 16)
        return {number for number in Signals if mask >> (number - 1) & 1}

    def wait_exit(self, timeout: float = 30) -> int:
        """Wait for the end and return the exit status; negative when a signal killed it."""
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout} s; screen:\n{self.text}") from None
        self._thread.join(5)
        return status

    def close(self) -> None:
        """Kill what still runs, with its whole session, and close the terminal."""
        with contextlib.suppress(ProcessLookupError):
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
        self.hang_up()
        self.process.wait(10)

    def _read(self) -> None:
        while not self._done.is_set():
            if not self._reading.is_set():
                self._paused.set()
                self._reading.wait()
                continue
            ready, _, _ = select.select([self._master], [], [], _POLL_SECONDS)
            if ready and not self._take():
                return

    def _take(self) -> bool:
        try:
            data = os.read(self._master, 65536)
        except OSError:
            return False
        with self._lock:
            self.raw += data
            self._stream.feed(data)
        if self._synchronised and b"\x1b[?2026$p" in data:
            os.write(self._master, b"\x1b[?2026;2$y")
        return bool(data)


def _own_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _set_size(fileno: int, rows: int, cols: int) -> None:
    fcntl.ioctl(fileno, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))


def _plain_environment() -> dict[str, str]:
    """Return this process's environment without what describes its own terminal."""
    own = {"COLUMNS", "LINES", "COLORTERM", "COLORFGBG", "NO_COLOR", "LC_ALL", "TEXTUAL", "TMUX"}
    kept = {name: value for name, value in os.environ.items() if name not in own}
    return {**kept, "TERM": "xterm-256color", "LANG": "C.UTF-8"}
