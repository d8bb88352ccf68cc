"""The overview: one panel for each of the four engines, side by side."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Grid
from textual.widgets import Static

from streamconsole.engines.states import EngineKind
from streamconsole.screens.base import ConsoleScreen
from streamconsole.screens.formats import count, share, span
from streamconsole.screens.model import Changes, RunView, of_engine
from streamconsole.screens.widgets.live_table import Column, LiveTable, Row

NOT_YET = {
    "queue": ("Queues", "no queue engine in this version"),
    "transfers": ("Transfers", "no transfer engine in this version"),
    "processes": ("Processes", "no process engine in this version"),
}

COLUMNS = (
    Column("state", "STATE", width=11, states="run"),
    Column("run", "RUN", min_width=10),
    Column("share", "DONE", width=5, align="right"),
    Column("rows", "ROWS", width=6, align="right", priority=3),
    Column("rate", "ROWS/S", width=6, align="right", priority=2),
    Column("eta", "ETA", width=7, align="right", priority=4),
    Column("bad", "BAD", width=5, align="right", priority=3),
)


def row_of(view: RunView) -> Row:
    """A run as a row of the overview."""
    rows_a_second, _ = view.rates()
    return (
        "failure" if view.interrupted else view.run.state,
        view.run.id,
        share(view),
        count(view.totals.rows_written),
        count(rows_a_second) if view.run.state == "running" else "",
        span(view.eta()) if view.eta() is not None else "",
        count(view.totals.failed + view.totals.rejects) if view.totals.failed + view.totals.rejects else "",
    )


class OverviewScreen(ConsoleScreen):
    """Four panels; enter on a run opens it."""

    TITLE: ClassVar[str] = "Overview"

    DEFAULT_CSS = """
    OverviewScreen Grid { grid-size: 2 2; grid-gutter: 0 1; height: 1fr; }
    OverviewScreen.-narrow Grid { grid-size: 1 4; grid-rows: 1fr 3 3 3; }
    OverviewScreen.-normal Grid { grid-size: 1 4; grid-rows: 1fr 3 3 3; }
    OverviewScreen #migrations { border: round $primary; }
    OverviewScreen #migrations:focus { border: round $accent; }
    OverviewScreen .panel { border: round $panel-lighten-2; padding: 0 1; color: $text-muted; height: 1fr; }
    """

    def body(self) -> ComposeResult:
        with Grid():
            table = LiveTable(
                COLUMNS, id="migrations", empty="No runs yet: `streamconsole migrate SOURCE TARGET` makes one"
            )
            table.border_title = "Migrations"
            yield table
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

    def show(self, changes: Changes) -> None:
        if changes.reloaded:
            self.show_all()
            return
        self.table.update_rows(
            {run_id: row_of(self.model.runs[run_id]) for run_id in changes.runs if run_id in self.model.runs}
        )

    def show_all(self) -> None:
        views = of_engine(self.model, EngineKind.MIGRATION)
        shown = [view.run.id for view in views]
        if list(self.table.shown_keys()) == shown:
            self.table.update_rows({view.run.id: row_of(view) for view in views})
        else:
            self.table.set_rows(shown, [row_of(view) for view in views])

    def on_live_table_row_selected(self, event: LiveTable.RowSelected) -> None:
        self.app.run_worker(partial(self.app.run_action, f"open_run({str(event.key)!r})"))
