"""The keys, on one page."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

KEYS = (
    ("Screens", (("1", "overview"), ("2", "migrations"), ("?", "this page"), ("q", "quit: active units finish first"))),
    (
        "The chosen run",
        (
            ("p", "pause it, or go on"),
            ("r", "start it, or go on"),
            ("a", "do all failed windows again"),
            ("t", "do the chosen failed window again"),
            ("+ -", "more or fewer workers"),
            ("C", "cancel it (asks first)"),
        ),
    ),
    (
        "Looking",
        (
            ("tab", "next table or map"),
            ("arrows", "move; also j k h l, page up and down, home, end"),
            ("enter", "open what the cursor is on"),
            ("e", "problems, latest first"),
            ("x", "refused rows"),
            ("esc", "back"),
        ),
    ),
    ("Safety", (("L", "lock: look, change nothing"), ("ctrl+l", "paint the screen anew"))),
)


class HelpScreen(ModalScreen[None]):
    """What each key does."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark", "close", "Back")]

    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen > VerticalScroll {
        width: 66; max-width: 96%; height: auto; max-height: 94%;
        border: round $accent; padding: 0 2; background: $surface;
    }
    """

    def compose(self) -> ComposeResult:
        with VerticalScroll() as panel:
            panel.border_title = "Keys"
            panel.border_subtitle = "esc back"
            yield Static(_page())

    def action_close(self) -> None:
        self.dismiss()


def _page() -> Text:
    text = Text()
    for title, keys in KEYS:
        text.append(f"{title}\n", style="bold")
        for key, meaning in keys:
            text.append(f"  {key:<8}", style="bold")
            text.append(f"{meaning}\n")
    text.append("Glyphs: ", style="bold")
    text.append("○ planned  ► running  ‖ paused  ✓ done  ✗ failed  ⊘ cancelled")
    return text
