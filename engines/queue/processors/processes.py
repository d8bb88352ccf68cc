"""`module:function` in processes of its own: one job each at a time, killed when told to stop."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from typing import Any

import orjson

from streamconsole.engines.queue.job import Job, UnrecoverableError
from streamconsole.engines.queue.payloads import from_text

LIMIT = 64 * 2**20
"""Bytes of one message of a child."""


class ChildFailed(Exception):
    """What a function in a child raised, as text."""

    def __init__(self, text: str, trace: str) -> None:
        super().__init__(text)
        self.add_note(trace)


class ChildDied(Exception):
    """The child ended in the middle of a job."""


class _Child:
    """One process, and the pipe to it."""

    def __init__(self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader) -> None:
        self.process = process
        self.reader = reader

    @classmethod
    async def start(cls, place: str, workspace: str) -> _Child:
        """Start one. Its answers have a pipe of their own: it may print what it likes."""
        ours, theirs = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "streamconsole.engines.queue.processors.child",
                place, str(theirs), str(os.getpid()), workspace,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
                pass_fds=[theirs], env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )  # fmt: skip
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        reader = asyncio.StreamReader(LIMIT)
        protocol = asyncio.StreamReaderProtocol(reader)
        await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, os.fdopen(ours, "rb", buffering=0))
        return cls(process, reader)

    async def run(self, job: Job) -> Any:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(orjson.dumps(list(job.row)) + b"\n")
            await self.process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            raise ChildDied("the process of the processor ended before it could begin") from None
        while line := await self.reader.readline():
            message = from_text(line, "answer of a processor's process")
            if "progress" in message:
                job.update_progress(message["progress"])
            elif "log" in message:
                job.add_log(message["log"])
            else:
                return _answer(job, message)
        status = await self.process.wait()
        raise ChildDied(f"the process of the processor ended in the middle of the job (status {status})")

    async def kill(self) -> None:
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()


class InProcesses:
    """Calls a function (plain or coroutine) of a module in children, each started when it is first needed.

    Args:
        place: `module:function`; the present folder is importable.
        workspace: URL, for `job.complete` in the child.
    """

    def __init__(self, place: str, workspace: str) -> None:
        self._place = place
        self._workspace = workspace
        self._idle: list[_Child] = []

    async def __call__(self, job: Job) -> Any:
        """Call it; told to stop, the child is killed."""
        while self._idle and self._idle[-1].process.returncode is not None:
            await self._idle.pop().kill()
        child = self._idle.pop() if self._idle else await _Child.start(self._place, self._workspace)
        try:
            result = await child.run(job)
        except (ChildFailed, UnrecoverableError):
            self._idle.append(child)
            raise
        except BaseException:
            await child.kill()
            raise
        self._idle.append(child)
        return result

    async def close(self) -> None:
        """End the children."""
        while self._idle:
            await self._idle.pop().kill()


def _answer(job: Job, message: dict[str, Any]) -> Any:
    if "failure" in message:
        if message.get("unrecoverable"):
            raise UnrecoverableError(message["failure"])
        raise ChildFailed(message["failure"], message.get("trace", ""))
    job.settled = bool(message.get("settled"))
    return message.get("result")
