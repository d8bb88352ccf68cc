"""A run steered by keys on the real console; what the screen says is what the files say."""

from __future__ import annotations

import pytest

from tests.terminal.console import LONG, Open, Workspace, migration, said
from tests.terminal.pty_screen import PtyScreen

pytestmark = pytest.mark.terminal

FAILING = "fail@window.start:7*5"
"""Window 7 fails as often as it is tried (3 times), and twice more when it is retried."""


def at_work(console: Open, workspace: Workspace, faults: str = "", *options: str) -> PtyScreen:
    """A console with a long run in its middle."""
    screen = console(*migration(LONG, 20, *options), faults=faults)
    screen.wait_for("► running")
    screen.wait_until(lambda: workspace.committed > 10, "committed windows")
    return screen


def paused(screen: PtyScreen, workspace: Workspace) -> int:
    """Wait until the run is paused and nothing is active; windows that are committed then."""
    screen.wait_for("‖ paused")
    screen.wait_until(lambda: "running" not in workspace.windows, "no active window")
    return workspace.committed


def test_paused_means_that_nothing_new_starts(console: Open, workspace: Workspace) -> None:
    screen = at_work(console, workspace)
    screen.keys("p")
    screen.wait_for("no new window starts")
    done = paused(screen, workspace)
    # A program that starts, looks and ends: time enough for hundreds of windows.
    assert workspace.runs("show").code == 0
    assert workspace.committed == done
    assert "running" not in workspace.windows
    assert done < LONG / 20, "there is more to do"
    assert workspace.state == "paused"
    screen.wait_for("p Resume")
    screen.keys("p")
    screen.wait_for("► running")
    screen.wait_until(lambda: workspace.committed > done, "windows after the pause")


def test_a_failed_window_is_seen_opened_and_retried(console: Open, workspace: Workspace) -> None:
    screen = at_work(console, workspace, FAILING)
    screen.wait_for("✗ 1 failed")
    assert workspace.windows["failed"] == 1
    screen.keys("e")
    screen.wait_for("PROBLEM (latest first)")
    screen.wait_for("✗ failed")
    screen.wait_for("fault injected at window.start")
    screen.keys("enter")
    screen.wait_for("window 7")
    screen.wait_for("attempt 3 failed")
    screen.keys("escape")
    screen.wait_gone("attempt 3 failed")
    screen.keys("t")
    screen.wait_for("1 failed window will be done again")
    screen.wait_until(lambda: window(workspace, 7) == ("completed", 6), "window 7 at the sixth attempt")
    screen.wait_gone("✗ 1 failed")
    screen.wait_gone("↻ retrying")
    screen.wait_for("✓ completed")
    screen.wait_gone("✗ failed")


def test_all_failed_windows_are_retried_when_the_run_is_over(console: Open, workspace: Workspace) -> None:
    screen = console(*migration(1_000, 50), faults="fail@window.start:7*3;fail@window.start:9*3")
    screen.wait_for("2 failed")
    screen.wait_for("✓ completed")
    screen.keys("a")
    screen.wait_for("20 windows  ■ 20 completed")
    screen.keys("q")
    assert screen.wait_exit() == 0
    assert workspace.windows == {"completed": 20}
    assert workspace.rows == 1_000


def window(workspace: Workspace, number: int) -> tuple[str, int]:
    found = workspace.ask("SELECT state, attempt FROM windows WHERE number = ?", number)
    return (str(found[0][0]), int(found[0][1])) if found else ("", 0)


def test_quit_drains_and_the_named_command_resumes(console: Open, workspace: Workspace) -> None:
    screen = console(*migration(10_000))
    screen.wait_until(lambda: workspace.committed > 10, "committed windows")
    screen.keys("q")
    assert screen.wait_exit() == 1
    assert set(workspace.windows) <= {"completed", "pending"}, "what was active finishes"
    assert f"streamconsole runs resume {workspace.run}" in said(screen)
    done = workspace.committed
    assert workspace.windows["completed"] == done < 500
    again = console("runs", "resume", workspace.run)
    again.wait_for("✓ completed", 60)
    again.keys("q")
    assert again.wait_exit() == 0
    assert workspace.windows == {"completed": 500}
    assert workspace.committed == 500
    assert workspace.rows == 10_000


def test_the_dialog_says_what_has_to_finish_and_a_second_key_ends_at_once(console: Open, workspace: Workspace) -> None:
    screen = at_work(console, workspace, "hang@window.before_commit:40")
    screen.wait_until(lambda: window(workspace, 40)[0] == "running", "a window that hangs")
    screen.keys("q")
    screen.wait_for("Leaving")
    screen.wait_for(f"{workspace.run}: ")
    screen.wait_for("to finish")
    screen.keys("q")
    assert screen.wait_exit(10) == 1
    assert screen.echoes
    again = console()
    again.wait_for("interrupted")
    again.keys("p")
    again.wait_for("► running")


def test_workers_come_and_go(console: Open, workspace: Workspace) -> None:
    screen = at_work(console, workspace)
    screen.keys("+", "+")
    screen.wait_for("4 workers")
    screen.wait_until(lambda: {worker for (worker,) in working(workspace)} >= {3, 4}, "two more at work")
    screen.keys("-", "-", "-")
    screen.wait_for("workers " + workspace.run + ": 1 worker")


def working(workspace: Workspace) -> list[tuple[int]]:
    return workspace.ask("SELECT DISTINCT worker FROM windows WHERE worker IS NOT NULL")


def test_cancel_asks_first(console: Open, workspace: Workspace) -> None:
    screen = at_work(console, workspace)
    screen.keys("C")
    screen.wait_for(f"Cancel run {workspace.run}?")
    screen.keys("enter")
    screen.wait_gone("Cancel run")
    done = workspace.committed
    screen.wait_until(lambda: workspace.committed > done, "windows after a no")
    screen.keys("C")
    screen.wait_for("Cancel run")
    screen.keys("n")
    screen.wait_gone("Cancel run")
    assert workspace.state == "running"
    screen.keys("C")
    screen.wait_for("Cancel run")
    screen.keys("y")
    screen.wait_for("⊘ cancelled")
    assert workspace.state == "cancelled"
    assert workspace.windows["completed"] == workspace.committed
    screen.keys("p")
    screen.wait_for("nothing to resume")


def test_nothing_is_changed_by_who_only_looks(console: Open, workspace: Workspace) -> None:
    worker = at_work(console, workspace)
    screen = console("--read-only")
    screen.wait_for("[read-only]")
    screen.wait_for("► running")
    for key in ("p", "r", "s", "a", "C", "+"):
        screen.keys(key)
        screen.wait_for("read-only: nothing is changed")
    screen.keys("L")
    screen.wait_for("it stays locked")
    assert workspace.ask("SELECT count(*) FROM commands") == [(0,)]
    worker.keys("L")
    worker.wait_for("[read-only]")
    worker.keys("p")
    worker.wait_for("read-only: nothing is changed")
    worker.keys("L")
    worker.wait_for("unlocked")
    worker.keys("p")
    paused(worker, workspace)
    refused = console(*migration(), "--read-only")
    assert refused.wait_exit() == 2
    assert "--read-only changes nothing" in refused.text
