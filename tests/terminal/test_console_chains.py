"""Migrations that wait for others, on the real console: shown as waiting, begun by themselves when they may."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.terminal.console import Open, Workspace, said
from tests.terminal.pty_screen import PtyScreen

pytestmark = pytest.mark.terminal


def entry(name: str, source: str, target: str, *more: str, after: tuple[str, ...] = ()) -> str:
    lines = ("[[migration]]", f'name = "{name}"', f'source = "{source}"', f'target = "{target}"', *more)
    return "\n".join((*lines, f"after = {json.dumps(after)}")) + "\n\n"


CHAIN = (
    entry("raw", "generate://orders?count=200", "sqlite:///raw.db#raw", "window_rows = 10", "workers = 1")
    + entry("dump", "sqlite:///raw.db#raw", "middle.ndjson", after=("raw",))
    + entry("whole", "sqlite:///raw.db", "sqlite:///whole.db", 'tables = "all"', after=("dump",))
)


def opened(console: Open, folder: Path, book: str, faults: str = "") -> PtyScreen:
    (folder / "streamconsole.toml").write_text(book)
    return console(faults=faults)


def state_of(workspace: Workspace, name: str) -> str:
    found = workspace.ask("SELECT state FROM runs WHERE name = ? ORDER BY created_at DESC", name)
    return str(found[0][0]) if found else ""


def test_a_chain_begins_link_by_link(console: Open, workspace: Workspace, tmp_path: Path) -> None:
    screen = opened(console, tmp_path, CHAIN)
    screen.wait_until(lambda: screen.text.count("◷ waiting") == 2, "two that wait")
    screen.wait_for("r Start")
    assert not (tmp_path / "raw.db").exists()
    screen.keys("s")
    screen.wait_until(lambda: state_of(workspace, "whole.raw") == "completed", "the last of them, done", 60)
    screen.wait_until(lambda: screen.text.count("✓ completed") == 3, "all three done")
    screen.wait_gone("◷ waiting")
    assert [name for (name,) in workspace.ask("SELECT name FROM runs ORDER BY started_at")] == [
        "raw",
        "dump",
        "whole.raw",
    ]
    assert workspace.ask("SELECT count(*) FROM commands") == [(1,)], "only the first was begun by a key"
    screen.keys("q")
    assert screen.wait_exit() == 0
    assert said(screen).count("200 rows") == 3


def test_a_failed_window_holds_back_until_its_retry_is_done(
    console: Open, workspace: Workspace, tmp_path: Path
) -> None:
    screen = opened(console, tmp_path, CHAIN, "fail@window.start:7*3")
    screen.wait_until(lambda: screen.text.count("◷ waiting") == 2, "two that wait")
    screen.keys("s")
    screen.wait_until(lambda: workspace.windows.get("failed") == 1, "a failed window")
    screen.wait_until(lambda: state_of(workspace, "raw") == "completed", "the end of the first")
    screen.wait_for("✓ completed")
    assert screen.text.count("◷ waiting") == 2
    raw = str(workspace.ask("SELECT id FROM runs WHERE name = 'raw'")[0][0])
    assert workspace.runs("retry", run_id=raw).code == 0
    screen.wait_until(lambda: screen.text.count("✓ completed") == 3, "all three done", 60)


def test_what_is_paused_holds_back_and_a_key_says_so(console: Open, workspace: Workspace, tmp_path: Path) -> None:
    slow = CHAIN.replace("count=200", "count=4000").replace("window_rows = 10", 'window_rows = 10\nrate = "20 rows/s"')
    screen = opened(console, tmp_path, slow)
    screen.wait_until(lambda: screen.text.count("◷ waiting") == 2, "two that wait")
    screen.keys("s")
    screen.wait_for("► running")
    raw = str(workspace.ask("SELECT id FROM runs WHERE name = 'raw'")[0][0])
    dump = str(workspace.ask("SELECT id FROM runs WHERE name = 'dump'")[0][0])
    assert workspace.runs("pause", run_id=raw).code == 0
    screen.wait_for("‖ paused")
    screen.keys("home")
    for _ in range(3):
        screen.wait_quiet()
        if f"{dump}  waits for raw: {raw} is paused" in screen.text:
            break
        screen.keys("down")
    screen.keys("r")
    screen.wait_for("it begins by itself then")
    assert state_of(workspace, "dump") == "planned"
    assert workspace.runs("rate", "none", run_id=raw).code == 0
    assert workspace.runs("resume", run_id=raw).code == 0
    screen.wait_until(lambda: screen.text.count("✓ completed") == 3, "all three done", 90)


def test_a_locked_console_begins_nothing_until_it_is_unlocked(
    console: Open, workspace: Workspace, tmp_path: Path
) -> None:
    screen = opened(console, tmp_path, CHAIN)
    screen.wait_until(lambda: screen.text.count("◷ waiting") == 2, "two that wait")
    raw = str(workspace.ask("SELECT id FROM runs WHERE name = 'raw'")[0][0])
    screen.keys("L")
    screen.wait_for("[read-only]")
    assert workspace.runs("resume", run_id=raw).code == 0
    screen.wait_until(lambda: screen.text.count("◷ waiting") == 1, "one that need not wait")
    assert state_of(workspace, "dump") == "planned"
    screen.keys("L")
    screen.wait_until(lambda: screen.text.count("✓ completed") == 3, "all three done", 60)


def test_what_was_done_before_is_left_to_the_operator(console: Open, workspace: Workspace, tmp_path: Path) -> None:
    screen = opened(console, tmp_path, CHAIN)
    screen.wait_until(lambda: screen.text.count("◷ waiting") == 2, "two that wait")
    screen.keys("q")
    assert screen.wait_exit() == 0
    raw = str(workspace.ask("SELECT id FROM runs WHERE name = 'raw'")[0][0])
    assert workspace.runs("resume", run_id=raw).code == 0
    again = console()
    again.wait_until(lambda: again.text.count("◷ waiting") == 1, "one that waits")
    # A program that starts, looks and ends: time enough to begin.
    assert workspace.runs("show", run_id=raw).code == 0
    assert state_of(workspace, "dump") == "planned"
    again.keys("s")
    again.wait_until(lambda: again.text.count("✓ completed") == 3, "all three done", 60)


def test_a_chain_goes_on_when_the_terminal_is_lost(console: Open, workspace: Workspace, tmp_path: Path) -> None:
    slow = CHAIN.replace("window_rows = 10", 'window_rows = 10\nrate = "200 rows/s"')
    screen = opened(console, tmp_path, slow)
    screen.wait_until(lambda: screen.text.count("◷ waiting") == 2, "two that wait")
    screen.keys("s")
    screen.wait_for("► running")
    screen.hang_up()
    screen.wait_exit(60)
    assert state_of(workspace, "whole.raw") == "completed"
