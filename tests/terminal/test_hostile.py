"""Nothing but the console's own sequences reaches the terminal, whatever the data holds."""

from __future__ import annotations

import re
import unicodedata

import pytest

from streamconsole.engines.text import clean
from tests.terminal.conftest import Start
from tests.terminal.hostile import HOSTILE
from tests.terminal.pty_screen import PtyScreen

OURS = re.compile(r"\x1b\[(?:\d+;\d+H|[\d;]*m|\?\d+[hl]|\?\d+\$p|>\d+u|<u)|\r\n")
FOREIGN = (
    b"\x1b[31m",
    b"\x1b[0m\x1b[0m",
    b"\x1b[2J",
    b"\x1b[H",
    b"\x1b[?1049l",
    b"\x1bc",
    b"\x1b]",
    b"\x1bP",
)


def visit_everything(screen: PtyScreen) -> None:
    for row, nasty in enumerate(HOSTILE):
        screen.wait_for(clean(nasty)[:4])
        screen.keys("down", "space") if row % 2 else screen.keys("down")
    screen.wait_quiet()
    screen.resize(16, 60)
    screen.wait_quiet()


@pytest.mark.terminal
def test_hostile_text_is_shown_inert_in_every_widget(start: Start) -> None:
    screen = start("--hostile", "--rows", str(len(HOSTILE)), rows=30, cols=160)
    screen.wait_for("title")
    visit_everything(screen)
    raw = bytes(screen.raw)
    assert [code for code in FOREIGN if code in raw] == []
    text = OURS.sub("", raw.decode())
    odd = {f"U+{ord(char):04X}" for char in text if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    assert odd == set()


@pytest.mark.terminal
def test_markup_is_text(start: Start) -> None:
    screen = start("--hostile", "--rows", str(len(HOSTILE)), rows=44, cols=160)
    for literal in ("[red]markup[/red]", "path [/foo]", "[@click=app.quit]press[/]"):
        screen.wait_for(literal)
