"""A small console that is all guard and no engine: driven in a pty by the tests beside it.

`python -m tests.terminal.fixture_app BEATS --help` names its options. Every 50 ms a task adds the time to the
file BEATS, as an engine would do its work.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import threading
import time
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.timer import Timer

from streamconsole import themes
from streamconsole.driver import ConsoleDriver, TerminalLost
from streamconsole.screens.widgets.live_table import Column, LiveTable
from streamconsole.screens.widgets.spark import Spark
from tests.terminal.hostile import HOSTILE

COLUMNS = (
    Column("name", "Name", min_width=12),
    Column("state", "State", width=12, states="window"),
    Column("beat", "Beat", width=8, align="right", priority=2),
    Column("note", "Note", priority=3),
)
STATES = ("pending", "running", "completed", "failed", "retrying")


class FixtureApp(App[None]):
    """A table, a feed at 10 Hz, a heartbeat at 20 Hz."""

    CSS = ".small { height: 2; }"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("q", "quit", "Quit"), Binding("a", "add", "Add")]

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(driver_class=ConsoleDriver)
        self.options = options
        self.beat = 0
        self.added = 0
        self.once = 0
        self.tasks: list[asyncio.Task[None]] = []

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return dict(themes.STATE_DEFAULTS)

    def compose(self) -> ComposeResult:
        if not self.options.hostile:
            yield LiveTable(COLUMNS, markable=True)
            return
        yield LiveTable(COLUMNS, markable=True)
        titles = [Column(str(at), nasty, min_width=6) for at, nasty in enumerate(HOSTILE[:4])]
        yield LiveTable(titles, empty="".join(HOSTILE), id="empty", classes="small")
        for nasty in HOSTILE[:8]:
            spark = Spark(nasty)
            spark.push(1, nasty)
            yield spark

    def on_mount(self) -> None:
        themes.install(self, "console-dark")
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self.stop, number)
        if self.options.ignore_hup:
            loop.remove_signal_handler(signal.SIGHUP)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self.query(LiveTable).first().set_rows(range(self.options.rows), map(self.line, range(self.options.rows)))
        self.tasks.append(loop.create_task(self.heartbeat()))
        threading.Thread(target=self.pulse, daemon=True).start()
        if self.options.feed:
            timer = self.set_interval(0.1, self.feed)
            loop.add_signal_handler(signal.SIGUSR1, self.stop_feeding, timer)
            loop.add_signal_handler(signal.SIGUSR2, self.change_once)

    def line(self, key: int) -> tuple[str | int | Text, ...]:
        if self.options.hostile:
            nasty = HOSTILE[key % len(HOSTILE)]
            return nasty, nasty, nasty, Text(nasty)
        return f"row {key}", STATES[(key + self.beat) % len(STATES)], self.beat, "x" * (self.beat % 40)

    def feed(self) -> None:
        self.beat += 1
        fed = range(self.options.rows - self.once)
        self.query(LiveTable).first().update_rows({key: self.line(key) for key in fed})

    def change_once(self) -> None:
        """Change the last row and never touch it again."""
        self.once = 1
        self.query(LiveTable).first().update_rows({self.options.rows - 1: ("changed once", "failed", 0, "")})
        self.note("changed once")

    def stop_feeding(self, timer: Timer) -> None:
        timer.stop()
        self.note("feed off")

    def action_add(self) -> None:
        self.added += 1
        self.query(LiveTable).first().update_rows({f"added {self.added}": (f"added {self.added}", "running", 0, "")})

    async def heartbeat(self) -> None:
        with Path(self.options.beats).open("a", buffering=1) as file:
            while True:
                print("beat", time.monotonic(), self.beat, self.backlog, file=file)
                await asyncio.sleep(0.05)

    def pulse(self) -> None:
        """Beat outside the loop: tells a blocked loop from a machine with no time for anybody."""
        with Path(self.options.beats).open("a", buffering=1) as file:
            while True:
                print("pulse", time.monotonic(), file=file)
                time.sleep(0.05)

    @property
    def backlog(self) -> int:
        driver = self._driver
        return driver.backlog if isinstance(driver, ConsoleDriver) else 0

    def note(self, word: str) -> None:
        with Path(self.options.beats).open("a") as file:
            print(word, file=file)

    def on_terminal_lost(self, message: TerminalLost) -> None:
        self.note("lost")

    def stop(self, number: int) -> None:
        self.note(f"signal {number}")
        self.tasks.append(asyncio.get_running_loop().create_task(self.drain(number)))

    async def drain(self, number: int) -> None:
        await asyncio.sleep(self.options.drain)
        self.note("drained")
        self.exit(return_code=128 + number)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("beats")
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--drain", type=float, default=0.0)
    for flag in ("--feed", "--hostile", "--ignore-hup", "--mouse"):
        parser.add_argument(flag, action="store_true")
    options = parser.parse_args()
    app = FixtureApp(options)
    app.run(mouse=options.mouse)
    app.note("ended")
    sys.exit(app.return_code)


if __name__ == "__main__":
    main()
