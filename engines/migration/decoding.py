"""Where windows are decoded: in a thread, or in processes when there is enough to decode.

Decoding holds the interpreter lock: threads do not multiply it, and it would stall the screen.

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
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from streamconsole.engines.migration.batch import Batch, DecodeTask, decode

PROCESSES_FROM = 16 * 2**20
"""Bytes of input from which processes pay for their start (a tenth of a second each)."""

KEPT_MEMORY = 32 * 2**20
"""Bytes of freed memory that a decoding process keeps for its next window, at most."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h

# Not forked: a copy of a process with threads and a terminal may hang or draw.
_SPAWN = multiprocessing.get_context("spawn")


class DecoderLost(OSError):
    """A decoding process died; the window is decoded again by a new one."""


class Decoder:
    """Decodes windows off the event loop.

    Args:
        processes: how many processes; 0 for a thread of this one.
    """

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._room = asyncio.Semaphore(max(1, processes))
        self._threads = ThreadPoolExecutor(max(1, processes), thread_name_prefix="decoding")
        self._idle: list[_Child] = []
        self._busy: set[_Child] = set()

    def warm(self) -> None:
        """Start the processes, so that they are there when the first window is."""
        self._idle += [_new_child() for _ in range(self._processes)]
        for child in self._idle:
            self._threads.submit(child.start)

    async def decode(self, task: DecodeTask) -> Batch:
        """Decode one window.

        Raises:
            DecoderLost: the process that did it died.
        """
        if not self._processes:
            return await asyncio.to_thread(decode, task)
        async with self._room:
            child = self._idle.pop() if self._idle else _new_child()
            self._busy.add(child)
            try:
                answer = await asyncio.get_running_loop().run_in_executor(self._threads, child.ask, task)
            except BaseException:
                # Dead, or (cancelled) still at something nobody waits for.
                child.end()
                raise
            finally:
                self._busy.discard(child)
            self._idle.append(child)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self) -> None:
        """End the processes; what they were at is dropped."""
        for child in [*self._busy, *self._idle]:
            child.end()
        self._idle.clear()
        await asyncio.to_thread(self._threads.shutdown)


class _Child:
    """A decoding process, started when it is first asked."""

    def __init__(self) -> None:
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._over = False
        self._starting = threading.Lock()

    def start(self) -> Connection:
        """Start the process, unless it is started; gives our end of its pipe."""
        with self._starting:
            return self._pipe or self._start()

    def ask(self, task: DecodeTask) -> Batch | Exception:
        """Have a window decoded (blocking); gives the error when that is what came of it.

        Raises:
            DecoderLost: the process died.
        """
        try:
            pipe = self.start()
            pipe.send(task)
            answer: Batch | Exception = pipe.recv()
            return answer
        except (EOFError, OSError) as error:
            raise DecoderLost("a decoding process died") from error

    def end(self) -> None:
        """Kill the process; who waits for its answer is told that it died."""
        self._over = True
        if self._process is not None:
            self._process.kill()
            self._process.join()

    def _start(self) -> Connection:
        self._pipe, theirs = _SPAWN.Pipe()
        process = _SPAWN.Process(target=_serve, args=(theirs,), name="decoding", daemon=True)
        process.start()
        self._process = process
        # Ours alone must hold the other end open: that is how its death is noticed.
        theirs.close()
        if self._over:
            # Ended while it was being started, when there was nothing to kill yet.
            process.kill()
        return self._pipe


def _new_child() -> _Child:
    # The helper of all processes inherits stderr, which a console may have replaced by something without a file.
    with redirect_stderr(sys.__stderr__):
        resource_tracker.ensure_running()
    return _Child()


def processes_for(size_bytes: int | None, workers: int) -> int:
    """How many processes to decode with: none for small input, else as many as there are processors."""
    if size_bytes is not None and size_bytes < PROCESSES_FROM:
        return 0
    return max(1, min(workers, os.cpu_count() or 1, 4))


def _serve(pipe: Connection) -> None:
    """Decode what is asked for, in a process of its own, as long as somebody asks."""
    # Ctrl-C goes to the whole group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Decoding makes no cycles, and looking for them among so many new objects costs a tenth of the time.
    gc.disable()
    _keep_freed_memory()
    while True:
        try:
            task: DecodeTask = pipe.recv()
        except EOFError:
            return
        pipe.send(_answer(task))


def _keep_freed_memory() -> None:
    """Where the C library can: every window needs the same again, and fresh pages cost a tenth of the time."""
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_TRIM_THRESHOLD, KEPT_MEMORY)
        libc.mallopt(_MMAP_THRESHOLD, KEPT_MEMORY)


def _answer(task: DecodeTask) -> Batch | Exception:
    try:
        return decode(task)
    except Exception as error:
        # Where it happened does not cross the border by itself.
        error.add_note(f"in a decoding process:\n{traceback.format_exc()}")
        return error


def _end_with_parent() -> None:
    """A parent killed outright says no goodbye; its children would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
