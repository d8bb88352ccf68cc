"""Leaving: what is active finishes first, and what is left is said."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import Static

from streamconsole.engines.text import clean
from streamconsole.screens.widgets.key_line import KeyLine


class QuitScreen(ModalScreen[None]):
    """Shown while the program drains; the same key again ends it at once."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "app.leave", "At once"),
    ]

    DEFAULT_CSS = """
    QuitScreen { align: center middle; }
    QuitScreen > #page {
        width: 64; max-width: 95%; height: auto; border: round $warning; padding: 1 2; background: $surface;
    }
    QuitScreen KeyLine { dock: bottom; }
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        yield Static(self._page(), id="page")
        yield KeyLine((("q", "At once"),))

    def tell(self, text: str) -> None:
        """Show how far the drain is."""
        if text != self._text:
            self._text = text
            self.query_one("#page", Static).update(self._page())

    def _page(self) -> Text:
        text = Text("Leaving\n\n", style="bold")
        text.append("\n".join(clean(line) for line in self._text.splitlines()), style="not bold")
        text.append("\n\nEverything committed stays; the rest resumes. q again: at once.", style="not bold")
        return text
