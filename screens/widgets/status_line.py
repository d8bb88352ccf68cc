"""One line that says what came of the last command."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Static

from streamconsole.engines.text import clean


class StatusLine(Static):
    """The last thing the operator was told; stays until the next."""

    DEFAULT_CSS = """
    StatusLine { height: 1; padding: 0 1; color: $text-muted; text-wrap: nowrap; text-overflow: ellipsis; }
    StatusLine.-bad { color: $text-error; text-style: bold; }
    """

    def tell(self, text: str, *, bad: bool = False) -> None:
        """Show a line."""
        self.set_class(bad, "-bad")
        self.update(Text(("! " if bad else "") + clean(text), no_wrap=True, overflow="ellipsis"), layout=False)
