"""Names, rows and errors that would like to steer the terminal: nothing leaves but Textual's own escapes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.terminal.console import Open, Workspace
from tests.terminal.hostile import HOSTILE
from tests.terminal.pty_screen import PtyScreen

pytestmark = pytest.mark.terminal

NAME = "\x1b]0;owned\x07\x1b[31m[red]\u202ex[@click=app.quit]y.ndjson"

OWN_ESCAPES = re.compile(
    r"\x1b(?:"
    r"\[[?<>=]?[0-9;]*[ABCDGHJKhlmtu]"  # cursor, erase, modes, colours, keyboard protocol
    r"|\[\?[0-9;]*\$p"  # which modes there are
    r"|\[>[0-9;]*[a-z]"
    r"|[78=>]"
    r")"
)
"""What Textual sends: no titles, no clipboard, no links, no device control strings."""


def write_rows(path: Path) -> None:
    """Rows whose keys and values are hostile, and lines that no program can read."""
    texts = [text.encode("utf-8", "replace").decode() for text in HOSTILE]
    with path.open("w") as file:
        for number, text in enumerate(texts):
            file.write(json.dumps({"_id": number, text: text}) + "\n")
            file.write(json.dumps({"_id": text, "date": {"$date": text}}) + "\n")
            file.write(f'{{"_id": "{text!r}", broken {json.dumps(text)}\n')


def only_its_own(screen: PtyScreen) -> None:
    """Every escape and control sent is one of Textual's."""
    text = screen.raw.decode()
    left = OWN_ESCAPES.sub("", text)
    found = re.findall("[\x00-\x07\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069].{0,20}", left)
    assert found == []


def test_no_escape_leaves_but_textuals_own(console: Open, workspace: Workspace, tmp_path: Path) -> None:
    write_rows(tmp_path / NAME)
    options = ("--window-rows", "10", "--name", "[red]\x1b[31mname")
    screen = console("migrate", NAME, "sqlite:///target.db#[b]\x1b]0;t\x07", *options, rows=40, cols=140)
    screen.wait_for("✓ completed")
    screen.wait_for("refused")
    screen.wait_for("[red]")
    screen.keys("x")
    screen.wait_for("refused rows")
    for _ in HOSTILE:
        screen.keys("down")
    screen.wait_quiet()
    screen.keys("escape")
    screen.wait_for("q Quit")
    screen.keys("tab", "enter")
    screen.wait_for("window 1")
    screen.keys("end")
    screen.wait_quiet()
    screen.keys("escape")
    screen.wait_for("q Quit")
    screen.keys("1")
    screen.wait_for("No queues yet")
    screen.keys("q")
    assert screen.wait_exit() == 1
    only_its_own(screen)
    assert "owned" in screen.raw.decode(), "the text itself is shown"


def test_a_refused_name_is_inert_too(console: Open) -> None:
    screen = console("migrate", "missing" + NAME, "sqlite:///target.db#t")
    assert screen.wait_exit() == 2
    only_its_own(screen)
