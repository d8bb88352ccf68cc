"""The real console on terminals that stall, vanish, shrink or signal: the work goes on, or ends in order.

`STREAMCONSOLE_STALL` says for how many seconds nobody reads the terminal (8 unless set; CI sets 30).
"""

from __future__ import annotations

import os
import signal
from itertools import pairwise
from pathlib import Path
from time import monotonic

import pytest

from tests.program import run, wait_until
from tests.terminal.console import LONG, Open, Workspace, migration, said
from tests.terminal.pty_screen import PtyScreen

pytestmark = pytest.mark.terminal

STALL = float(os.environ.get("STREAMCONSOLE_STALL", "8"))

RESTORED = "\x1b[?1049l"


def at_work(console: Open, workspace: Workspace, rows: int, *options: str, faults: str = "") -> PtyScreen:
    screen = console(*migration(rows, 20, *options), faults=faults)
    screen.wait_for("► running")
    screen.wait_until(lambda: workspace.committed > 10, "committed windows")
    return screen


def longest_gap(workspace: Workspace) -> float:
    """Seconds, the longest in which no window was committed."""
    times = [at / 1000 for (at,) in workspace.ask("SELECT finished_at FROM windows ORDER BY finished_at")]
    return max(later - earlier for earlier, later in pairwise(times))


@pytest.mark.alone
def test_the_run_goes_on_and_ends_behind_a_terminal_that_nobody_reads(console: Open, workspace: Workspace) -> None:
    rows = int(STALL * 7_000)
    screen = at_work(console, workspace, rows)
    screen.stop_reading()
    begun = monotonic()
    screen.wait_until(lambda: monotonic() - begun > STALL, "time passed", STALL + 5)
    assert workspace.committed > 20 * STALL
    screen.wait_until(lambda: workspace.state == "completed", "the end of the run", 10 * STALL)
    assert longest_gap(workspace) <= 1.0
    screen.resume_reading()
    screen.wait_for("✓ completed")
    screen.wait_for(f"{rows:,} rows")
    screen.keys("q")
    assert screen.wait_exit() == 0
    assert workspace.rows == rows


def test_without_its_terminal_the_run_goes_on_to_its_end(console: Open, workspace: Workspace) -> None:
    screen = at_work(console, workspace, 8_000)
    screen.hang_up()
    assert screen.wait_exit(60) == 0
    assert workspace.state == "completed"
    assert workspace.rows == 8_000


def test_a_paused_run_does_not_keep_a_console_without_terminal(console: Open, workspace: Workspace) -> None:
    screen = at_work(console, workspace, LONG)
    screen.keys("p")
    screen.wait_for("‖ paused")
    screen.hang_up()
    assert screen.wait_exit() == 1
    assert workspace.ask("SELECT state, owner FROM runs") == [("paused", None)]


def test_without_its_terminal_the_run_drains_when_asked_to(console: Open, workspace: Workspace) -> None:
    screen = at_work(console, workspace, LONG, "--on-hangup", "drain")
    screen.hang_up()
    assert screen.wait_exit() == 128 + signal.SIGHUP
    assert workspace.ask("SELECT state, owner FROM runs") == [("paused", None)]
    assert workspace.windows["completed"] == workspace.committed < LONG / 20
    assert "running" not in workspace.windows


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_signal_drains_restores_and_can_be_resumed(
    number: signal.Signals, console: Open, workspace: Workspace, tmp_path: Path
) -> None:
    screen = at_work(console, workspace, 6_000)
    screen.signal(number)
    assert screen.wait_exit() == 128 + number
    restored(screen)
    assert workspace.ask("SELECT state, owner FROM runs") == [("paused", None)]
    assert "running" not in workspace.windows
    command = f"streamconsole runs resume {workspace.run}"
    assert command in said(screen)
    resumed = run("runs", "resume", workspace.run, "--workspace", "w.db", "--no-ui", cwd=tmp_path)
    assert resumed.code == 0, resumed
    assert workspace.rows == 6_000


def test_ctrl_c_drains_also_from_within_a_dialog(console: Open, workspace: Workspace) -> None:
    screen = at_work(console, workspace, LONG)
    screen.keys("?")
    screen.wait_for("do all failed windows again")
    screen.keys("ctrl+c")
    assert screen.wait_exit() == 1
    restored(screen)
    assert workspace.state == "paused"
    assert "running" not in workspace.windows


def test_a_second_signal_ends_it_at_once(console: Open, workspace: Workspace) -> None:
    screen = at_work(console, workspace, LONG, faults="hang@window.before_commit:40")
    screen.wait_until(
        lambda: workspace.ask("SELECT state FROM windows WHERE number = 40") == [("running",)], "a window that hangs"
    )
    screen.signal(signal.SIGTERM)
    screen.wait_for("Leaving")
    screen.signal(signal.SIGTERM)
    assert screen.wait_exit(10) == 128 + signal.SIGTERM
    restored(screen)


def test_an_error_of_the_program_is_one_line_and_leaves_the_terminal_whole(
    console: Open, workspace: Workspace, tmp_path: Path
) -> None:
    screen = console(*migration(LONG), faults="fail@console.tick")
    assert screen.wait_exit() == 3
    restored(screen)
    assert said(screen).startswith("streamconsole: the console stopped by an error of this program (InjectedFault)")
    assert "Traceback" not in screen.raw.decode()
    assert "locals" not in screen.raw.decode()
    log = tmp_path / "error-console.log"
    assert "fault injected at console.tick" in log.read_text()
    assert log.stat().st_mode & 0o077 == 0
    wait_until(lambda: workspace.ask("SELECT owner FROM runs") == [(None,)], "the run is released")


def restored(screen: PtyScreen) -> None:
    """The terminal is a shell's again."""
    assert screen.echoes
    after = screen.raw.decode().rpartition(RESTORED)
    assert after[1], "left the alternate screen"
    assert "\x1b[?25h" in screen.raw.decode().rpartition("\x1b[?1049h")[2]
    assert "\x1b[?1049h" not in after[2]


def test_it_fits_80_by_24_and_60_by_16_and_says_when_it_does_not(console: Open, workspace: Workspace) -> None:
    screen = at_work(console, workspace, LONG)
    for rows, cols in ((24, 80), (16, 60), (48, 160), (24, 80)):
        screen.resize(rows, cols)
        screen.wait_for("q Quit")
        screen.wait_until(lambda: whole(screen), f"a whole picture at {cols}x{rows}")
    screen.resize(15, 59)
    screen.wait_for("too small")
    screen.keys("p", "C", "y", "1")
    done = workspace.committed
    screen.wait_until(lambda: workspace.committed > done, "work behind a small terminal")
    assert workspace.ask("SELECT count(*) FROM commands") == [(0,)]
    screen.resize(16, 60)
    screen.wait_gone("too small")
    screen.wait_for("q Quit")
    screen.resize(10, 30)
    screen.wait_for("too small")
    screen.keys("q")
    assert screen.wait_exit() == 1
    assert workspace.state == "paused"


def whole(screen: PtyScreen) -> bool:
    """Everything an operator needs is there: title, run, map with legend, workers, keys."""
    lines = screen.lines
    parts = ("Stream Console", "► running", "windows", "WORKER", "ETA")
    return all(part in screen.text for part in parts) and "q Quit" in lines[-1]
