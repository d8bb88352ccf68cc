"""The first line of every screen: program, screen, workspace, and who may do what."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Static

from streamconsole.engines.text import clean

SCREENS = (("1", "Overview"), ("2", "Migrations"), ("3", "Queues"), ("4", "Transfers"))
"""Keys of the screens, for the title line."""


class TitleLine(Static):
    """Never collapses: an operator must always see where they are."""

    DEFAULT_CSS = """
    TitleLine { dock: top; height: 1; padding: 0 1; background: $panel; color: $foreground;
        text-wrap: nowrap; text-overflow: ellipsis;
    }
    """

    def show(self, screen: str, where: str, *, read_only: bool) -> None:
        """Name the screens, the one that is seen, and the workspace."""
        text = Text("Stream Console ", style="bold", no_wrap=True, overflow="ellipsis")
        for key, name in SCREENS:
            text.append(f" {key} {name} ", style="bold reverse" if name == screen else "not bold")
        if read_only:
            text.append("  [read-only]", style="bold reverse")
        text.append(f"  {clean(where)}", style="not bold dim")
        self.update(text, layout=False)
