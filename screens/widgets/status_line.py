"""What came of the last command."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Static

from streamconsole.engines.text import clean


class StatusLine(Static):
    """The last thing the operator was told; stays until the next. Long ones take up to three lines."""

    DEFAULT_CSS = """
    StatusLine { height: auto; min-height: 1; max-height: 3; padding: 0 1; color: $text-muted; }
    StatusLine.-bad { color: $text-error; text-style: bold; }
    """

    def tell(self, text: str, *, bad: bool = False) -> None:
        """Show a line."""
        shown = ("! " if bad else "") + clean(text)
        self.set_class(bad, "-bad")
        # A layout of the whole screen only when the number of lines may change.
        self.update(Text(shown), layout=self.size.height > 1 or len(shown) > self.size.width)
