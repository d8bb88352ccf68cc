"""A console on which nothing changes costs nothing, and many windows do not slow its keys."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from statistics import median
from time import monotonic

import pytest

from tests.program import run
from tests.terminal.console import LONG, WORKSPACE, Open, Workspace, migration
from tests.terminal.pty_screen import PtyScreen

pytestmark = [pytest.mark.terminal, pytest.mark.alone]

SECONDS = 4.0


def test_a_paused_run_costs_no_byte_and_hardly_any_time(console: Open, workspace: Workspace) -> None:
    screen = console(*migration(LONG))
    screen.wait_until(lambda: workspace.committed > 10, "committed windows")
    screen.keys("p")
    screen.wait_for("‖ paused")
    screen.wait_until(lambda: "running" not in workspace.windows, "no active window")
    quiet(screen)


def test_a_finished_run_and_an_overview_cost_nothing(console: Open) -> None:
    screen = console(*migration(400))
    screen.wait_for("✓ completed")
    screen.keys("1")
    screen.wait_for("No queues yet")
    quiet(screen)


def quiet(screen: PtyScreen) -> None:
    """Nothing is sent for some seconds, and the processor rests."""
    screen.wait_quiet(1.5)
    begun, used, sent = monotonic(), screen.cpu_seconds, screen.bytes_read
    screen.wait_until(lambda: monotonic() - begun >= SECONDS, "time passed")
    assert screen.bytes_read == sent
    # Clock ticks are hundredths of a second: two of them are within the error.
    assert screen.cpu_seconds - used <= 0.01 * SECONDS + 0.02


MANY = 20_000


def test_keys_answer_while_20_000_windows_are_read_again_and_again(
    console: Open, workspace: Workspace, tmp_path: Path
) -> None:
    assert run(*migration(40), "--workspace", WORKSPACE, "--no-ui", cwd=tmp_path).code == 0
    multiply(tmp_path / WORKSPACE, workspace.run)
    screen = console()
    screen.wait_for("✓ completed")
    screen.keys("enter")
    screen.wait_for(f"{MANY:,} windows")
    with closing(sqlite3.connect(tmp_path / WORKSPACE, timeout=10, isolation_level=None)) as connection:
        times = [answered(screen, number, connection) for number in range(40)]
    # Reading from a pty and polling for the answer takes up to 50 ms by itself.
    assert median(times) <= 0.15, sorted(times)
    assert max(times) <= 0.5, sorted(times)


def answered(screen: PtyScreen, number: int, connection: sqlite3.Connection) -> float:
    """Seconds from a key to its answer, with the run changed by somebody else in front of each."""
    connection.execute("UPDATE windows SET attempt = attempt + 1 WHERE number = ?", (number + 1,))
    connection.execute("UPDATE runs SET epoch = epoch + 1")
    title, key = (("PROBLEM (latest", "e"), ("WORKER", "e"))[number % 2]
    begun = monotonic()
    screen.keys(key)
    screen.wait_for(title)
    return monotonic() - begun


def multiply(path: Path, run_id: str) -> None:
    """Give a run very many windows."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM windows WHERE number > 1")
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
            "INSERT INTO windows (run, number, lo, hi, first_row, rows, state, worker, attempt, rows_read, "
            "rows_written, rejects, started_at, finished_at) "
            "SELECT run, i, i * 10, i * 10 + 10, i * 10, 10, state, 1 + i % 2, 1, 10, 10, 0, started_at, finished_at "
            "FROM n, windows WHERE run = ?",
            (MANY, run_id),
        )
        connection.commit()
