"""The overview: one panel for each of the four engines."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Grid, Vertical
from textual.widgets import Static

from streamconsole.engines.states import EngineKind
from streamconsole.screens.base import ConsoleScreen
from streamconsole.screens.model import Changes
from streamconsole.screens.queue_panel import QueuePanel
from streamconsole.screens.rows import RUN_COLUMNS, about, run_row
from streamconsole.screens.transfer_panel import TransferPanel
from streamconsole.screens.views import RunView
from streamconsole.screens.widgets.key_line import Keys
from streamconsole.screens.widgets.live_table import LiveTable

NOT_YET = {"processes": ("Processes", "no process engine in this version")}

NO_RUNS = "No runs yet: `streamconsole migrate SOURCE TARGET` makes one"


class OverviewScreen(ConsoleScreen):
    """Four panels, one above the other where room is scarce; enter on a run opens it."""

    TITLE: ClassVar[str] = "Overview"

    DEFAULT_CSS = """
    OverviewScreen Grid { grid-size: 1 4; grid-rows: 1fr 2 2 2; height: 1fr; }
    OverviewScreen.-wide Grid { grid-size: 2 3; grid-rows: 1fr; grid-columns: 3fr 1fr; grid-gutter: 0 1; }
    OverviewScreen.-wide #work { row-span: 3; }
    OverviewScreen #about { height: 2; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    OverviewScreen #migrations { border: round $primary; border-title-color: $foreground; }
    OverviewScreen #migrations:focus { border: round $accent; }
    OverviewScreen .panel { border-top: solid $border-blurred; padding: 0 1; color: $text-muted; height: 1fr;
        border-title-color: $text-muted;
    }
    OverviewScreen #queue, OverviewScreen #transfers { text-wrap: nowrap; text-overflow: ellipsis; }
    OverviewScreen .panel:focus { border-top: solid $accent; border-title-color: $foreground; color: $foreground; }
    OverviewScreen.-wide .panel:focus { border: round $accent; }
    OverviewScreen.-wide .panel { border: round $border-blurred; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._about = Text()

    def body(self) -> ComposeResult:
        with Grid():
            table = LiveTable(RUN_COLUMNS, id="migrations", empty=NO_RUNS)
            table.border_title = "Migrations"
            with Vertical(id="work"):
                yield table
                yield Static(id="about", markup=False)
            yield QueuePanel()
            yield TransferPanel()
            for name, (title, text) in NOT_YET.items():
                panel = Static(text, classes="panel", id=name, markup=False)
                panel.border_title = title
                yield panel

    @property
    def table(self) -> LiveTable:
        """The runs."""
        return self.query_one("#migrations", LiveTable)

    def chosen(self) -> RunView | None:
        key = self.table.cursor_key
        return self.model.runs.get(str(key)) if key is not None else None

    def more_keys(self) -> Keys:
        if self.chosen() is not None:
            yield "enter", "Open"

    def show(self, changes: Changes) -> None:
        if changes.listed:
            self.show_all()
        else:
            self._show(changes.runs & self.model.runs.keys())
        self.show_keys()

    def show_all(self) -> None:
        shown = [view.run.id for view in self.model.of_engine(EngineKind.MIGRATION)]
        if self.table.shown_keys() == shown:
            self._show(set(shown))
        else:
            new = not self.table.row_count
            self.table.set_rows(shown, [run_row(self.model.runs[run_id]) for run_id in shown])
            if new and self.model.watched is not None:
                self.table.move_cursor(self.model.watched)

    def beat(self) -> None:
        self._show({run_id for run_id, view in self.model.runs.items() if view.running})

    def _show(self, run_ids: set[str]) -> None:
        run_ids = {run_id for run_id in run_ids if self.model.runs[run_id].run.engine is EngineKind.MIGRATION}
        self.query_one(TransferPanel).show(self.model.of_engine(EngineKind.TRANSFER))
        self.query_one(QueuePanel).show(self.model.queues.queues.values())
        self.table.update_rows({run_id: run_row(self.model.runs[run_id]) for run_id in run_ids})
        self._show_about()

    def on_live_table_row_highlighted(self) -> None:
        self._show_about()
        self.show_keys()

    def _show_about(self) -> None:
        view = self.chosen()
        text = about(view, self.size.width) if view is not None else Text()
        if text != self._about:
            self._about = text
            self.query_one("#about", Static).update(text, layout=False)

    def on_live_table_row_selected(self, event: LiveTable.RowSelected) -> None:
        self.soon(partial(self.desk.action_open_run, str(event.key)), "open")
