"""Endings and job control: the terminal is left as it was, and the process is never stopped."""

from __future__ import annotations

import signal

import pytest

from tests.terminal.beats import Beats
from tests.terminal.conftest import Start

pytestmark = pytest.mark.terminal

RESTORED = (
    b"\x1b[?1049l",
    b"\x1b[?25h",
    b"\x1b[?1000l",
    b"\x1b[?1002l",
    b"\x1b[?2004l",
    b"\x1b[?7h",
    b"\x1b[<u",
)


@pytest.mark.terminal
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_restores_the_terminal(start: Start, beats: Beats, number: signal.Signals) -> None:
    screen = start("--feed", "--mouse")
    screen.wait_for("row 3")
    assert not screen.echoes
    screen.signal(number)
    assert screen.wait_exit() == 128 + number
    tail = bytes(screen.raw[-600:])
    assert [code for code in RESTORED if code not in tail] == []
    assert screen.echoes
    assert beats.notes()[-2:] == ["drained", "ended"]


@pytest.mark.terminal
def test_a_key_ends_it_cleanly(start: Start) -> None:
    screen = start()
    screen.wait_for("row 3")
    screen.keys("q")
    assert screen.wait_exit() == 0
    assert b"\x1b[?1049l" in screen.raw[-600:]


@pytest.mark.terminal
def test_any_motion_is_never_asked_for(start: Start) -> None:
    screen = start("--mouse")
    screen.wait_for("row 3")
    screen.wait_quiet()
    assert b"\x1b[?1002h" in screen.raw
    assert b"\x1b[?1003h" not in screen.raw


@pytest.mark.terminal
def test_stop_keys_and_signals_do_not_stop_the_process(start: Start, beats: Beats) -> None:
    screen = start("--feed")
    screen.wait_for("row 3")
    screen.keys("ctrl+z")
    screen.signal(signal.SIGTSTP)
    assert {signal.SIGTTIN, signal.SIGTTOU} <= screen.ignored_signals
    seen = len(beats.all())
    screen.wait_until(lambda: len(beats.all()) > seen + 20, "beats after a stop")


@pytest.mark.terminal
def test_the_screen_is_set_up_again_after_a_stop_from_outside(start: Start) -> None:
    screen = start()
    screen.wait_for("row 3")
    screen.wait_quiet()
    screen.signal(signal.SIGSTOP)
    screen.raw.clear()
    screen.signal(signal.SIGCONT)
    screen.wait_until(lambda: b"\x1b[?1049h" in screen.raw, "full-screen mode entered again")
    screen.wait_until(lambda: b"row 3" in screen.raw, "the screen painted again")
    screen.keys("q")
    assert screen.wait_exit() == 0


@pytest.mark.terminal
def test_resizing_repaints(start: Start) -> None:
    screen = start()
    screen.wait_for("row 22")
    screen.resize(34, 40)
    screen.wait_for("row 32")
    assert "Note" not in screen.lines[0]
