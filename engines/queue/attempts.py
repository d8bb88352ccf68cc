"""One attempt of one job: run the processor, bound its time, turn whatever comes into an outcome."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from streamconsole.engines.errors import Refused
from streamconsole.engines.queue.finishing import End, Outcome
from streamconsole.engines.queue.job import Job, UnrecoverableError
from streamconsole.engines.queue.options import JobOptions
from streamconsole.engines.queue.payloads import to_text
from streamconsole.engines.queue.states import CANCELLED
from streamconsole.engines.secrets import mask

Processor = Callable[[Job], Awaitable[Any]]
"""What a worker calls for each job; sync functions, processes and commands are wrapped into one."""

BackoffStrategy = Callable[[int, BaseException, Job], int]
"""Milliseconds before the next attempt, from the number of failed ones; -1 to fail now."""

GRACE = 1.0
"""Seconds a processor that was told to stop gets, before it is called overdue."""

MAX_TRACE = 16_384
MAX_FAILURE = 2_000


class JobTimeout(Exception):
    """An attempt took longer than the job's timeout."""


class RolledBack(Exception):
    """The transaction that completed the job was rolled back."""


async def with_timeout(processor: Processor, job: Job, seconds: float, overdue: Callable[[Job, str], None]) -> Any:
    """Call a processor; when its time is up it is cancelled, and waited for.

    Raises:
        JobTimeout: its time was up.
    """
    working = asyncio.ensure_future(_guarded(processor, job))
    try:
        done, _ = await asyncio.wait({working}, timeout=seconds)
        if not done:
            working.cancel()
            if not (await asyncio.wait({working}, timeout=GRACE))[0]:
                overdue(job, f"its timeout of {seconds:g} s is over, and it does not stop")
                await asyncio.wait({working})
            raise JobTimeout(f"the attempt took longer than {seconds:g} s")
    except asyncio.CancelledError:
        working.cancel()
        await asyncio.wait({working})
        raise
    result, error = working.result()
    if error is not None:
        raise error
    return result


async def _guarded(processor: Processor, job: Job) -> tuple[Any, BaseException | None]:
    # A task that ends with SystemExit or KeyboardInterrupt takes the whole loop with it.
    try:
        return await processor(job), None
    except BaseException as error:
        return None, error


def completed(job: Job, result: Any) -> Outcome:
    """The outcome of a processor that came back."""
    if job.cancelled:
        return _failed(job, CANCELLED, None)
    try:
        text = None if result is None else to_text(result, f"result of job {job.id}")
    except Refused as error:
        return _failed(job, str(error), None)
    row = job.row
    options = None if row.options is None else job.options
    return Outcome(
        row.seq, row.epoch, row.priority, End.COMPLETED, text,
        attempt=row.attempts_made + 1, options=options, noted=job.take_noted(),
    )  # fmt: skip


def failed(job: Job, error: BaseException, strategies: Mapping[str, BackoffStrategy]) -> Outcome:
    """The outcome of a processor that raised."""
    if job.cancelled:
        return _failed(job, CANCELLED, None)
    reason = said(error)
    trace = mask("".join(traceback.format_exception(error)))[-MAX_TRACE:]
    if isinstance(error, UnrecoverableError) or job.attempts_made + 1 >= job.options.attempts:
        return _failed(job, reason, trace)
    try:
        pause = _pause(job, job.options, error, strategies)
    except Exception as wrong:
        return _failed(job, f"{reason} (and its backoff failed: {said(wrong)})", trace)
    if pause < 0:
        return _failed(job, reason, trace)
    return _outcome(job, End.RETRY, reason, trace, pause)


def handed_back(job: Job) -> Outcome:
    """The outcome of a job that could not be finished in time."""
    return _outcome(job, End.HANDED_BACK, None, None, 0)


def said(error: BaseException) -> str:
    """An error as a job's failure."""
    kind = "" if isinstance(error, UnrecoverableError | JobTimeout | RolledBack) else f"{type(error).__name__}: "
    try:
        text = str(error)
    except Exception:
        text = "(its text cannot be had)"
    return mask(f"{kind}{text}".removesuffix(": ") or type(error).__name__)[:MAX_FAILURE]


def _pause(job: Job, options: JobOptions, error: BaseException, strategies: Mapping[str, BackoffStrategy]) -> int:
    backoff, made = options.backoff, job.attempts_made + 1
    if backoff is None:
        return 0
    if backoff.type in ("fixed", "exponential"):
        return backoff.pause(made)
    if backoff.type not in strategies:
        raise Refused(f"this worker knows no backoff named {backoff.type!r}")
    chosen = strategies[backoff.type](made, error, job)
    return chosen if chosen < 0 else backoff.spread(chosen)


def _failed(job: Job, reason: str, trace: str | None) -> Outcome:
    return _outcome(job, End.FAILED, reason, trace, 0)


def _outcome(job: Job, end: End, text: str | None, trace: str | None, pause: int) -> Outcome:
    row = job.row
    return Outcome(
        row.seq, row.epoch, row.priority, end, text, trace, pause, row.attempts_made + 1, job.options, job.take_noted()
    )
