"""What the crash tests share: how a migration ends when nothing interrupts it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import monotonic

import pytest

from tests.crash.inputs import Case
from tests.crash.interrupting import Attempt
from tests.crash.outcome import Outcome

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All that stands here kills: `make crash` runs it, `make test` does not."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.crash)


Uninterrupted = Callable[[Case], tuple[Outcome, float]]


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Uninterrupted:
    """What a case leaves when nothing interrupts it, and the seconds it takes; worked out once a case."""
    known: dict[Case, tuple[Outcome, float]] = {}

    def work_out(case: Case) -> tuple[Outcome, float]:
        if case not in known:
            attempt = Attempt(case, tmp_path_factory.mktemp("uninterrupted"))
            began = monotonic()
            outcome = attempt.complete()
            known[case] = outcome, monotonic() - began
            assert len(outcome.kept) == case.windows
        return known[case]

    return work_out
