"""The child's side: `python -m streamconsole.engines.queue.processors.child PLACE FD PARENT WORKSPACE`.

Jobs come as lines on stdin, answers go as lines to the file descriptor. When the parent dies, so does
the child, in the middle of a job, too: that job is given to another worker.
"""

from __future__ import annotations

import asyncio
import ctypes
import inspect
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import IO, Any

import orjson

from streamconsole.engines.errors import Refused
from streamconsole.engines.queue.job import Job, UnrecoverableError
from streamconsole.engines.queue.payloads import to_text
from streamconsole.engines.queue.processors.resolve import function_at
from streamconsole.engines.queue.rows import JobRow
from streamconsole.engines.secrets import mask

_PR_SET_PDEATHSIG = 1


class _Answers:
    """Sends what a job says, from any thread."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._lock = threading.Lock()

    def send(self, message: dict[str, Any]) -> None:
        with self._lock:
            self._file.write(orjson.dumps(message) + b"\n")
            self._file.flush()

    def noted(self, job: Job) -> None:
        noted = job.take_noted()
        if noted is None:
            return
        if noted.progress is not None:
            self.send({"progress": orjson.loads(noted.progress)})
        for line in noted.lines:
            self.send({"log": line})


def die_with_parent(parent: int) -> None:
    """Be killed when the parent dies (Linux); end at once if it has died already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def serve(function: Callable[[Job], Any], answers: _Answers) -> None:
    """Do jobs until there are no more."""
    for line in sys.stdin.buffer:
        job = Job(JobRow._make(orjson.loads(line)), answers)
        try:
            result = function(job)
            if inspect.isawaitable(result):
                result = asyncio.run(_awaited(result))
            to_text(result, f"result of job {job.id}")
            answer = {"result": result, "settled": job.settled}
        except Exception as error:
            answer = _failure(error)
        answers.send(answer)


async def _awaited(result: Any) -> Any:
    return await result


def _failure(error: Exception) -> dict[str, Any]:
    named = isinstance(error, UnrecoverableError | Refused)
    text = str(error) if named else f"{type(error).__name__}: {error}"
    trace = mask("".join(traceback.format_exception(error)))
    return {"failure": mask(text), "trace": trace, "unrecoverable": named}


def main(place: str, handle: int, parent: int) -> None:
    """Load the function and serve."""
    die_with_parent(parent)
    # The parent decides when this process ends: Ctrl-C goes to the whole terminal.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = _Answers(os.fdopen(handle, "wb"))
    try:
        function = function_at(place)
    except Refused as refused:
        text = str(refused)

        def function(job: Job) -> Any:
            raise UnrecoverableError(text)

    serve(function, answers)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
