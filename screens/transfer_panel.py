"""Transfers as the overview shows them: a line each, the most pressing first; enter opens their screen."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import Static

from streamconsole.screens.transfer_rows import transfer_lines
from streamconsole.screens.views import RunView


class TransferPanel(Static, can_focus=True):
    """The panel; it paints only what differs."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "app.go('transfers')", "Open", id="panel.transfers")]

    def __init__(self) -> None:
        super().__init__(id="transfers", classes="panel", markup=False)
        self.border_title = "Transfers"
        self._text = Text()

    def show(self, views: list[RunView]) -> None:
        """Show these transfers, as many as there is room for."""
        text = transfer_lines(views, max(1, self.content_size.height))
        if text != self._text:
            self._text = text
            self.update(text, layout=False)
