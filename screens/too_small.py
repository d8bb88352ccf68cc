"""Shown instead of a screen that would not fit: keys must not act on what cannot be seen."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import Static

LEAST_WIDTH = 60
LEAST_HEIGHT = 16


class TooSmall(ModalScreen[None]):
    """Takes no key but quit."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("q", "app.leave", "Quit")]

    DEFAULT_CSS = """
    TooSmall { align: center middle; background: $background; }
    TooSmall > Static { width: auto; height: auto; }
    """

    def compose(self) -> ComposeResult:
        yield Static(Text(f"Terminal too small:\n{LEAST_WIDTH}x{LEAST_HEIGHT} needed.\nWork goes on. q quits."))
