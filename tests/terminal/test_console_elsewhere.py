"""Steering from a second process, and consoles that share a workspace."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.terminal.console import LONG, Open, Workspace, migration, said
from tests.terminal.pty_screen import PtyScreen

pytestmark = pytest.mark.terminal


def at_work(console: Open, workspace: Workspace, faults: str = "") -> PtyScreen:
    screen = console(*migration(LONG), faults=faults)
    screen.wait_for("► running")
    screen.wait_until(lambda: workspace.committed > 10, "committed windows")
    return screen


def test_every_verb_from_another_terminal_is_obeyed_and_seen(console: Open, workspace: Workspace) -> None:
    screen = at_work(console, workspace, "fail@window.start:7*3")
    assert workspace.runs("pause").code == 0
    screen.wait_for("‖ paused")
    screen.wait_until(lambda: "running" not in workspace.windows, "no active window")
    done = workspace.committed
    assert workspace.runs("show").code == 0
    assert workspace.committed == done
    assert workspace.runs("resume").code == 0
    screen.wait_for("► running")
    screen.wait_for("✗ 1 failed")
    assert workspace.runs("retry", "--window", "7").code == 0
    screen.wait_gone("✗ 1 failed")
    assert workspace.runs("stop").code == 0
    screen.wait_for("stopped by an operator")
    assert workspace.ask("SELECT owner FROM runs") == [(None,)]
    screen.keys("p")
    screen.wait_for("► running")
    assert workspace.runs("cancel").code == 0
    screen.wait_for("⊘ cancelled")
    outcomes = workspace.ask("SELECT verb, state FROM commands ORDER BY id")
    assert outcomes == [(verb, "done") for verb in ("pause", "resume", "retry", "stop", "resume", "cancel")]


def test_a_held_run_is_refused_and_its_holder_named(console: Open, workspace: Workspace) -> None:
    screen = at_work(console, workspace)
    holder = f"pid {screen.process.pid}"
    second = console("migrate", "--resume", workspace.run)
    assert second.wait_exit() == 2
    text = " ".join(second.text.split())
    assert f"run {workspace.run} is held by" in text
    assert holder in text
    assert "\x1b[?1049h" not in second.raw.decode(), "said before a screen comes up"
    done = workspace.committed
    screen.wait_until(lambda: workspace.committed > done, "the holder goes on")


def test_a_second_console_shows_who_holds_a_run_and_steers_it(console: Open, workspace: Workspace) -> None:
    first = at_work(console, workspace)
    second = console(cols=140, rows=30)
    second.wait_for("► running")
    second.wait_for(f"pid {first.process.pid}")
    second.keys("enter")
    second.wait_for(f"running, held by {workspace.ask('SELECT host FROM nodes')[0][0]} pid {first.process.pid}")
    second.keys("p")
    second.wait_for("no new window starts")
    second.wait_for("‖ paused")
    first.wait_for("‖ paused")
    assert workspace.state == "paused"
    second.wait_until(lambda: f"■ {workspace.windows['completed']:,} completed" in second.text, "equal counts", 10)
    second.keys("p")
    first.wait_for("► running")


def test_a_killed_console_leaves_an_interrupted_run(console: Open, workspace: Workspace) -> None:
    onlooker = console()
    first = at_work(console, workspace)
    onlooker.wait_for("► running")
    first.process.kill()
    first.wait_exit()
    onlooker.wait_for("↯ interrupted")
    onlooker.keys("enter")
    onlooker.wait_for("its process died")
    onlooker.keys("p")
    onlooker.wait_for("► running")
    onlooker.keys("C")
    onlooker.wait_for("Cancel run")
    onlooker.keys("y")
    onlooker.wait_for("⊘ cancelled")
    assert workspace.windows["completed"] == workspace.committed


def test_an_empty_workspace_welcomes_and_wakes_up(console: Open, workspace: Workspace) -> None:
    screen = console()
    screen.wait_for("Next steps")
    screen.wait_for("streamconsole migrate customers.ndjson")
    screen.keys("p")
    screen.wait_for("no run is chosen")
    at_work(console, workspace)
    screen.wait_for("► running")
    screen.keys("q")
    assert screen.wait_exit() == 0


RUNBOOK = """\
[[migration]]
name = "users"
source = "generate://users?count=1000"
target = "sqlite:///target.db#t"
window_rows = 100

[[migration]]
name = "orders"
source = "generate://orders?count=1000"
target = "sqlite:///orders.db#orders"
"""


def test_a_runbook_is_shown_as_planned_and_started_by_key(console: Open, workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "streamconsole.toml").write_text(RUNBOOK)
    screen = console()
    screen.wait_until(lambda: screen.text.count("○ planned") == 2, "two planned runs")
    screen.wait_for("r Start")
    screen.wait_for("s Start 2 planned")
    assert workspace.windows == {}
    screen.keys("r")
    screen.wait_until(lambda: screen.text.count("✓ completed") == 1, "one of them done")
    assert workspace.rows == 1000
    screen.keys("s")
    screen.wait_until(lambda: screen.text.count("✓ completed") == 2, "both done")
    screen.keys("s")
    screen.wait_for("no run is planned")
    screen.keys("q")
    assert screen.wait_exit() == 0
    assert said(screen).count("1,000 rows") == 2
