"""A terminal that is not read: the loop goes on, and the screen is right again afterwards."""

from __future__ import annotations

import re
import signal

import pytest

from streamconsole.driver import BACKLOG_LIMIT
from tests.terminal.beats import Beats
from tests.terminal.conftest import Start
from tests.terminal.fixture_app import STATES
from tests.terminal.pty_screen import PtyScreen

pytestmark = pytest.mark.alone

ONE_FRAME = 64 * 1024


def coherent_beat(screen: PtyScreen) -> int | None:
    """Return the beat that all rows on the screen show, each with the state that belongs to it."""
    shown = set()
    for number, line in enumerate(screen.lines[1:]):
        found = re.match(rf"  row {number} +\S (\w+) +(\d+) +x*", line)
        if found is None or found[1] != STATES[(number + int(found[2])) % len(STATES)]:
            return None
        shown.add(int(found[2]))
    return shown.pop() if len(shown) == 1 else None


@pytest.mark.terminal
@pytest.mark.parametrize("seconds", [8, pytest.param(30, marks=pytest.mark.slow)])
def test_engines_go_on_behind_a_stalled_terminal(start: Start, beats: Beats, seconds: int) -> None:
    screen = start("--feed")
    screen.wait_until(lambda: coherent_beat(screen) is not None)
    screen.stop_reading()
    begun = beats.last().at
    screen.wait_until(lambda: beats.last().at > begun + seconds, "beats behind the stalled terminal", seconds + 20)
    stalled = [beat for beat in beats.all() if beat.at > begun]
    assert beats.gap(begun) <= 0.5
    assert 0 < max(beat.backlog for beat in stalled) <= BACKLOG_LIMIT + ONE_FRAME
    fed = stalled[-1].fed
    screen.resume_reading()
    screen.wait_until(lambda: (coherent_beat(screen) or 0) > fed, "coherent and current screen")
    screen.wait_until(lambda: beats.last().backlog == 0, "drained backlog")
    assert beats.gap(begun) <= 0.5


@pytest.mark.terminal
def test_one_whole_repaint_after_frames_were_dropped(start: Start, beats: Beats) -> None:
    """What changed in a dropped frame does not change again: only the repaint can bring it."""
    screen = start("--feed", "--rows", "23")
    screen.wait_until(lambda: coherent_beat(screen) is not None)
    screen.stop_reading()
    screen.wait_until(lambda: beats.last().backlog > 0, "a backlog")
    screen.signal(signal.SIGUSR2)
    screen.wait_until(lambda: "changed once" in beats.notes(), "the change")
    screen.wait_until(lambda: max(beat.backlog for beat in beats.all()) > BACKLOG_LIMIT, "a full backlog", 60)
    screen.wait_until(lambda: beats.last().backlog < BACKLOG_LIMIT, "dropped frames")
    screen.signal(signal.SIGUSR1)
    screen.wait_until(lambda: "feed off" in beats.notes(), "no more feed")
    screen.resume_reading()
    screen.wait_for("changed once")


@pytest.mark.terminal
def test_a_stalled_terminal_does_not_keep_the_program_from_ending(start: Start, beats: Beats) -> None:
    screen = start("--feed")
    screen.wait_for("row 3")
    screen.stop_reading()
    screen.wait_until(lambda: beats.last().backlog > 0, "a backlog")
    screen.signal(signal.SIGTERM)
    assert screen.wait_exit(20) == 128 + signal.SIGTERM
    assert beats.notes()[-1] == "ended"
