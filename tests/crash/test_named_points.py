"""SIGKILL at every named point of a window's life."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.conftest import Uninterrupted
from tests.crash.inputs import CUSTOMERS, FILE_TO_FILE, HOSTILE, Case
from tests.crash.interrupting import Attempt
from tests.crash.outcome import differences, dump

POINTS = (
    "window.start",
    "window.before_claim",
    "window.after_claim",
    "window.after_write",
    "window.before_commit",
    "window.after_commit",
    "window.before_ledger",
    "window.after_ledger",
)

pytestmark = pytest.mark.crash


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_a_point_loses_nothing(point: str, tmp_path: Path, uninterrupted: Uninterrupted) -> None:
    attempt = Attempt(CUSTOMERS, tmp_path)
    assert attempt.go(f"kill@{point}:12").killed
    assert attempt.lands()
    assert differences(uninterrupted(CUSTOMERS)[0], attempt.complete()) == []


@pytest.mark.parametrize("case", [HOSTILE, FILE_TO_FILE], ids=["hostile data", "to a file"])
def test_one_run_killed_at_every_point_in_turn(case: Case, tmp_path: Path, uninterrupted: Uninterrupted) -> None:
    attempt = Attempt(case, tmp_path)
    for number, point in enumerate(POINTS, start=1):
        window = number * case.windows // (len(POINTS) + 1)
        assert attempt.go(f"kill@{point}:{window}").killed, point
        assert attempt.lands(), point
    assert differences(uninterrupted(case)[0], attempt.complete()) == []


def test_a_second_restart_changes_nothing(tmp_path: Path, uninterrupted: Uninterrupted) -> None:
    attempt = Attempt(HOSTILE, tmp_path)
    assert attempt.go("kill@window.before_commit:70").killed
    assert attempt.lands()
    assert differences(uninterrupted(HOSTILE)[0], attempt.complete()) == []
    before = dump(attempt.target, attempt.workspace)
    again = attempt.go()
    assert again.code == 2, again
    assert "completed: there is nothing to resume" in again.err
    assert dump(attempt.target, attempt.workspace) == before


def test_a_kill_before_the_parts_are_joined(tmp_path: Path, uninterrupted: Uninterrupted) -> None:
    attempt = Attempt(FILE_TO_FILE, tmp_path)
    assert attempt.go("kill@target.before_join").killed
    assert not attempt.target.exists(), "a file that is not whole must not bear the name"
    assert differences(uninterrupted(FILE_TO_FILE)[0], attempt.complete()) == []
    assert sorted(path.name for path in tmp_path.glob("target*")) == ["target.ndjson"]
