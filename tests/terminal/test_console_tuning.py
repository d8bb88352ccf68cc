"""Workers and limit, turned in one console or another terminal, are seen in every console."""

from __future__ import annotations

import pytest

from tests.terminal.console import LONG, Open, Workspace, migration
from tests.terminal.pty_screen import PtyScreen

pytestmark = pytest.mark.terminal


def at_work(console: Open, workspace: Workspace, *options: str) -> PtyScreen:
    screen = console(*migration(LONG, 20, *options))
    screen.wait_for("► running")
    screen.wait_until(lambda: workspace.committed > 10, "committed windows")
    return screen


def onlooker(console: Open) -> PtyScreen:
    screen = console(cols=140, rows=30)
    screen.wait_for("► running")
    screen.keys("enter")
    screen.wait_for("held by")
    return screen


def test_the_limit_is_asked_for_set_and_lifted(console: Open, workspace: Workspace) -> None:
    screen = at_work(console, workspace)
    screen.keys("m")
    screen.wait_for(f"How fast may {workspace.run} go")
    screen.wait_for("  none  ")
    # What stands there is selected: typing replaces it.
    screen.keys("20k")
    screen.wait_for("  20k  ")
    screen.keys("enter")
    screen.wait_for("must say 20k of what")
    screen.keys("backspace")
    screen.wait_gone("  20k  ")
    screen.wait_for("  20  ")
    screen.keys(" rows/s")
    screen.wait_for("  20 rows/s  ")
    screen.keys("enter")
    screen.wait_for(f"rate {workspace.run}: limit 20 rows/s")
    screen.wait_gone("How fast may")
    screen.wait_for("2 workers  limit 20 rows/s")
    screen.wait_until(lambda: workspace.windows.get("running", 0) == 0, "workers that wait")
    begun = workspace.committed
    # Windows have 20 rows: looking takes about a second, in which one or two begin instead of hundreds.
    assert workspace.runs("show").code == 0
    assert workspace.committed - begun <= 5
    assert workspace.runs("rate", "none").code == 0
    screen.wait_gone("2 workers  limit 20 rows/s")
    screen.wait_until(lambda: workspace.committed > begun + 20, "windows without a limit")
    screen.keys("m")
    screen.wait_for("How fast may")
    screen.keys("escape")
    screen.wait_gone("How fast may")
    assert [verb for (verb,) in workspace.ask("SELECT verb FROM commands ORDER BY id")] == ["rate", "rate"]


def test_a_second_console_sees_and_turns_workers_and_limit(console: Open, workspace: Workspace) -> None:
    first = at_work(console, workspace, "--rate", "1k rows/s")
    second = onlooker(console)
    second.wait_for("2 workers  limit 1,000 rows/s")
    first.keys("+", "+", "+")
    first.wait_for("5 workers")
    second.wait_for("5 workers")
    second.keys("-", "-")
    first.wait_for("3 workers  limit")
    second.wait_for("3 workers  limit")
    second.keys("m")
    second.wait_for("  1000 rows/s  ")
    second.keys("none", "enter")
    second.wait_gone("3 workers  limit 1,000")
    first.wait_gone("3 workers  limit 1,000")
    assert workspace.runs("workers", "7").code == 0
    first.wait_for("7 workers")
    second.wait_for("7 workers")
    refused = workspace.runs("rate", "fast")
    assert refused.code == 2
    assert "must be a rate like 5000rows/s or 20MB/s" in refused.err
