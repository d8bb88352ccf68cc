"""Refused rows replayed by a key, with the mapping that the runbook has by then."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.terminal.console import Open, Workspace

pytestmark = pytest.mark.terminal

BOOK = '[[migration]]\nname = "people"\nsource = "s.ndjson"\ntarget = "sqlite:///target.db#t"\nmode = "append"\n'
ROWS = 60


def prepare(folder: Path) -> None:
    """Rows of which every tenth has a text where the table wants a whole number."""
    lines = [f'{{"_id":{n},"v":{n if n % 10 else chr(34) + "x" + chr(34)}}}\n' for n in range(ROWS)]
    (folder / "s.ndjson").write_text("".join(lines))
    (folder / "book.toml").write_text(BOOK)
    with closing(sqlite3.connect(folder / "target.db")) as connection:
        connection.execute("CREATE TABLE t (_id INTEGER PRIMARY KEY, v INTEGER)")


@pytest.mark.parametrize("from_list", [False, True])
def test_refused_rows_are_replayed_by_a_key(console: Open, workspace: Workspace, from_list: bool) -> None:
    prepare(workspace.folder)
    screen = console("book.toml")
    screen.wait_for("r Start")
    screen.keys("r")
    screen.wait_for("R Replay")
    screen.wait_for("R Replay")
    moved = workspace.run
    (workspace.folder / "book.toml").write_text(BOOK + "[migration.columns]\nv = { drop = true }\n")
    if from_list:
        screen.keys("x")
        screen.wait_for("the column is integer")
    screen.keys("R")
    screen.wait_for("Replay 6 refused rows")
    screen.wait_for("book.toml")
    screen.keys("n")
    screen.wait_gone("Replay 6 refused rows")
    assert workspace.ask("SELECT count(*) FROM runs") == [(1,)]
    screen.keys("R", "y")
    screen.wait_for("6 rows of 6 that were refused written")
    screen.wait_gone("6 refused")
    assert workspace.rows == ROWS
    assert workspace.ask("SELECT count(*) FROM rejects") == [(0,)]
    assert workspace.ask("SELECT sum(rows_written), sum(rejects) FROM windows WHERE run = ?", moved) == [(ROWS, 0)]
    screen.keys("R")
    screen.wait_for("no row is refused")


def test_a_locked_console_replays_nothing(console: Open, workspace: Workspace) -> None:
    prepare(workspace.folder)
    screen = console("book.toml")
    screen.wait_for("r Start")
    screen.keys("r")
    screen.wait_for("R Replay")
    screen.keys("L", "R")
    screen.wait_for("read-only: nothing is changed")
    assert workspace.ask("SELECT count(*) FROM runs") == [(1,)]


def test_what_stays_refused_is_told(console: Open, workspace: Workspace) -> None:
    prepare(workspace.folder)
    screen = console("book.toml", rows=48, cols=160)
    screen.wait_for("r Start")
    screen.keys("r")
    screen.wait_for("R Replay")
    screen.keys("R", "y")
    screen.wait_for("0 rows of 6 that were refused written, 6 rows refused")
    assert workspace.rows == ROWS - 6
    assert workspace.ask("SELECT count(*) FROM rejects") == [(6,)]
