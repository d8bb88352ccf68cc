"""Asking for a line of text."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from streamconsole.engines.text import clean
from streamconsole.screens.widgets.key_line import KeyLine


class Ask(ModalScreen[str | None]):
    """A question with a line to write the answer on; None when it is left.

    Args:
        question: what is asked.
        hint: how an answer may look.
        answer: what stands there at first.
        wrong: why an answer cannot be; None when it can.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Back", show=False)]

    DEFAULT_CSS = """
    Ask { align: center middle; }
    Ask > Vertical {
        width: 64; max-width: 95%; height: auto; border: thick $accent; padding: 1 2; background: $surface;
    }
    Ask Input { margin-top: 1; }
    Ask #wrong { color: $error; }
    Ask KeyLine { dock: bottom; }
    """

    def __init__(self, question: str, hint: str, answer: str, wrong: Callable[[str], str | None]) -> None:
        super().__init__()
        self._question = question
        self._hint = hint
        self._answer = answer
        self._wrong = wrong

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Text(clean(self._question)))
            field = Input(self._answer)
            # A blinking cursor would send something for as long as the dialog is up.
            field.cursor_blink = False
            yield field
            yield Static(Text(self._hint), id="hint")
            yield Static("", id="wrong", markup=False)
        yield KeyLine((("enter", "Set"), ("esc", "Leave as it is")))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        wrong = self._wrong(event.value)
        if wrong is None:
            self.dismiss(event.value)
        else:
            self.query_one("#wrong", Static).update(Text(clean(wrong)))

    def action_leave(self) -> None:
        self.dismiss(None)
