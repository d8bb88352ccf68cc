"""SIGKILL at random instants, restarted each time, until enough of them have hit in the middle.

The seed is printed when a test fails; `CRASH_SEED=… make crash` plays it again.
"""

from __future__ import annotations

import os
from pathlib import Path
from random import Random, SystemRandom

import pytest

from tests.crash.conftest import Uninterrupted
from tests.crash.inputs import (
    APPENDED,
    APPENDED_TO_FILE,
    CLUSTER,
    CUSTOMERS_IN_MANY,
    HOSTILE,
    HOSTILE_TO_FILE,
    LARGE,
    ORDERS,
    REPLACED,
    REPLACED_FILE,
    TABLE,
    TO_ARRAY,
    TO_CSV,
    TRANSFORMED,
    UPSERTED,
    Case,
)
from tests.crash.interrupting import Attempt, kill_at_random
from tests.crash.outcome import differences

CASES = {
    "real data": CUSTOMERS_IN_MANY,
    "hostile data": HOSTILE,
    "hostile data to a file": HOSTILE_TO_FILE,
    "generated": ORDERS,
    "copied by SQLite": TABLE,
    "through transforms": TRANSFORMED,
    "moved by children": LARGE,
    "hostile data by a cluster": CLUSTER,
    "hostile data to CSV": TO_CSV,
    "hostile data to an array": TO_ARRAY,
    "appended to a file": APPENDED_TO_FILE,
    "a file replaced": REPLACED_FILE,
    "appended": APPENDED,
    "upserted": UPSERTED,
    "replaced": REPLACED,
}

FULL = (CUSTOMERS_IN_MANY, HOSTILE)
"""Cases that take all the kills asked for."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def seed() -> int:
    return int(os.environ.get("CRASH_SEED") or SystemRandom().randrange(10**9))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_kills_at_random_instants_lose_nothing(
    case: Case, seed: int, crash_count: int, tmp_path: Path, uninterrupted: Uninterrupted
) -> None:
    print(f"CRASH_SEED={seed}")
    random = Random(seed)
    expected, seconds = uninterrupted(case)
    landed = attempts = 0
    if case not in FULL:
        # The mechanism is the same: fewer kills tell, and `make crash N=200` makes forty of each.
        crash_count = max(3, crash_count // 5)
    while landed < crash_count:
        attempt = Attempt(case, tmp_path / f"run{attempts}")
        landed += _interrupt(attempt, random, seconds, crash_count - landed)
        assert differences(expected, attempt.outcome()) == [], f"CRASH_SEED={seed}"
        attempts += 1
        assert attempts <= 10 + 2 * crash_count, "too few kills hit: the input is too small for this machine"


def _interrupt(attempt: Attempt, random: Random, seconds: float, most: int) -> int:
    """Kill and go on until the run is done; gives how many kills hit in the middle."""
    landed = 0
    while landed < most and not attempt.is_over():
        result = kill_at_random(attempt, random, seconds)
        assert result.killed or result.code == attempt.case.code, result
        landed += result.killed and attempt.lands()
    attempt.complete()
    return landed
