"""Plain functions, each call in a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from streamconsole.engines.queue.job import Job


class InThreads:
    """Calls a plain function in a thread. It cannot be stopped from outside: it may look at `job.cancelled`.

    Args:
        function: is given the job.
        threads: calls at once.
    """

    def __init__(self, function: Callable[[Job], Any], threads: int) -> None:
        self._function = function
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="job")
        self._closed = False

    async def __call__(self, job: Job) -> Any:
        """Call it; told to stop, it only says so to the function, and waits on: the thread keeps its slot."""
        future = asyncio.get_running_loop().run_in_executor(self._pool, self._function, job)
        while True:
            try:
                return await asyncio.shield(future)
            except asyncio.CancelledError:
                if future.done() or self._closed:
                    raise
                job.stop_asked = True

    async def close(self) -> None:
        """Start no more; threads still at work are left to themselves."""
        self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)
