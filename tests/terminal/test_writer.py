"""The writer alone, on a pipe that nobody reads until the test says so."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from streamconsole.terminal_writer import BACKLOG_LIMIT, TerminalWriter

pytestmark = pytest.mark.alone

FRAME = "f" * 16_384


class Line:
    """A pipe, the writer at its end, and what the writer said."""

    def __init__(self) -> None:
        self.source, self.sink = os.pipe()
        self.drained = threading.Event()
        self.lost: list[str] = []
        self.is_lost = threading.Event()
        self.writer = TerminalWriter(self.sink, on_drained=self.drained.set, on_lost=self.lose)

    def lose(self, reason: str) -> None:
        self.lost.append(reason)
        self.is_lost.set()

    def overflow(self) -> None:
        while self.writer.backlog <= BACKLOG_LIMIT:
            self.writer.frame(FRAME)
        self.writer.frame(FRAME)

    def read_until_quiet(self) -> bytes:
        self.writer.control("END")
        data = b""
        while not data.endswith(b"END"):
            data += os.read(self.source, 65_536)
        return data[:-3]


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    os.close(line.source)
    line.writer.close(5)
    os.close(line.sink)


def test_everything_arrives_in_order(line: Line) -> None:
    line.writer.control("<")
    line.writer.frame("é")
    line.writer.control(">")
    assert line.read_until_quiet().decode() == "<é>"
    assert not line.drained.is_set()


def test_a_full_line_drops_whole_frames_and_no_control(line: Line) -> None:
    line.overflow()
    line.writer.control("<mode>")
    line.writer.frame("refused")
    assert line.writer.backlog < BACKLOG_LIMIT
    text = line.read_until_quiet().decode()
    assert text.count("<mode>") == 1
    assert "refused" not in text
    assert text.replace("<mode>", "").count("f") % len(FRAME) == 0


def test_a_drained_line_asks_once_for_a_repaint_and_takes_frames_again(line: Line) -> None:
    line.overflow()
    line.read_until_quiet()
    assert line.drained.wait(10)
    line.drained.clear()
    line.writer.frame("again")
    assert line.read_until_quiet() == b"again"
    assert not line.drained.is_set()


def test_frames_that_wait_can_be_discarded(line: Line) -> None:
    for _ in range(10):
        line.writer.frame(FRAME)
    line.writer.discard_frames()
    line.writer.control("restored")
    text = line.read_until_quiet().decode()
    assert text.endswith("restored")
    assert text.count("f") <= len(FRAME)


def test_closing_gives_up_on_a_stalled_line(line: Line) -> None:
    line.writer.control(FRAME * 8)  # more than a pipe holds
    line.writer.close(0.1)
    assert line.writer.backlog > 0
    line.writer.frame("late")
    line.writer.control("late")


def test_closing_waits_for_what_is_accepted(line: Line) -> None:
    line.writer.control("restored")
    line.writer.close(10)
    assert os.read(line.source, 100) == b"restored"


def test_a_broken_line_is_reported_once_and_keeps_nothing(line: Line) -> None:
    line.writer.control(FRAME * 8)
    os.close(line.source)
    line.source = os.dup(line.sink)
    assert line.is_lost.wait(10)
    line.writer.frame("x")
    line.writer.control("x")
    assert line.lost == ["Broken pipe"]
    assert line.writer.backlog == 0


def test_a_line_made_non_blocking_loses_nothing(line: Line) -> None:
    os.set_blocking(line.sink, False)
    for _ in range(12):
        line.writer.frame(FRAME)
    assert line.read_until_quiet() == FRAME.encode() * 12
