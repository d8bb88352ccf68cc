"""Counts on the screen are counts in the store: while it runs, over pauses and retries, and at the end."""

from __future__ import annotations

import re

import pytest

from tests.terminal.console import Open, Workspace, migration
from tests.terminal.pty_screen import PtyScreen

pytestmark = pytest.mark.terminal

FAULTS = "fail@window.start:5*3;fail@window.start:30*3;fail@window.start:80*1"


def shown(screen: PtyScreen) -> dict[str, int]:
    """What the map's legend counts."""
    return {
        word: int(number.replace(",", ""))
        for number, word in re.findall(r"([\d,]+) (pending|running|retrying|completed|failed)\b", legend(screen))
    }


def legend(screen: PtyScreen) -> str:
    return next((line for line in screen.lines if re.match(r" [\d,]+ windows", line)), "")


def agree(screen: PtyScreen, workspace: Workspace) -> None:
    screen.wait_until(lambda: shown(screen) == workspace.windows != {}, f"counts as in the store {workspace.windows}")
    rows = workspace.ask("SELECT sum(rows_written) FROM windows")[0][0]
    screen.wait_for(f"{rows:,} rows")


def test_they_agree_over_pause_retry_and_resume_here_and_from_elsewhere(console: Open, workspace: Workspace) -> None:
    screen = console(*migration(20_000), faults=FAULTS, rows=30, cols=140)
    screen.wait_until(lambda: workspace.committed > 100, "committed windows")
    onlooker = console(rows=30, cols=140)
    onlooker.wait_for("► running")
    onlooker.keys("enter")
    for _ in range(2):
        screen.wait_for("► running")
        screen.keys("p")
        screen.wait_for("‖ paused")
        screen.wait_until(lambda: "running" not in workspace.windows, "no active window")
        agree(screen, workspace)
        agree(onlooker, workspace)
        done = workspace.committed
        screen.keys("p")
        screen.wait_until(lambda: workspace.committed > done, "more windows")  # noqa: B023
    screen.wait_until(lambda: workspace.state == "completed", "the end", 60)
    assert workspace.windows == {"completed": 998, "failed": 2}
    agree(screen, workspace)
    agree(onlooker, workspace)
    onlooker.keys("a")
    screen.wait_until(lambda: workspace.windows == {"completed": 1000}, "retried by the other one")
    agree(onlooker, workspace)
    agree(screen, workspace)
    assert workspace.rows == 20_000
