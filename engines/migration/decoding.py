"""Where windows are decoded: in a thread, or in processes when there is enough to decode.

Decoding holds the interpreter lock: threads do not multiply it, and it would stall the screen.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import redirect_stderr
from multiprocessing import resource_tracker

from streamconsole.engines.migration.batch import Batch, DecodeTask, decode

PROCESSES_FROM = 16 * 2**20
"""Bytes of input from which processes pay for their start (a tenth of a second each)."""


class DecoderLost(OSError):
    """A decoding process died; the window is decoded again by a new one."""


class Decoder:
    """Decodes windows off the event loop.

    Args:
        processes: how many processes; 0 for a thread of this one.
    """

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._pool: ProcessPoolExecutor | None = None

    async def decode(self, task: DecodeTask) -> Batch:
        """Decode one window.

        Raises:
            DecoderLost: the process that did it died.
        """
        if not self._processes:
            return await asyncio.to_thread(decode, task)
        if self._pool is None:
            self._pool = self._new_pool()
        pool = self._pool
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, decode, task)
        except BrokenProcessPool as error:
            if self._pool is pool:
                self._pool = None
                pool.shutdown(wait=False)
            raise DecoderLost("a decoding process died") from error

    async def close(self) -> None:
        """End the processes; what they were at is dropped."""
        if self._pool is not None:
            pool, self._pool = self._pool, None
            await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)

    def _new_pool(self) -> ProcessPoolExecutor:
        # Its helper inherits stderr, which a console may have replaced by something without a file.
        with redirect_stderr(sys.__stderr__):
            resource_tracker.ensure_running()
        # Not forked: a copy of a process with threads and a terminal may hang or draw.
        return ProcessPoolExecutor(
            self._processes, mp_context=multiprocessing.get_context("spawn"), initializer=_begin_in_child
        )


def processes_for(size_bytes: int | None, workers: int) -> int:
    """How many processes to decode with: none for small input, else as many as there are processors."""
    if size_bytes is not None and size_bytes < PROCESSES_FROM:
        return 0
    return max(1, min(workers, os.cpu_count() or 1, 4))


def _begin_in_child() -> None:
    # Ctrl-C goes to the whole group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent killed outright says no goodbye; its children would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
