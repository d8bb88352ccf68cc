"""The migration screen: runs, and for the chosen one its windows, workers, rates and problems, live."""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from streamconsole.engines.control import Verb
from streamconsole.engines.secrets import mask
from streamconsole.engines.states import EngineKind
from streamconsole.engines.text import clean
from streamconsole.engines.workspace import windows
from streamconsole.screens.base import ConsoleScreen
from streamconsole.screens.formats import bar, count, share, size, span
from streamconsole.screens.model import Changes, RunView, WorkerView, of_engine
from streamconsole.screens.overview import COLUMNS, row_of
from streamconsole.screens.steering import command_for
from streamconsole.screens.widgets.live_table import Column, LiveTable, Row
from streamconsole.screens.widgets.spark import Spark
from streamconsole.screens.widgets.unit_map import UnitMap
from streamconsole.screens.window import WindowDetail

WORKER_COLUMNS = (
    Column("worker", "WORKER", width=6, align="right"),
    Column("window", "WINDOW", width=8, align="right"),
    Column("since", "FOR", width=6, align="right"),
    Column("done", "DONE", width=6, align="right", priority=2),
    Column("rows", "ROWS", width=7, align="right", priority=2),
    Column("note", "DOING", min_width=12),
)

PROBLEM_COLUMNS = (
    Column("window", "WINDOW", width=7, align="right"),
    Column("attempt", "TRY", width=3, align="right"),
    Column("message", "PROBLEM (latest first)", min_width=20),
)

PROBLEMS_SHOWN = 500


