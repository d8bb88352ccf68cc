"""Commands: the payload on stdin, the result on stdout, a process group that can be killed."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import orjson

from streamconsole.engines.errors import Refused
from streamconsole.engines.queue.job import Job, UnrecoverableError
from streamconsole.engines.text import clean

MAX_OUTPUT = 16 * 2**20
"""Bytes of a command's result."""

KILL_AFTER = 2.0
"""Seconds between SIGTERM and SIGKILL."""

PROGRESS = b"progress:"
"""What a line of stderr that says the progress begins with; others go to the job's log."""


class CommandFailed(Exception):
    """A command ended with another status than 0."""


class InCommand:
    """Runs a program for each job, without a shell.

    Its stdin is the payload as JSON, its environment says `JOB_ID`, `JOB_NAME`, `JOB_QUEUE` and
    `JOB_ATTEMPT`. Its stdout is the result: JSON, or else text. Lines of its stderr go to the job's log,
    those that begin with `progress:` (a number or JSON after it) are its progress. Status 0 means done,
    64 that trying again is useless.
    """

    def __init__(self, command: Sequence[str]) -> None:
        if not command:
            raise Refused("the command of a processor is empty")
        self._command = list(command)

    async def __call__(self, job: Job) -> Any:
        """Run it; told to stop, the program and all it started are ended."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
                env=os.environ | _about(job),
            )
        except (OSError, ValueError) as error:
            raise UnrecoverableError(f"{self._command[0]} cannot be run: {error}") from None
        try:
            output, last, _ = await asyncio.gather(_read(process), _follow(process, job), _feed(process, job))
            status = await process.wait()
        finally:
            await _end(process)
        return _result(self._command[0], status, output, last)

    async def close(self) -> None:
        """Nothing to close."""


def _about(job: Job) -> dict[str, str]:
    attempt = str(job.attempts_made + 1)
    return {"JOB_ID": job.id, "JOB_NAME": job.name, "JOB_QUEUE": job.queue, "JOB_ATTEMPT": attempt}


async def _feed(process: asyncio.subprocess.Process, job: Job) -> None:
    assert process.stdin is not None
    # A program that does not read its input is none of our business.
    with suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(job.row.payload.encode() + b"\n")
        await process.stdin.drain()
    with suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.close()


async def _read(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None
    output = bytearray()
    while block := await process.stdout.read(2**16):
        output += block
        if len(output) > MAX_OUTPUT:
            raise UnrecoverableError(f"its output has more than {MAX_OUTPUT:,} bytes")
    return bytes(output)


async def _follow(process: asyncio.subprocess.Process, job: Job) -> str:
    """Pass what it says on; gives its last line."""
    assert process.stderr is not None
    last, rest = "", b""
    while block := await process.stderr.read(2**14):
        *lines, rest = (rest + block).split(b"\n")
        if len(rest) > 2**16:
            lines, rest = [*lines, rest], b""
        for line in lines:
            last = _line(job, line) or last
    return (_line(job, rest) if rest else "") or last


def _line(job: Job, line: bytes) -> str:
    if line.startswith(PROGRESS):
        with suppress(orjson.JSONDecodeError):
            job.update_progress(orjson.loads(line.removeprefix(PROGRESS)))
            return ""
    text = clean(line.rstrip(b"\r"), limit=2_000)
    if text:
        job.add_log(text)
    return text


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the program and what it has started."""
    if process.returncode is None:
        _signal(process.pid, signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(KILL_AFTER):
                await process.wait()
    _signal(process.pid, signal.SIGKILL)
    await process.wait()


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _result(program: str, status: int, output: bytes, last: str) -> Any:
    if status:
        how = f"ended with {status}" if status > 0 else f"was killed by {signal.Signals(-status).name}"
        text = f"{program} {how}{': ' if last else ''}{last}"
        raise UnrecoverableError(text) if status == os.EX_USAGE else CommandFailed(text)
    if not output.strip():
        return None
    try:
        return orjson.loads(output)
    except orjson.JSONDecodeError:
        return output.decode("utf-8", "replace").rstrip("\n")
