"""A terminal that is gone: the work goes on without a screen, and can be ended."""

from __future__ import annotations

import signal
import time

import pytest

from tests.terminal.beats import Beats
from tests.terminal.conftest import Start
from tests.terminal.pty_screen import PtyScreen

pytestmark = pytest.mark.alone


def live_on(screen: PtyScreen, beats: Beats, count: int = 60) -> float:
    """Wait for `count` more beats and return the share of one processor used meanwhile."""
    seen, used, begun = len(beats.all()), screen.cpu_seconds, time.monotonic()
    screen.wait_until(lambda: len(beats.all()) > seen + count, "beats without a terminal")
    return (screen.cpu_seconds - used) / (time.monotonic() - begun)


@pytest.mark.terminal
@pytest.mark.parametrize("feed", [(), ("--feed",)], ids=["idle", "busy"])
def test_goes_on_without_a_terminal_and_without_spinning(start: Start, beats: Beats, feed: tuple[str, ...]) -> None:
    screen = start("--ignore-hup", *feed)
    screen.wait_for("row 3")
    screen.hang_up()
    screen.wait_until(lambda: "lost" in beats.notes(), "TerminalLost")
    lost_at = beats.last().at
    assert live_on(screen, beats) < 0.6
    assert beats.gap(lost_at) <= 0.5
    assert beats.notes().count("lost") == 1
    screen.signal(signal.SIGTERM)
    assert screen.wait_exit() == 128 + signal.SIGTERM
    assert beats.notes()[-1] == "ended"


@pytest.mark.terminal
def test_hang_up_lets_a_drain_finish(start: Start, beats: Beats) -> None:
    screen = start("--feed", "--drain", "3")
    screen.wait_for("row 3")
    screen.hang_up()
    assert screen.wait_exit() == 128 + signal.SIGHUP
    assert f"signal {int(signal.SIGHUP)}" in beats.notes()
    assert beats.notes()[-2:] == ["drained", "ended"]


@pytest.mark.terminal
def test_hang_up_of_a_stalled_terminal_frees_the_writer(start: Start, beats: Beats) -> None:
    screen = start("--feed", "--ignore-hup")
    screen.wait_for("row 3")
    screen.stop_reading()
    screen.wait_until(lambda: beats.last().backlog > 0, "a backlog")
    screen.hang_up()
    screen.wait_until(lambda: "lost" in beats.notes(), "TerminalLost")
    live_on(screen, beats, 20)
    assert beats.last().backlog == 0
