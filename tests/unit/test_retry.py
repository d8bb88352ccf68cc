"""The retry policy: how often, how long between, and what is worth it."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamconsole.engines.retry import Backoff, RetryPolicy

POLICIES = st.builds(
    RetryPolicy,
    attempts=st.integers(1, 1000),
    backoff=st.sampled_from(Backoff),
    delay=st.just(0.0) | st.floats(0.001, 3600),
    cap=st.floats(0, 3600),
    jitter=st.floats(0, 1),
)


@given(POLICIES, st.integers(1, 10_000))
def test_a_pause_is_between_its_jittered_and_full_length(policy: RetryPolicy, retry: int) -> None:
    grown = policy.delay * (2 ** (min(retry, 80) - 1) if policy.backoff is Backoff.EXPONENTIAL else 1)
    full = min(grown, policy.cap)
    assert full * (1 - policy.jitter) * 0.999_999 <= policy.pause(retry) <= full


@given(POLICIES)
def test_a_fixed_pause_does_not_grow(policy: RetryPolicy) -> None:
    fixed = RetryPolicy(policy.attempts, Backoff.FIXED, policy.delay, policy.cap, jitter=0)
    assert {fixed.pause(retry) for retry in (1, 2, 50)} == {min(policy.delay, policy.cap)}


class Work:
    """Fails with the given errors, one after the other, then succeeds."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.calls = 0
        self.told: list[tuple[int, str, float]] = []

    async def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"

    async def tell(self, attempt: int, error: BaseException, pause: float) -> None:
        self.told.append((attempt, str(error), pause))


def is_os_error(error: BaseException) -> bool:
    return isinstance(error, OSError)


QUICK = RetryPolicy(attempts=3, backoff=Backoff.FIXED, delay=0, jitter=0)


async def test_passing_errors_are_tried_again_and_told() -> None:
    work = Work(OSError("one"), OSError("two"))
    assert await QUICK.run(work, transient=is_os_error, before_retry=work.tell) == "done"
    assert work.calls == 3
    assert work.told == [(1, "one", 0), (2, "two", 0)]


async def test_the_last_error_comes_out_when_the_attempts_are_used_up() -> None:
    work = Work(OSError("one"), OSError("two"), OSError("three"), OSError("four"))
    with pytest.raises(OSError, match="three"):
        await QUICK.run(work, transient=is_os_error, before_retry=work.tell)
    assert work.calls == 3
    assert len(work.told) == 2


async def test_a_permanent_error_comes_out_at_once() -> None:
    work = Work(ValueError("bad data"))
    with pytest.raises(ValueError, match="bad data"):
        await QUICK.run(work, transient=is_os_error, before_retry=work.tell)
    assert (work.calls, work.told) == (1, [])


async def test_the_pause_told_is_the_pause_made(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    work = Work(OSError("one"), OSError("two"))
    policy = RetryPolicy(attempts=3, delay=1.5, jitter=0.5)
    await policy.run(work, transient=is_os_error, before_retry=work.tell)
    assert slept == [pause for _, _, pause in work.told]
    assert 0.75 <= slept[0] <= 1.5 <= slept[1] <= 3


async def test_cancelling_is_never_retried() -> None:
    work = Work(asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await QUICK.run(work, transient=is_os_error, before_retry=work.tell)
    assert work.calls == 1
