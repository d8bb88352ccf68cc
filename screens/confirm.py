"""Asking before something that cannot be undone."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from streamconsole.engines.text import clean
from streamconsole.screens.widgets.key_line import KeyLine


class Confirm(ModalScreen[bool]):
    """A question whose safe answer is the default.

    Args:
        question: names verb, object and count.
        yes: the label of the button that does it.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,n", "answer(False)", "No", show=False),
        Binding("y", "answer(True)", "Yes", show=False),
        Binding("left,right", "app.focus_next", "Other button", show=False),
    ]

    DEFAULT_CSS = """
    Confirm { align: center middle; }
    Confirm > Vertical {
        width: 64; max-width: 95%; height: auto; border: thick $error; padding: 1 2; background: $surface;
    }
    Confirm Horizontal { height: auto; margin-top: 1; align-horizontal: right; }
    Confirm Button { margin-left: 2; }
    Confirm KeyLine { dock: bottom; }
    """

    def __init__(self, question: str, yes: str) -> None:
        super().__init__()
        self._question = question
        self._yes = yes

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Text("\n".join(clean(line) for line in self._question.splitlines())))
            with Horizontal():
                yield Button(Text("No, go back (n)"), id="no")
                yield Button(Text(f"{clean(self._yes)} (y)"), id="yes", variant="error")
        yield KeyLine((("n", "No, go back"), ("y", self._yes)))

    def on_mount(self) -> None:
        self.query_one("#no", Button).focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)
