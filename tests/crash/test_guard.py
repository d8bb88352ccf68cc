"""The comparison itself: a program whose ledger commits apart from the rows is found out."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.crash.conftest import Uninterrupted
from tests.crash.inputs import CUSTOMERS, HOSTILE, Case
from tests.crash.interrupting import Attempt
from tests.crash.outcome import differences

BROKEN = Path(__file__).with_name("broken_program.py")


@pytest.mark.parametrize("case", [CUSTOMERS, HOSTILE], ids=["real data", "hostile data"])
@pytest.mark.parametrize("order", ["ledger first", "rows first"])
def test_a_broken_guarantee_is_noticed(order: str, case: Case, tmp_path: Path, uninterrupted: Uninterrupted) -> None:
    attempt = Attempt(case, tmp_path, program=(sys.executable, str(BROKEN), order))
    assert attempt.go("kill@broken.between:12").killed
    assert attempt.lands()
    attempt.go()
    found = differences(uninterrupted(case)[0], attempt.outcome())
    lost = [line for line in found if line.startswith("row lost")]
    assert found
    assert bool(lost) == (order == "ledger first")


def test_a_broken_program_does_no_harm_while_nobody_kills_it(tmp_path: Path, uninterrupted: Uninterrupted) -> None:
    """What the test above finds is the kill's doing, not the runner's."""
    attempt = Attempt(CUSTOMERS, tmp_path, program=(sys.executable, str(BROKEN), "rows first"))
    assert differences(uninterrupted(CUSTOMERS)[0], attempt.complete()) == []
