"""One run of a program: fed and read at the same time, whatever the sizes, and ended without fail."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from streamconsole.engines.migration.transforms.keeper import keeper

BLOCK = 2**20
"""Bytes read or written at once."""

STDERR_KEPT = 64 * 2**10
"""Bytes of what a program says on stderr that are kept, the last ones."""

ANSWER_MOST = 64 * 2**20
"""Bytes that a program may answer, beside eight times what it was given."""

_PIPE_SIZE = 2**20
_F_SETPIPE_SZ = 1031


class ProgramFailed(OSError):
    """A program did not do its work; the window fails, and may be tried again."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a program ran.

    Args:
        answer: its stdout.
        stderr: the last of its stderr.
        problem: why it is a failure; None when it is none.
    """

    answer: bytes
    stderr: bytes
    problem: str | None


class _Programs:
    """The programs that run for some owner at the moment."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, set[_Program]] = defaultdict(set)
        self._ended: set[str] = set()

    def add(self, owner: str, program: _Program) -> None:
        with self._lock:
            if owner in self._ended:
                raise ProgramFailed("the run is being ended")
            self._running[owner].add(program)

    def remove(self, owner: str, program: _Program) -> None:
        with self._lock:
            self._running[owner].discard(program)

    def end(self, owner: str) -> None:
        with self._lock:
            self._ended.add(owner)
            programs = list(self._running.pop(owner, ()))
        for program in programs:
            program.end("it was ended with its run")


_programs = _Programs()


def end_programs(owner: str) -> None:
    """End all programs that this process runs for an owner; none is started for it any more."""
    _programs.end(owner)


def run_program(argv: Sequence[str], folder: Path, given: bytes, timeout: float, owner: str = "") -> Ran:
    """Start a program, give it `given` on stdin, and wait for its end (blocking).

    Args:
        argv: program and arguments.
        folder: where it is started.
        given: all of its stdin.
        timeout: seconds it may take.
        owner: on whose behalf; `end_programs` ends it.

    Raises:
        ProgramFailed: it cannot be started.
    """
    try:
        program = _Program(argv, folder)
    except OSError as error:
        raise ProgramFailed(f"cannot be started: {error.strerror or error}") from None
    try:
        _programs.add(owner, program)
    except ProgramFailed:
        program.end("")
        program.finish()
        raise
    try:
        return program.run(given, timeout)
    finally:
        _programs.remove(owner, program)


_GATE = ("/bin/sh", "-c", 'read _ && exec "$@"', "sh")
"""Waits for a line on stdin, then is the program: nothing of it runs before the keeper knows of it."""


class _Program:
    """A started program, in a process group of its own."""

    def __init__(self, argv: Sequence[str], folder: Path) -> None:
        keeper.ready()
        read, self._write = os.pipe()
        try:
            self._process = subprocess.Popen(
                [*_GATE, *argv],
                cwd=folder,
                stdin=read,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                bufsize=0,
            )
        except BaseException:
            os.close(read)
            os.close(self._write)
            raise
        # Kept open here: only so can be told whether the program has read all it was given.
        self._read = read
        keeper.add(self._process.pid)
        with suppress(OSError):
            os.write(self._write, b"\n")
        self._problem: str | None = None
        self._fed = False
        self._stderr = b""
        assert self._process.stdout is not None
        for pipe in (self._write, self._process.stdout.fileno()):
            _enlarge(pipe)

    def run(self, given: bytes, timeout: float) -> Ran:
        """Feed and read it to its end."""
        clock = threading.Timer(timeout, self.end, (f"it took longer than {timeout:g} s",))
        threads = [threading.Thread(target=self._feed, args=(given,)), threading.Thread(target=self._listen)]
        clock.start()
        for thread in threads:
            thread.start()
        try:
            answer = self._answer(ANSWER_MOST + 8 * len(given))
            code = self._process.wait()
        finally:
            clock.cancel()
            unread = _bytes_in(self._read)
            # Whoever still writes to it is let go.
            os.close(self._read)
            threads[0].join()
            self.finish(keep_read=True)
            threads[1].join()
        return Ran(answer, self._stderr, self._problem or self._judge(code, unread))

    def end(self, problem: str) -> None:
        """Kill it with all it has started."""
        self._problem = self._problem or problem
        with suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def finish(self, *, keep_read: bool = False) -> None:
        """Nothing of it is left behind: what it started and left running ends, too."""
        with suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        keeper.remove(self._process.pid)
        if not keep_read:
            os.close(self._read)
            os.close(self._write)
            for pipe in (self._process.stdout, self._process.stderr):
                assert pipe is not None
                pipe.close()

    def _feed(self, given: bytes) -> None:
        view = memoryview(given)
        try:
            while view:
                view = view[os.write(self._write, view[:BLOCK]) :]
            self._fed = True
        except OSError:
            # It has ended, or reads no more: how it ended says what that means.
            pass
        finally:
            os.close(self._write)

    def _answer(self, most: int) -> bytes:
        assert self._process.stdout is not None
        blocks, size = [], 0
        with self._process.stdout as pipe:
            while block := pipe.read(BLOCK):
                blocks.append(block)
                size += len(block)
                if size > most:
                    self.end(f"it printed more than {most / 2**20:,.0f} MiB")
                    break
        return b"".join(blocks)

    def _listen(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as pipe:
            while block := pipe.read(2**16):
                self._stderr = (self._stderr + block)[-STDERR_KEPT:]

    def _judge(self, code: int, unread: int) -> str | None:
        if code < 0:
            return f"it was killed by signal {-code} ({signal.strsignal(-code)})"
        if code:
            return f"it ended with exit status {code}"
        if unread or not self._fed:
            return "it ended without reading all its rows"
        return None


def _enlarge(pipe: int) -> None:
    """Fewer turns between the two sides, where the system allows it."""
    if sys.platform == "linux":
        with suppress(OSError):
            fcntl.fcntl(pipe, _F_SETPIPE_SZ, _PIPE_SIZE)


def _bytes_in(pipe: int) -> int:
    (count,) = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0\0\0\0"))
    return int(count)
