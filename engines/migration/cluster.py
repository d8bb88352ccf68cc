"""Where windows are moved: by child processes that read, fit and write them, or by threads of this one.

Decoding holds the interpreter lock: threads do not multiply it, and it would stall the screen. Rows
stay in the child that decoded them; only what became of them is answered.

Each process has a pipe of its own. The standard library's pool has one for all of them, and when a
process is killed in the middle of an answer, the pool waits for the rest of it for ever.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, redirect_stderr, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from streamconsole.engines import faults
from streamconsole.engines.migration.moving import Move, Needs, Parent, Task
from streamconsole.engines.migration.targets.target import Written
from streamconsole.engines.units import Reject

PROCESSES_FROM = 16 * 2**20
"""Bytes of input from which processes pay for their start (a tenth of a second each)."""

KEPT_MEMORY = 32 * 2**20
"""Bytes of freed memory that a child keeps for its next window, at most."""

MOST_THREADS = 256

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h

# Not forked: a copy of a process with threads and a terminal may hang or draw.
_SPAWN = multiprocessing.get_context("spawn")


class ChildLost(OSError):
    """A child process died; its window is moved again by a new one."""


@dataclass(slots=True)
class Tally:
    """What the cluster has done.

    Args:
        read: rows read.
        inserted: rows that are in the target.
        replaced: children that died and were replaced.
    """

    read: int = 0
    inserted: int = 0
    replaced: int = 0


class Cluster:
    """Moves windows off the event loop; a window goes to the child that has been free longest.

    Args:
        processes: how many children; 0 for threads of this process.
        parent: gives turns in the target and keeps refused rows.
    """

    def __init__(self, processes: int, parent: Parent) -> None:
        self.processes = processes
        self.tally = Tally()
        self._parent = parent
        self._room = asyncio.Semaphore(processes or MOST_THREADS)
        self._threads = ThreadPoolExecutor(processes or MOST_THREADS, thread_name_prefix="moving")
        self._ring: deque[_Child] = deque()
        self._busy: set[_Child] = set()

    def warm(self) -> None:
        """Start the children, so that they are there when the first window is."""
        self._ring.extend(_new_child() for _ in range(self.processes))
        for child in self._ring:
            self._threads.submit(child.start)

    async def move(self, task: Task) -> Written | Needs:
        """Move one window.

        Raises:
            ChildLost: the child that did it died.
        """
        async with self._room:
            answer: Written | Needs | Exception = await (
                self._by_child(task) if self.processes else self._in_thread(task.do, self._parent)
            )
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Written):
            self.tally.read += answer.rows_read
            self.tally.inserted += answer.rows_written
        return answer

    async def close(self) -> None:
        """Kill all children; what they were at is dropped."""
        for child in [*self._busy, *self._ring]:
            child.end()
        self._ring.clear()
        await asyncio.to_thread(self._threads.shutdown)

    async def _by_child(self, task: Task) -> Written | Needs | Exception:
        child = self._ring.popleft() if self._ring else _new_child()
        self._busy.add(child)
        try:
            answer: Written | Needs | Exception = await self._in_thread(child.ask, task, self._parent)
        except BaseException:
            # Dead, or (cancelled) still at something nobody waits for: it leaves the ring.
            child.end()
            self.tally.replaced += 1
            raise
        finally:
            self._busy.discard(child)
        self._ring.append(child)
        return answer

    async def _in_thread(self, function: Any, *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)


def processes_for(size_bytes: int | None, workers: int) -> int:
    """How many children to move windows with: none for small input, else as many as there are processors."""
    if size_bytes is not None and size_bytes < PROCESSES_FROM:
        return 0
    return max(1, min(workers, os.cpu_count() or 1, 4))


# Parent's side ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Turn:
    """A child asks for its turn in the target."""


@dataclass(frozen=True, slots=True)
class _Keep:
    """A child asks that refused rows are kept."""

    rejects: Sequence[Reject]


class _Child:
    """A child process, started when it is first asked."""

    def __init__(self) -> None:
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._over = False
        self._starting = threading.Lock()

    def start(self) -> Connection:
        """Start the process, unless it is started; gives our end of its pipe."""
        with self._starting:
            return self._pipe or self._start()

    def ask(self, task: Task, parent: Parent) -> Written | Needs | Exception:
        """Have a window moved (blocking); gives the error when that is what came of it.

        Raises:
            ChildLost: the process died.
        """
        try:
            pipe = self.start()
            pipe.send(task)
            return self._serve(pipe, task, parent)
        except (EOFError, ConnectionError) as error:
            raise ChildLost("a child process died") from error

    def end(self) -> None:
        """Kill the process; who waits for its answer is told that it died."""
        self._over = True
        if self._process is not None:
            self._process.kill()
            self._process.join()

    def _serve(self, pipe: Connection, task: Task, parent: Parent) -> Written | Needs | Exception:
        """Give the child what it asks for, until it answers."""
        message = pipe.recv()
        with ExitStack() as until_answered:
            while isinstance(message, _Turn | _Keep):
                if isinstance(message, _Keep):
                    pipe.send(_outcome(parent.keep_rejects, task, message.rejects))
                else:
                    assert isinstance(task, Move)
                    # It may have tried one way in a turn of its own.
                    until_answered.close()
                    pipe.send(_outcome(until_answered.enter_context, parent.turn(task)))
                message = pipe.recv()
        return message  # type: ignore[no-any-return]

    def _start(self) -> Connection:
        self._pipe, theirs = _SPAWN.Pipe()
        process = _SPAWN.Process(target=_serve, args=(theirs,), name="moving", daemon=True)
        process.start()
        self._process = process
        # Ours alone must hold the other end open: that is how its death is noticed.
        theirs.close()
        if self._over:
            # Ended while it was being started, when there was nothing to kill yet.
            process.kill()
        return self._pipe


def _outcome(function: Callable[..., object], *args: Any) -> Exception | None:
    """None when a call went well, else its error: what a child is told."""
    try:
        function(*args)
    except Exception as error:
        return error
    return None


def _new_child() -> _Child:
    # The helper of all processes inherits stderr, which a console may have replaced by something without a file.
    with redirect_stderr(sys.__stderr__):
        resource_tracker.ensure_running()
    return _Child()


# Child's side -------------------------------------------------------------------------------------


class _Asking:
    """The parent, as its child sees it: the other end of a pipe."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    @contextmanager
    def turn(self, move: Move) -> Iterator[None]:
        """Wait for the turn; it ends with the answer."""
        self._ask(_Turn())
        yield

    def keep_rejects(self, task: Task, rejects: Sequence[Reject]) -> None:
        """Have refused rows kept, and wait until they are."""
        self._ask(_Keep(rejects))

    def _ask(self, message: _Turn | _Keep) -> None:
        self._pipe.send(message)
        error: Exception | None = self._pipe.recv()
        if error is not None:
            raise error


def _serve(pipe: Connection) -> None:
    """Move what is asked for, in a process of its own, as long as somebody asks."""
    # Ctrl-C goes to the whole group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    faults.die_with(os.getppid())
    # Decoding makes no cycles, and looking for them among so many new objects costs a tenth of the time.
    gc.disable()
    _keep_freed_memory()
    parent = _Asking(pipe)
    while True:
        try:
            task: Task = pipe.recv()
        except EOFError:
            return
        pipe.send(_answer(task, parent))


def _keep_freed_memory() -> None:
    """Where the C library can: every window needs the same again, and fresh pages cost a tenth of the time."""
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_TRIM_THRESHOLD, KEPT_MEMORY)
        libc.mallopt(_MMAP_THRESHOLD, KEPT_MEMORY)


def _answer(task: Task, parent: Parent) -> Written | Needs | Exception:
    try:
        return task.do(parent)
    except Exception as error:
        # Where it happened does not cross the border by itself.
        error.add_note(f"in a child process:\n{traceback.format_exc()}")
        return error


def _end_with_parent() -> None:
    """A parent killed outright says no goodbye; its children would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