class MigrationScreen(ConsoleScreen):
    """Runs above; below, the chosen one in full."""

    TITLE: ClassVar[str] = "Migrations"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("t", "retry_one", "Retry one", show=False, id="window.retry"),
        Binding("e", "problems", "Problems", id="view.problems"),
        Binding("x", "rejects", "Rejects", id="view.rejects"),
    ]

    DEFAULT_CSS = """
    MigrationScreen #runs { height: 5; }
    MigrationScreen.-tall #runs { height: 9; }
    MigrationScreen #about { height: 2; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    MigrationScreen LiveTable { padding: 0 1; }
    MigrationScreen #rates { height: 1; padding: 0 1; }
    MigrationScreen UnitMap { height: 5; margin: 0 1; }
    MigrationScreen.-tall UnitMap { height: 12; }
    MigrationScreen #below { height: 1fr; }
    MigrationScreen #below LiveTable { width: 1fr; }
    MigrationScreen.-narrow #problems, MigrationScreen.-normal #problems { display: none; }
    MigrationScreen.-narrow.-problems #workers, MigrationScreen.-normal.-problems #workers { display: none; }
    MigrationScreen.-narrow.-problems #problems, MigrationScreen.-normal.-problems #problems { display: block; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._run_id: str | None = None

    def body(self) -> ComposeResult:
        with Vertical():
            yield LiveTable(COLUMNS, id="runs", empty="No runs yet: `streamconsole migrate SOURCE TARGET` makes one")
            yield Static(id="about", markup=False)
            with Horizontal(id="rates"):
                yield Spark("rows/s ", id="row-rate", value_width=8)
                yield Spark("  ", id="byte-rate", value_width=14)
            yield UnitMap("window")
            with Horizontal(id="below"):
                yield LiveTable(WORKER_COLUMNS, id="workers", empty="No worker is at work")
                yield LiveTable(PROBLEM_COLUMNS, id="problems", empty="No window has failed")

    def on_mount(self) -> None:
        self.query_one("#runs").focus()

    @property
    def runs_table(self) -> LiveTable:
        """The runs."""
        return self.query_one("#runs", LiveTable)

    def chosen(self) -> RunView | None:
        return self.model.runs.get(self._run_id) if self._run_id else None

    async def choose(self, run_id: str) -> None:
        """Show a run in full."""
        self._run_id = run_id
        for spark in self.query(Spark):
            spark.clear()
        await self.model.watch(run_id)
        self.show_all()

    # Painting --------------------------------------------------------------------------------------

    def show(self, changes: Changes) -> None:
        if changes.reloaded:
            self.show_all()
            return
        self.runs_table.update_rows(
            {run_id: row_of(self.model.runs[run_id]) for run_id in changes.runs if run_id in self.model.runs}
        )
        if self._run_id in changes.runs:
            self._show_chosen(changes.windows)
            if changes.problems:
                self._show_problems()

    def show_all(self) -> None:
        views = of_engine(self.model, EngineKind.MIGRATION)
        shown = [view.run.id for view in views]
        if list(self.runs_table.shown_keys()) == shown:
            self.runs_table.update_rows({view.run.id: row_of(view) for view in views})
        else:
            self.runs_table.set_rows(shown, [row_of(view) for view in views])
        if self._run_id not in self.model.runs and views:
            self.run_worker(partial(self.choose, views[0].run.id), group="choose", exclusive=True)
            return
        view = self.chosen()
        if view is not None:
            self.runs_table.move_cursor(view.run.id)
            ledger = view.ledger or {}
            self.query_one(UnitMap).set_units([ledger[number].state for number in sorted(ledger)])
            self._show_chosen({})
            self._show_problems()

    def _show_chosen(self, changed: dict[int, str]) -> None:
        view = self.chosen()
        if view is None:
            return
        if changed:
            self.query_one(UnitMap).update_units({number - 1: state for number, state in changed.items()})
        self.query_one("#about", Static).update(_about(view, self.size.width), layout=False)
        self._show_workers(view)

    def _show_workers(self, view: RunView) -> None:
        table = self.query_one("#workers", LiveTable)
        numbers = sorted(number for number, worker in view.at_work.items() if worker.window or number <= view.workers)
        if table.shown_keys() != numbers:
            table.set_rows(numbers, [_worker_row(view.at_work[number]) for number in numbers])
        else:
            table.update_rows({number: _worker_row(view.at_work[number]) for number in numbers})

    def _show_problems(self) -> None:
        self.run_worker(self._load_problems, group="problems", exclusive=True)

    async def _load_problems(self) -> None:
        view = self.chosen()
        if view is None:
            return
        found = (await self.model.workspace.read(windows.failures_of, view.run.id))[:PROBLEMS_SHOWN]
        table = self.query_one("#problems", LiveTable)
        table.set_rows(
            [(each["id"], each["window"]) for each in found],
            [(each["window"], each["attempt"], each["message"]) for each in found],
        )

    def beat(self) -> None:
        """Once a second: rates and times."""
        view = self.chosen()
        if view is None:
            return
        rows, offsets = view.rates()
        running = view.run.state == "running"
        if running or self.query_one("#row-rate", Spark).samples:
            self.query_one("#row-rate", Spark).push(rows if running else 0, count(rows) if running else "-")
            # Rows are what a generated source counts in: a second line would say the same twice.
            self.query_one("#byte-rate", Spark).display = view.unit == "bytes"
            self.query_one("#byte-rate", Spark).push(
                offsets if running else 0, f"{size(offsets)}/s" if running else "-"
            )
        self.query_one("#about", Static).update(_about(view, self.size.width), layout=False)
        self._show_workers(view)

    # Choosing --------------------------------------------------------------------------------------

    async def on_live_table_row_highlighted(self, event: LiveTable.RowHighlighted) -> None:
        if event.table.id == "runs" and event.table.has_focus and str(event.key) != self._run_id:
            await self.choose(str(event.key))

    def on_live_table_row_selected(self, event: LiveTable.RowSelected) -> None:
        if event.table.id == "problems":
            self._open_window(event.key[1])  # type: ignore[index]
        elif event.table.id == "runs":
            self.query_one(UnitMap).focus()

    def on_unit_map_unit_selected(self, event: UnitMap.UnitSelected) -> None:
        view = self.chosen()
        if view is None or view.ledger is None:
            return
        inside = range(event.first + 1, event.last + 2)
        worst = [number for number in inside if number in view.ledger and view.ledger[number].state == event.state.word]
        self._open_window((worst or list(inside))[0])

    def _open_window(self, number: int) -> None:
        view = self.chosen()
        if view is not None:
            self.app.push_screen(WindowDetail(self.model, view, number))

    def action_problems(self) -> None:
        self.toggle_class("-problems")
        shown = self.has_class("-problems") or self.query_one("#problems").display
        self.query_one("#problems" if shown else "#workers").focus()

    def action_rejects(self) -> None:
        view = self.chosen()
        if view is not None:
            self.app.push_screen(WindowDetail(self.model, view, None))

    def action_retry_one(self) -> None:
        view = self.chosen()
        table = self.query_one("#problems", LiveTable)
        key = table.cursor_key
        if view is None or not table.has_focus or key is None:
            self.desk.tell("choose a failed window first: e shows the problems, or enter on the map", bad=True)
            return
        self.desk.send(command_for(view, Verb.RETRY, str(key[1])))  # type: ignore[index]


def _worker_row(worker: WorkerView) -> Row:
    busy = worker.window is not None
    doing = worker.note or (("again, " if worker.attempt > 1 else "") + "reading, fitting, writing" if busy else "free")
    return (
        worker.number,
        worker.window if busy else None,
        span(monotonic() - worker.since) if busy else "",
        count(worker.done),
        count(worker.rows),
        doing,
    )


def _about(view: RunView, width: int) -> Text:
    run, totals = view.run, view.totals
    where = f"{mask(str(run.spec.get('source', '')))} → {mask(str(run.spec.get('target', '')))}"
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(clean(run.id), style="bold")
    state = "interrupted: its process died, p resumes it" if view.interrupted else str(run.state)
    reason = f" ({clean(run.reason)})" if run.reason else ""
    owner = f"  by {clean(view.owner)}" if view.owner and not view.here else ""
    text.append(f"  {state}{reason}{owner}  {clean(where)}\n")
    cells = max(8, min(40, width - 60))
    if view.share is not None:
        text.append(bar(view.share, cells) + " ")
    text.append(f"{share(view)}  {totals.rows_written:,} rows  ETA {span(view.eta())}  {view.workers} workers")
    if totals.rejects:
        text.append(f"  {totals.rejects:,} refused", style="bold")
    if totals.failed:
        text.append(f"  {totals.failed:,} failed", style="bold")
    return text
