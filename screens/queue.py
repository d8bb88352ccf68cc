"""The queue screen: queues, and for the chosen one its rates and its jobs by state, live."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from streamconsole.engines.control import Verb
from streamconsole.engines.queue import JobState
from streamconsole.engines.queue.pages import JobLine, Shelf
from streamconsole.engines.queue.states import FINISHED_JOBS
from streamconsole.engines.workspace.clock import now_ms
from streamconsole.screens.ask import Ask
from streamconsole.screens.base import ConsoleScreen
from streamconsole.screens.formats import count
from streamconsole.screens.job import JobDetail
from streamconsole.screens.job_list import JobList
from streamconsole.screens.model import Changes
from streamconsole.screens.queue_loading import MINUTES, QueueView
from streamconsole.screens.queue_rows import (
    JOB_COLUMNS,
    NO_QUEUES,
    QUEUE_COLUMNS,
    job_row,
    queue_about,
    queue_row,
    shelf_line,
)
from streamconsole.screens.queue_verbs import Jobs, QueueVerbs
from streamconsole.screens.widgets.key_line import Keys
from streamconsole.screens.widgets.live_table import LiveTable
from streamconsole.screens.widgets.spark import Spark


class QueueScreen(ConsoleScreen):
    """Queues above; below, the jobs of the chosen one."""

    TITLE: ClassVar[str] = "Queues"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "shelf(-1)", "State before", id="queue.shelf-before"),
        Binding("right,l", "shelf(1)", "Next state", id="queue.shelf-next"),
        Binding("slash", "search", "Search", id="queue.search"),
        Binding("t", "retry_one", "Retry", id="job.retry"),
        Binding("o", "promote", "Promote", id="job.promote"),
        Binding("i", "priority", "Priority", id="job.priority"),
        Binding("w", "rest", "Workers here", id="queue.rest"),
        Binding("D", "remove", "Remove", id="job.remove"),
        Binding("X", "empty", "Remove all", id="queue.empty"),
        Binding("escape", "back", "Queues", id="queue.back"),
    ]

    DEFAULT_CSS = """
    QueueScreen #queues { height: 5; }
    QueueScreen.-low #queues { height: 4; }
    QueueScreen.-tall #queues { height: 9; }
    QueueScreen LiveTable { padding: 0 1; }
    QueueScreen #about, QueueScreen #shelves { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    QueueScreen #rates { height: 1; padding: 0 1; }
    QueueScreen #jobs { height: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._queue: str | None = None
        self._about = Text()
        self._shelves = Text()

    def body(self) -> ComposeResult:
        with Vertical():
            yield LiveTable(QUEUE_COLUMNS, id="queues", empty=NO_QUEUES)
            yield Static(id="about", markup=False)
            with Horizontal(id="rates"):
                yield Spark("done/min ", id="done-rate", value_width=7, samples=MINUTES)
                yield Spark("  failed/min ", id="failed-rate", value_width=7, samples=MINUTES)
            yield Static(id="shelves", markup=False)
            yield LiveTable(JOB_COLUMNS, id="jobs", empty="No such job", markable=True)

    def on_mount(self) -> None:
        self._list = JobList(self.model.workspace, self._sight, self._show_jobs, self._troubled)
        self.run_worker(self._list.keep_reading(), group="jobs")
        self.queues_table.focus()

    @property
    def queues_table(self) -> LiveTable:
        """The queues."""
        return self.query_one("#queues", LiveTable)

    @property
    def jobs_table(self) -> LiveTable:
        """Jobs of the chosen queue."""
        return self.query_one("#jobs", LiveTable)

    @property
    def chosen_queue(self) -> QueueView | None:
        """The queue that is shown in full."""
        return self.model.queues.queues.get(self._queue) if self._queue is not None else None

    def more_keys(self) -> Keys:
        view, line = self.chosen_queue, self._line()
        if view is None:
            return
        yield "p", "Resume" if view.paused else "Pause"
        if line is not None and self.jobs_table.has_focus:
            yield "enter", "Job"
            if line.state in FINISHED_JOBS:
                yield "t", "Retry"
            elif line.state == JobState.DELAYED:
                yield "o", "Promote"
            if line.state not in FINISHED_JOBS:
                yield "C", "Cancel"
        if view.counts[JobState.FAILED]:
            yield "a", "Retry failed"
        if self._list.words:
            yield "esc", "Show all"
        yield "←→", "State"
        yield "/", "Search"

    # Painting --------------------------------------------------------------------------------------

    def show(self, changes: Changes) -> None:
        if changes.queues:
            self._show_queues()
            self._list.look_again()
            self.show_keys()

    def show_all(self) -> None:
        self._show_queues()
        self._list.look_again()

    def beat(self) -> None:
        # Rates go down as time goes on; where there are none, nothing does.
        if any(view.minutes for view in self.model.queues.queues.values()):
            self._show_queues()

    def _show_queues(self) -> None:
        board = self.model.queues
        shown = list(board.queues)
        rows = [queue_row(board.queues[name], board.workers_of(name)) for name in shown]
        if self.queues_table.shown_keys() == shown:
            self.queues_table.update_rows(dict(zip(shown, rows, strict=True)))
        else:
            self.queues_table.set_rows(shown, rows)
        if self._queue not in board.queues:
            self.choose(shown[0] if shown else None)
        self._show_chosen()

    def _show_chosen(self) -> None:
        view = self.chosen_queue
        about = queue_about(view, self.model.queues.workers_of(view.name)) if view else Text()
        if about != self._about:
            self._about = about
            self.query_one("#about", Static).update(about, layout=False)
        if view is not None:
            now = now_ms()
            history, rates = view.history(now, MINUTES), view.per_minute(now)
            self.query_one("#done-rate", Spark).show([each.completed for each in history], count(rates[0]))
            self.query_one("#failed-rate", Spark).show([each.failed for each in history], count(rates[1]))
        self._show_shelves()

    def _show_shelves(self) -> None:
        note = self._list.note or ("" if self._sight() is None else "home: follow the first")
        text = shelf_line(self.chosen_queue, self._list.shelf, self._list.words, note)
        # What is chosen shows in its style alone.
        if text.markup != self._shelves.markup:
            self._shelves = text
            self.query_one("#shelves", Static).update(text, layout=False)

    def _show_jobs(self) -> None:
        table, follows = self.jobs_table, self._sight() is None
        lines = self._list.lines
        table.say_when_empty("Looking…" if self._list.reading else "No such job")
        table.set_rows(lines, [job_row(line) for line in lines.values()])
        if follows:
            table.action_move_to(0)
        self._show_shelves()
        self.show_keys()

    def _sight(self) -> Sequence[int] | None:
        """The jobs in sight; None while the cursor is on the first: then what is new comes in above."""
        table = self.jobs_table
        top, page = int(table.scroll_offset.y), max(1, table.size.height)
        if table.cursor_key is None or (top == 0 and table.shown_keys(0, 1) == [table.cursor_key]):
            return None
        return [int(str(key)) for key in table.shown_keys(top, top + page)]

    def _troubled(self, text: str) -> None:
        self.desk.tell(text, bad=True)

    # Choosing --------------------------------------------------------------------------------------

    def choose(self, queue: str | None) -> None:
        """Show a queue in full, first of all what asks for somebody."""
        self._queue = queue
        view = self.chosen_queue
        shelf = Shelf.WAITING
        if view is not None and not view.ready:
            shelf = next((each for each in (Shelf.ACTIVE, Shelf.FAILED, Shelf.DELAYED, Shelf.COMPLETED)
                          if view.counts[JobState(str(each))]), shelf)  # fmt: skip
        self._turn_to(shelf, "")
        self._show_chosen()

    def _turn_to(self, shelf: Shelf, words: str) -> None:
        self.jobs_table.clear()
        self.jobs_table.clear_marks()
        self._list.turn_to(self._queue, shelf, words)

    def on_live_table_row_highlighted(self, event: LiveTable.RowHighlighted) -> None:
        if event.table.id == "queues":
            if event.table.has_focus and event.key != self._queue:
                self.choose(str(event.key))
            return
        if event.key in event.table.shown_keys(max(0, event.table.row_count - 30)):
            self._list.go_on()
        self._show_shelves()
        self.show_keys()

    def on_live_table_row_selected(self, event: LiveTable.RowSelected) -> None:
        line = self._line()
        if event.table.id == "queues":
            self.choose(str(event.key)) if event.key != self._queue else None
            self.jobs_table.focus()
        elif line is not None and self._queue is not None:
            self.app.push_screen(JobDetail(self.model, self._queue, line.seq, line.id))

    def action_shelf(self, by: int) -> None:
        shelves = list(Shelf)
        self._turn_to(shelves[(shelves.index(self._list.shelf) + by) % len(shelves)], self._list.words)

    def action_search(self) -> None:
        def answered(words: str | None) -> None:
            if words is not None:
                self._turn_to(self._list.shelf, words.strip())
                self.jobs_table.focus()

        question = f"Search {self._list.shelf} jobs: id, name, payload, failure"
        self.app.push_screen(Ask(question, "Nothing shows all again", self._list.words, lambda _: None), answered)

    def action_back(self) -> None:
        if self._list.words:
            self._turn_to(self._list.shelf, "")
        else:
            self.jobs_table.clear_marks()
            self.queues_table.focus()

    # Verbs -----------------------------------------------------------------------------------------

    def _line(self) -> JobLine | None:
        """The job under the cursor."""
        key = self.jobs_table.cursor_key
        return self._list.lines.get(int(str(key))) if key is not None else None

    def _jobs(self) -> Jobs | None:
        """The marked jobs, or the one under the cursor; None, and told why, when there is none."""
        line, marked = self._line(), [int(str(key)) for key in self.jobs_table.marked]
        if self._queue is None or line is None:
            self.desk.tell("no job is chosen", bad=True)
            return None
        if marked:
            return Jobs(self._queue, marked, f"{len(marked):,} marked job{'s' if len(marked) != 1 else ''}")
        return Jobs(self._queue, [line.seq], f"job {line.id}")

    def action_pause_or_resume(self) -> None:
        view = self._view()
        if view is not None:
            (self._verbs.resume if view.paused else self._verbs.pause)(view.name)

    def action_steer(self, verb: str, unit: str | None = None) -> None:
        view = self._view()
        if view is not None and Verb(verb) is Verb.RESUME:
            self._verbs.resume(view.name)
        elif view is not None and Verb(verb) is Verb.RETRY:
            self._verbs.retry_all(view.name, self._list.words if self._list.shelf is Shelf.FAILED else "")

    def action_retry_one(self) -> None:
        if chosen := self._jobs():
            self._verbs.retry(chosen)

    def action_promote(self) -> None:
        if chosen := self._jobs():
            self._verbs.promote(chosen)

    def action_cancel(self) -> None:
        if chosen := self._jobs():
            self._verbs.cancel(chosen)

    def action_remove(self) -> None:
        if chosen := self._jobs():
            self._verbs.remove(chosen)

    def action_priority(self) -> None:
        line = self._line()
        if self._jobs() and line is not None and self._queue is not None:
            self._verbs.prioritize(self._queue, line.id, line.priority)

    def action_empty(self) -> None:
        view, shelf = self._view(), self._list.shelf
        if view is not None and shelf in (Shelf.ACTIVE, Shelf.ALL):
            self.desk.tell(f"{shelf} jobs are not removed at once: choose another state (← →), or mark some", bad=True)
        elif view is not None:
            self._verbs.remove_all(view.name, shelf, self._list.words)

    def action_workers(self, by: int) -> None:
        view = self._view()
        if view is not None:
            self._verbs.more_workers(view.name, by)

    def action_rest(self) -> None:
        view = self._view()
        if view is not None:
            self._verbs.rest(view.name)

    def action_limit(self) -> None:
        if self._queue is not None:
            self.desk.tell(f"limits of a queue: `streamconsole queue settings {self._queue} --set limiter=…`")

    @property
    def _verbs(self) -> QueueVerbs:
        return QueueVerbs(self.app)

    def _view(self) -> QueueView | None:
        """The chosen queue; None, and told so, when there is none."""
        if self.chosen_queue is None:
            self.desk.tell("no queue is chosen", bad=True)
        return self.chosen_queue
