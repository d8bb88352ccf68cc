"""Queues as the overview shows them: a line each, the most pressing first; enter opens their screen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import Static

from streamconsole.engines.queue import JobState
from streamconsole.engines.text import clean
from streamconsole.engines.workspace.clock import now_ms
from streamconsole.screens.formats import count, within
from streamconsole.screens.queue_loading import QueueView
from streamconsole.screens.queue_rows import NO_QUEUES


class QueuePanel(Static, can_focus=True):
    """The panel; it paints only what differs."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "app.go('queues')", "Open", id="panel.queues")]

    def __init__(self) -> None:
        super().__init__(id="queue", classes="panel", markup=False)
        self.border_title = "Queues"
        self._text = Text()

    def show(self, views: Iterable[QueueView]) -> None:
        """Show these queues, as many as there is room for."""
        text = queue_lines(list(views), max(1, self.content_size.height))
        if text != self._text:
            self._text = text
            self.update(text, layout=False)


def queue_lines(views: list[QueueView], most: int) -> Text:
    """Queues in so many lines; in the last one, how many more there are."""
    if not views:
        return Text(NO_QUEUES)
    return within([_line(view) for view in sorted(views, key=_calm)], most)


def _calm(view: QueueView) -> tuple[bool, bool, str]:
    return not view.counts[JobState.FAILED], not view.left, view.name


def _line(view: QueueView) -> str:
    done, failed = view.per_minute(now_ms())
    facts = [f"{count(number)} {word}" for number, word in _counts(view) if number]
    rate = f", {count(done + failed)}/min" if done + failed >= 0.5 else ""
    paused = "  paused" if view.paused else ""
    return f"{clean(view.name)}{paused}  {', '.join(facts) or 'no jobs'}{rate}"


def _counts(view: QueueView) -> list[tuple[int, str]]:
    counts = view.counts
    return [
        (counts[JobState.FAILED], "failed"),
        (counts[JobState.ACTIVE], "active"),
        (view.ready, "waiting"),
        (counts[JobState.DELAYED], "delayed"),
        (counts[JobState.COMPLETED], "done"),
    ]
