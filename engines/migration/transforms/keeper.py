"""Ends the programs that transforms have started when this process is killed outright.

Nobody but another process can do that: one keeper per process, started with its first program, is
told of every program, and ends all that are left when it hears nothing any more.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import suppress

_KEEPER = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
alive = set()
for line in sys.stdin:
    (alive.add if line[0] == "+" else alive.discard)(int(line[1:]))
for pid in alive:
    try:
        os.killpg(pid, signal.SIGKILL)
    except OSError:
        pass
"""


class Keeper:
    """Knows the process groups that must not outlive this process."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def ready(self) -> None:
        """Be there before a program is: its first moments would be nobody's otherwise."""
        self._say("")

    def add(self, group: int) -> None:
        """A process group has come to be."""
        self._say(f"+{group}\n")

    def remove(self, group: int) -> None:
        """A process group has ended."""
        self._say(f"-{group}\n")

    def _say(self, line: str) -> None:
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", "-c", _KEEPER],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    # Ctrl-C in the terminal goes to whole groups; a keeper outlives all others.
                    start_new_session=True,
                    bufsize=0,
                )
            assert self._process.stdin is not None
            with suppress(OSError):
                self._process.stdin.write(line.encode())


keeper = Keeper()
"""The one of this process."""
