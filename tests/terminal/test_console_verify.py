"""A completed run verified from the console: how far it is, what came of it, and which rows differ."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.program import run
from tests.terminal.console import TARGET, Open, Workspace, migration
from tests.terminal.pty_screen import PtyScreen

pytestmark = pytest.mark.terminal


def moved(workspace: Workspace, *options: str) -> str:
    """The id of a migration that was completed elsewhere."""
    arguments = (*migration(3_000, 20), "--no-ui", "--workspace", "w.db", *options)
    assert run(*arguments, cwd=workspace.folder).code == 0
    return workspace.run


def change(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / TARGET)) as connection:
        connection.execute(statement)
        connection.commit()


def on_it(console: Open, cols: int = 80) -> PtyScreen:
    screen = console(cols=cols)
    screen.wait_for("completed")
    screen.keys("2")
    screen.wait_for("v Verify")
    return screen


def test_equal_sides(console: Open, workspace: Workspace) -> None:
    verified = moved(workspace)
    screen = on_it(console)
    screen.keys("v")
    screen.wait_for("rows compared  in")
    screen.wait_for("equal")
    (found,) = workspace.ask("SELECT id, state FROM runs WHERE id LIKE 'verify-%'")
    assert found[1] == "completed"
    # Back on the run itself: what its verification says stands there, too; and in another console.
    other = console(cols=120)
    other.wait_for("completed")
    other.keys("2")
    for each in (screen, other):
        each.keys("escape", "end")
        each.wait_for(f"{verified}  completed")
        each.wait_for("verified: equal")


def test_differences_are_counted_and_named(console: Open, workspace: Workspace) -> None:
    moved(workspace)
    change(workspace.folder, "UPDATE t SET status = 'broken' WHERE id = 50")
    change(workspace.folder, "DELETE FROM t WHERE id = 1000")
    screen = on_it(console, cols=120)
    screen.keys("v")
    screen.wait_for("2 rows differ in 2 windows")
    screen.wait_for("x Differences")
    screen.keys("x")
    screen.wait_for("rows that differ")
    screen.wait_for("target status='broken'")
    screen.wait_for("missing in the target")


def test_a_run_that_asks_for_it_is_verified_at_its_end(console: Open, workspace: Workspace) -> None:
    screen = console(*migration(3_000, 20, "--verify"), cols=120)
    screen.wait_for("verified: equal")
    assert [state for (state,) in workspace.ask("SELECT state FROM runs")] == ["completed"] * 2


def test_a_locked_console_verifies_nothing(console: Open, workspace: Workspace) -> None:
    moved(workspace)
    screen = on_it(console)
    screen.keys("L", "v")
    screen.wait_for("nothing is changed")
    assert len(workspace.ask("SELECT id FROM runs")) == 1


def test_a_verification_that_was_stopped_goes_on(console: Open, workspace: Workspace) -> None:
    moved(workspace)
    killed = run(
        "verify", workspace.run, "--no-ui", "--workspace", "w.db", cwd=workspace.folder, faults="kill@verify.start:9"
    )
    assert killed.killed
    screen = console(cols=120)
    screen.wait_for("completed")
    screen.keys("2", "end")
    screen.wait_for("v Verify")
    screen.keys("v")
    screen.wait_for("rows compared  in")
    screen.wait_for("equal")
    assert len(workspace.ask("SELECT id FROM runs")) == 2
