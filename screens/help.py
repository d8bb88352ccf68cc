"""The keys, on one page."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from streamconsole.screens.widgets.key_line import KeyLine
from streamconsole.screens.widgets.states import STATES, Kind, ascii_only

KEYS = (
    (
        "Screens",
        (
            ("1", "overview"),
            ("2", "migrations"),
            ("3", "queues and their jobs"),
            ("4", "transfers, their files and chunks"),
            ("?", "this page"),
            ("q", "quit: active units finish first"),
        ),
    ),
    (
        "The chosen run",
        (
            ("p", "pause it, or go on"),
            ("r", "start it, or go on"),
            ("s", "start all runs that are planned"),
            ("a", "do all failed windows again"),
            ("t", "do the failed window under the cursor again"),
            ("R", "read its refused rows again, write those that fit (asks)"),
            ("+ -", "more or fewer workers"),
            ("m", "how fast it may go, in rows or bytes (asks)"),
            ("v", "compare what it moved with its target"),
            ("C", "cancel it (asks first)"),
        ),
    ),
    (
        "On the queue screen: the queue, the job under the cursor or the marked ones",
        (
            ("p", "pause the queue for all its workers, or go on"),
            ("← →", "jobs in another state"),
            ("/", "search them: id, name, payload, failure"),
            ("enter", "the job in full; f follows its log"),
            ("space", "mark it"),
            ("t", "retry it"),
            ("a", "retry all failed ones, or those found (asks)"),
            ("o", "promote it: a delayed job is ready now"),
            ("i", "another priority (asks)"),
            ("+ -", "more or fewer jobs at once in this console"),
            ("w", "this console takes no more jobs of it, or goes on"),
            ("C", "cancel it, also while it is active (asks)"),
            ("D", "remove it (asks)"),
            ("X", "remove all in this state, or those found (asks)"),
            ("home", "follow what comes in at the top"),
        ),
    ),
    (
        "On the transfer screen",
        (
            ("a", "do all failed files again"),
            ("t", "do the failed file under the cursor again"),
            ("+ -", "more or fewer chunks at once; of a download, further ahead or less"),
            ("m", "how fast it may go, in bytes (asks)"),
            ("enter", "files, then chunks; on a chunk what is kept of it"),
        ),
    ),
    (
        "Looking",
        (
            ("tab", "next table or map"),
            ("arrows", "move; also j k h l, page up and down, home, end"),
            ("enter", "open what the cursor is on"),
            ("e", "problems (latest first), or workers"),
            ("x", "refused rows; of a verification those that differ"),
            ("esc", "back, or to the runs"),
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
        width: 66; max-width: 96%; height: auto; max-height: 94%; scrollbar-size-vertical: 1;
        border: round $accent; padding: 0 2; background: $surface;
    }
    HelpScreen KeyLine { dock: bottom; }
    """

    def compose(self) -> ComposeResult:
        with VerticalScroll() as panel:
            panel.border_title = "Keys"
            yield Static(_page())
        yield KeyLine((("↑↓", "Scroll"), ("esc", "Back")))

    def action_close(self) -> None:
        self.dismiss()


def _page() -> Text:
    text = Text()
    for title, keys in KEYS:
        text.append(f"{title}\n", style="bold")
        for key, meaning in keys:
            text.append(f"  {key:<8}", style="bold")
            text.append(f"{meaning}\n")
    kinds: tuple[Kind, ...] = ("run", "window", "job", "chunk")
    for kind in kinds:
        text.append(f"\n{kind}s: ", style="bold")
        signs = [f"{look.sign(ascii=ascii_only())} {look.word}" for look in STATES[kind].values()]
        text.append("  ".join(signs), style="not bold")
    return text
