"""One retry policy for all engines: how often, how long between, and what is worth trying again."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt

T = TypeVar("T")


class Backoff(StrEnum):
    """How the pause grows from one retry to the next."""

    FIXED = "fixed"
    EXPONENTIAL = "exponential"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How a unit that failed for a passing reason is tried again.

    Args:
        attempts: tries in all, the first included.
        backoff: `fixed`, or `exponential` (doubles from retry to retry).
        delay: seconds before the first retry.
        cap: seconds a pause never exceeds.
        jitter: 0..1, the share of a pause that is left to chance: between `x(1-j)` and `x`.
    """

    attempts: int = 3
    backoff: Backoff = Backoff.EXPONENTIAL
    delay: float = 0.5
    cap: float = 30.0
    jitter: float = 0.2

    def pause(self, retry: int) -> float:
        """Seconds to wait before retry number `retry` (the first is 1)."""
        # The exponent is bounded because 2.0 ** 1024 overflows; the cap is reached long before.
        grown = self.delay * 2.0 ** min(retry - 1, 62) if self.backoff is Backoff.EXPONENTIAL else self.delay
        full = min(self.cap, grown)
        return full * (1 - self.jitter * random.random())

    async def run(
        self,
        work: Callable[[], Awaitable[T]],
        *,
        transient: Callable[[BaseException], bool],
        before_retry: Callable[[int, BaseException, float], Awaitable[None]],
    ) -> T:
        """Do `work` until it succeeds, fails for good, or the attempts are used up.

        Args:
            work: what is tried.
            transient: tells errors worth another try from permanent ones.
            before_retry: told the attempt that failed, its error and the pause in seconds.

        Raises:
            BaseException: the last error, when it was permanent or the attempts are used up.
        """

        async def told(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            if error is not None:
                await before_retry(state.attempt_number, error, state.upcoming_sleep)

        retrying = AsyncRetrying(
            stop=stop_after_attempt(self.attempts),
            wait=lambda state: self.pause(state.attempt_number),
            retry=retry_if_exception(transient),
            before_sleep=told,
            reraise=True,
        )
        return await retrying(work)
