"""SIGKILL at every named point of a window's life."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.conftest import Uninterrupted
from tests.crash.inputs import (
    APPENDED,
    APPENDED_TO_FILE,
    CLUSTER,
    CUSTOMERS,
    FILE_TO_FILE,
    HOSTILE,
    REPLACED,
    REPLACED_FILE,
    TABLE,
    TO_ARRAY,
    TO_CSV,
    TRANSFORMED,
    UPSERTED,
    Case,
)
from tests.crash.interrupting import Attempt
from tests.crash.outcome import differences, dump, table_rows

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


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_a_point_loses_nothing(point: str, tmp_path: Path, uninterrupted: Uninterrupted) -> None:
    attempt = Attempt(CUSTOMERS, tmp_path)
    assert attempt.go(f"kill@{point}:12").killed
    assert attempt.lands()
    assert differences(uninterrupted(CUSTOMERS)[0], attempt.complete()) == []


@pytest.mark.parametrize(
    "case",
    [
        HOSTILE,
        FILE_TO_FILE,
        APPENDED,
        UPSERTED,
        REPLACED,
        CLUSTER,
        TO_CSV,
        TO_ARRAY,
        APPENDED_TO_FILE,
        REPLACED_FILE,
        TABLE,
        TRANSFORMED,
    ],
    ids=lambda case: f"{case.source.rpartition('/')[2]} {case.target} {' '.join(case.options)}".strip(),
)
def test_one_run_killed_at_every_point_in_turn(case: Case, tmp_path: Path, uninterrupted: Uninterrupted) -> None:
    attempt = Attempt(case, tmp_path)
    points = POINTS if case in (HOSTILE, FILE_TO_FILE) else POINTS[3:6]
    for number, point in enumerate(points, start=1):
        window = number * case.windows // (len(points) + 1)
        assert attempt.go(f"kill@{point}:{window}").killed, point
        assert attempt.lands(), point
    assert differences(uninterrupted(case)[0], attempt.complete()) == []


@pytest.mark.parametrize("point", ["target.before_join", "target.after_join"])
@pytest.mark.parametrize("case", [APPENDED_TO_FILE, REPLACED_FILE, TO_CSV], ids=["append", "replace", "csv"])
def test_a_kill_while_parts_are_joined(case: Case, point: str, tmp_path: Path, uninterrupted: Uninterrupted) -> None:
    attempt = Attempt(case, tmp_path)
    assert attempt.go(f"kill@{point}").killed
    assert differences(uninterrupted(case)[0], attempt.complete()) == []


def test_a_kill_in_the_swap_of_a_replaced_table(tmp_path: Path, uninterrupted: Uninterrupted) -> None:
    attempt = Attempt(REPLACED, tmp_path)
    assert attempt.go("kill@target.before_swap").killed
    assert [row for row in table_rows(attempt.target, "t")[1] if "old" in row], "the old table stays until the commit"
    assert differences(uninterrupted(REPLACED)[0], attempt.complete()) == []


@pytest.mark.parametrize("point", ["window.after_claim", "window.after_write", "window.before_commit"])
def test_a_child_that_dies_at_a_point_costs_no_restart(
    point: str, tmp_path: Path, uninterrupted: Uninterrupted
) -> None:
    attempt = Attempt(CLUSTER, tmp_path)
    # Three children, each of which dies once; the fourth knows the window, too.
    result = attempt.go(f"kill-child@{point}:12;kill-child@{point}:70")
    assert result.code in (0, 1), result
    assert "a child process died" in result.err
    assert "replaced" in result.err
    failed = [values for values in attempt.outcome().kept.values() if values[0] != "completed"]
    if failed:
        assert attempt.retry().code == attempt.case.code
    assert differences(uninterrupted(CLUSTER)[0], attempt.outcome()) == []


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
