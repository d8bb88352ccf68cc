"""What an empty workspace says: the next steps."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import Static

from streamconsole.screens.base import ConsoleScreen
from streamconsole.screens.model import Changes

PAGE = """\
Nothing has been done in this workspace yet. Next steps:

  streamconsole demo
      shows the program at work on made-up rows; nothing stays behind

  streamconsole migrate customers.ndjson sqlite:///shop.db#customers
      moves a file into a database, in windows that survive any crash

  streamconsole streamconsole.toml
      opens a runbook; `streamconsole doctor` checks it first
"""


class WelcomeScreen(ConsoleScreen):
    """Shown until there is a run or a queue."""

    TITLE: ClassVar[str] = "Welcome"

    DEFAULT_CSS = """
    WelcomeScreen #welcome { padding: 1 2; height: 1fr; }
    """

    def body(self) -> ComposeResult:
        yield Static(Text(PAGE), id="welcome")

    def show(self, changes: Changes) -> None:
        if self.model.runs or self.model.queues.queues:
            self.app.switch_mode("overview")
