"""One job in full: state, payload, options, result, every failed attempt, what happened to it, its log, live."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from rich.text import Text
from sqlalchemy.exc import SQLAlchemyError
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from streamconsole.engines.errors import StreamConsoleError
from streamconsole.engines.queue import JobState
from streamconsole.engines.queue.states import FINISHED_JOBS
from streamconsole.engines.text import clean
from streamconsole.screens.job_text import HEADING, JobView, lines_of, read
from streamconsole.screens.model import Model
from streamconsole.screens.queue_verbs import Jobs, QueueVerbs
from streamconsole.screens.widgets.key_line import KeyLine, Keys
from streamconsole.screens.widgets.live_table import Column, LiveTable
from streamconsole.screens.widgets.status_line import StatusLine

BEAT = 0.25
"""Seconds between two looks whether something has changed."""

GONE = "This job is no longer there"


class JobDetail(ModalScreen[None]):
    """A job, read again whenever its queue has changed.

    Args:
        model: where to read from.
        queue: its queue.
        number: its number.
        job_id: its id, for operators.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,backspace", "close", "Back"),
        Binding("t", "retry", "Retry", id="job.retry"),
        Binding("o", "promote", "Promote", id="job.promote"),
        Binding("i", "priority", "Priority", id="job.priority"),
        Binding("C", "cancel", "Cancel", id="job.cancel"),
        Binding("D", "remove", "Remove", id="job.remove"),
        Binding("f", "follow", "Follow log", id="job.follow"),
    ]

    DEFAULT_CSS = """
    JobDetail { align: center top; }
    JobDetail > Vertical { width: 100%; height: 1fr; border: round $accent; padding: 0 1; background: $surface; }
    JobDetail #job-bottom { dock: bottom; height: auto; border: none; padding: 0; background: $background; }
    """

    def __init__(self, model: Model, queue: str, number: int, job_id: str) -> None:
        super().__init__()
        self._model = model
        self._queue = queue
        self._number = number
        self._job_id = job_id
        self._view: JobView | None = None
        self._seen: tuple[int, int] | None = None
        self._width = 0
        self._follows = False

    def compose(self) -> ComposeResult:
        with Vertical() as panel:
            panel.border_title = Text(f"{clean(self._queue)}: job {clean(self._job_id)}")
            yield LiveTable((Column("line", ""),), empty="…")
        with Vertical(id="job-bottom"):
            yield StatusLine()
            yield KeyLine((("esc", "Back"),))

    async def on_mount(self) -> None:
        self.query_one(LiveTable).focus()
        await self._look()
        self.set_interval(BEAT, self._look)

    async def _look(self) -> None:
        seen = (self._model.queues.version, self.size.width)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            view = await self._model.workspace.read(read, self._queue, self._number)
            if view is not None and view == self._view and seen[1] == self._width:
                return
            # A long text is wrapped where it does not hold up the screen.
            lines = await asyncio.to_thread(lines_of, view, seen[1] - 6) if view else [Text(GONE, style=HEADING)]
        except (StreamConsoleError, SQLAlchemyError, OSError) as error:
            self._seen = None
            self.query_one(StatusLine).tell(f"the workspace cannot be read now: {error}", bad=True)
            return
        if not self.is_attached:
            return
        self._view, self._width = view, seen[1]
        self._show(lines)
        self.query_one(KeyLine).show(self._keys())

    def _show(self, lines: list[Text]) -> None:
        table = self.query_one(LiveTable)
        table.set_rows(range(len(lines)), [(line,) for line in lines])
        if self._follows:
            table.action_move_to(-1)

    def _keys(self) -> Keys:
        state = self._view.row.state if self._view else None
        if state in FINISHED_JOBS:
            yield "t", "Retry"
        if state == JobState.DELAYED:
            yield "o", "Promote"
        if state is not None and state not in FINISHED_JOBS:
            yield "C", "Cancel"
        if self._view is not None and self._view.log_lines:
            yield "f", "Follow no longer" if self._follows else "Follow log"
        if state is not None and state != JobState.ACTIVE:
            yield "D", "Remove"
        yield "esc", "Back"

    # Verbs -----------------------------------------------------------------------------------------

    @property
    def _jobs(self) -> Jobs:
        return Jobs(self._queue, [self._number], f"job {self._job_id}")

    def action_retry(self) -> None:
        QueueVerbs(self.app).retry(self._jobs)

    def action_promote(self) -> None:
        QueueVerbs(self.app).promote(self._jobs)

    def action_cancel(self) -> None:
        QueueVerbs(self.app).cancel(self._jobs)

    def action_remove(self) -> None:
        QueueVerbs(self.app).remove(self._jobs)

    def action_priority(self) -> None:
        priority = self._view.row.priority if self._view else 0
        QueueVerbs(self.app).prioritize(self._queue, self._job_id, priority)

    def action_follow(self) -> None:
        self._follows = not self._follows
        if self._follows:
            self.query_one(LiveTable).action_move_to(-1)
        self.query_one(KeyLine).show(self._keys())

    def action_close(self) -> None:
        self.dismiss()
