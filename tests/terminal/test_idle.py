"""A console at rest says nothing."""

from __future__ import annotations

import pytest

from tests.terminal.beats import Beats
from tests.terminal.conftest import Start

pytestmark = pytest.mark.alone

SECONDS = 4


@pytest.mark.terminal
def test_idle_costs_no_bytes(start: Start, beats: Beats) -> None:
    screen = start()
    screen.wait_for("row 3")
    screen.wait_quiet(1)
    sent, begun = screen.bytes_read, beats.last().at
    screen.wait_until(lambda: beats.last().at > begun + SECONDS, "time passed")
    assert screen.bytes_read - sent <= 20 * SECONDS


@pytest.mark.terminal
def test_one_new_row_costs_a_line_and_not_a_screen(start: Start) -> None:
    screen = start("--rows", "3")
    screen.wait_for("row 2")
    screen.wait_quiet()
    sent = screen.bytes_read
    screen.keys("a")
    screen.wait_for("added 1")
    screen.wait_quiet()
    assert screen.bytes_read - sent <= 600
