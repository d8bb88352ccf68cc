"""The migration screen: runs, and for the chosen one its windows, workers, rates and problems, live."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from streamconsole.engines.control import Verb
from streamconsole.engines.states import EngineKind, RunState
from streamconsole.screens.base import ConsoleScreen
from streamconsole.screens.formats import count, size
from streamconsole.screens.model import Changes
from streamconsole.screens.overview import NO_RUNS
from streamconsole.screens.problems import problems_of
from streamconsole.screens.replaying import ask_replay, no_use_of_replay
from streamconsole.screens.rows import PROBLEM_COLUMNS, RUN_COLUMNS, WORKER_COLUMNS, about, run_row, worker_row
from streamconsole.screens.views import RunView
from streamconsole.screens.widgets.key_line import Keys
from streamconsole.screens.widgets.live_table import LiveTable
from streamconsole.screens.widgets.spark import Spark
from streamconsole.screens.widgets.unit_map import UnitMap
from streamconsole.screens.window import WindowDetail


class MigrationScreen(ConsoleScreen):
    """Runs above; below, the chosen one in full."""

    TITLE: ClassVar[str] = "Migrations"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("t", "retry_one", "Retry one", id="window.retry"),
        Binding("e", "problems", "Problems", id="view.problems"),
        Binding("x", "rejects", "Rejects", id="view.rejects"),
        Binding("v", "verify", "Verify", id="run.verify"),
        Binding("R", "replay", "Replay refused", id="run.replay"),
        Binding("escape", "home", "Runs", id="view.runs"),
    ]

    DEFAULT_CSS = """
    MigrationScreen #runs { height: 5; }
    MigrationScreen.-low #runs { height: 4; }
    MigrationScreen.-tall #runs { height: 9; }
    MigrationScreen #about { height: 2; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    MigrationScreen LiveTable { padding: 0 1; }
    MigrationScreen #rates { height: 1; padding: 0 1; }
    MigrationScreen UnitMap { height: 6; margin: 0 1; }
    MigrationScreen.-low UnitMap { height: 3; }
    MigrationScreen.-tall UnitMap { height: 14; }
    MigrationScreen #below { height: 1fr; }
    MigrationScreen #below LiveTable { width: 1fr; }
    MigrationScreen.-narrow #problems, MigrationScreen.-normal #problems { display: none; }
    MigrationScreen.-narrow.-problems #workers, MigrationScreen.-normal.-problems #workers { display: none; }
    MigrationScreen.-narrow.-problems #problems, MigrationScreen.-normal.-problems #problems { display: block; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._run_id: str | None = None
        self._about = Text()
        self._troubled: set[int] = set()

    def body(self) -> ComposeResult:
        with Vertical():
            yield LiveTable(RUN_COLUMNS, id="runs", empty=NO_RUNS)
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

    @property
    def problems_table(self) -> LiveTable:
        """Failed attempts of the chosen run."""
        return self.query_one("#problems", LiveTable)

    def chosen(self) -> RunView | None:
        return self.model.runs.get(self._run_id) if self._run_id else None

    def more_keys(self) -> Keys:
        view = self.chosen()
        if view is None:
            return
        if view.run.state is RunState.COMPLETED and not view.verifies:
            yield "v", "Verify"
        if self.has_class("-problems") and not self.has_class("-wide"):
            yield "e", "Workers"
        else:
            yield "e", "Problems"
        yield "x", "Differences" if view.verifies else "Refused"
        if self._may_be_replayed():
            yield "R", "Replay"
        if not view.finished:
            yield "m", "Limit"

    async def choose(self, run_id: str) -> None:
        """Show a run in full."""
        self._run_id = run_id
        for spark in self.query(Spark):
            spark.clear()
        await self.model.watch(run_id)
        self.show_all()
        self.show_keys()

    # Painting --------------------------------------------------------------------------------------

    def show(self, changes: Changes) -> None:
        if changes.listed:
            self._show_runs()
        else:
            known = changes.runs & self.model.runs.keys()
            self.runs_table.update_rows({run_id: run_row(self.model.runs[run_id]) for run_id in known})
        if changes.windows:
            self.query_one(UnitMap).update_units({number - 1: state for number, state in changes.windows.items()})
        if self._run_id in changes.runs or changes.windows:
            self._show_chosen()
        if changes.problems or not self._troubled.isdisjoint(changes.windows):
            self._show_problems()
        self.show_keys()

    def show_all(self) -> None:
        self._show_runs()
        view = self.chosen()
        if view is not None:
            ledger = view.ledger or {}
            self.query_one(UnitMap).set_units([window.state for window in ledger.values()])
            self._show_chosen()
            self._show_problems()

    def _show_runs(self) -> None:
        shown = [view.run.id for view in self.model.of_engine(EngineKind.MIGRATION)]
        rows = [run_row(self.model.runs[run_id]) for run_id in shown]
        if self.runs_table.shown_keys() == shown:
            self.runs_table.update_rows(dict(zip(shown, rows, strict=True)))
        else:
            self.runs_table.set_rows(shown, rows)
        if self._run_id in shown:
            self.runs_table.move_cursor(self._run_id)
        elif shown:
            watched = self.model.watched
            self._choose_soon(watched if watched in shown else shown[0])

    def _show_chosen(self) -> None:
        view = self.chosen()
        if view is None:
            return
        text = about(view, self.size.width, self.model.verification_of(view.run.id))
        if text != self._about:
            self._about = text
            self.query_one("#about", Static).update(text, layout=False)
        self._show_workers(view)

    def _show_workers(self, view: RunView) -> None:
        table = self.query_one("#workers", LiveTable)
        at_work = view.at_work.copy()
        numbers = sorted(number for number, worker in at_work.items() if worker.window or number <= view.workers)
        verbs = ("comparing",) if view.verifies else ()
        rows = [worker_row(at_work[number], *verbs) for number in numbers]
        if table.shown_keys() != numbers:
            table.set_rows(numbers, rows)
        else:
            table.update_rows(dict(zip(numbers, rows, strict=True)))

    def _show_problems(self) -> None:
        self.soon(self._load_problems, "problems")

    async def _load_problems(self) -> None:
        view = self.chosen()
        if view is None:
            return
        keys, rows = await problems_of(self.model.workspace, view)
        self._troubled = {number for _, number in keys}
        self.problems_table.set_rows(keys, rows)
        if not self.problems_table.has_focus:
            # Who does not stand in the list wants to see the latest.
            self.problems_table.action_move_to(0)

    def beat(self) -> None:
        view = self.chosen()
        self.runs_table.update_rows(
            {run_id: run_row(each) for run_id, each in self.model.runs.items() if each.running or each.here}
        )
        if view is None:
            return
        self._show_chosen()
        if view.running:
            rows, done = view.rates()
            self.query_one("#row-rate", Spark).push(rows, count(rows))
            # Rows are what a generated source counts in: a second line would say the same twice.
            self.query_one("#byte-rate", Spark).display = view.unit == "bytes" and not view.run.spec.get("limit")
            self.query_one("#byte-rate", Spark).push(done, f"{size(done)}/s")

    # Choosing --------------------------------------------------------------------------------------

    def _choose_soon(self, run_id: str) -> None:
        self._run_id = run_id
        self.soon(partial(self.choose, run_id), "choose")

    def on_live_table_row_highlighted(self, event: LiveTable.RowHighlighted) -> None:
        if event.table.id == "runs" and event.table.has_focus and str(event.key) != self._run_id:
            self._choose_soon(str(event.key))

    def on_live_table_row_selected(self, event: LiveTable.RowSelected) -> None:
        match event.table.id:
            case "problems":
                self._open_window(event.key[1])  # type: ignore[index]
            case "workers":
                window = event.table.row(event.key)[1]
                if isinstance(window, int):
                    self._open_window(window)
            case _:
                self.query_one(UnitMap).focus()

    def on_unit_map_unit_selected(self, event: UnitMap.UnitSelected) -> None:
        number = self._worst(range(event.first + 1, event.last + 2), event.state.word)
        if number is not None:
            self._open_window(number)

    def _worst(self, numbers: range, state: str) -> int | None:
        """The first of some windows that is in a state."""
        view = self.chosen()
        ledger = (view.ledger if view else None) or {}
        return next((number for number in numbers if number in ledger and ledger[number].state == state), None)

    def _open_window(self, number: int) -> None:
        view = self.chosen()
        if view is not None:
            self.app.push_screen(WindowDetail(self.model, view, number))

    def action_problems(self) -> None:
        if not self.has_class("-wide"):
            self.toggle_class("-problems")
            shown = self.has_class("-problems")
        else:
            shown = not self.problems_table.has_focus
        self.query_one("#problems" if shown else "#workers").focus()
        self.show_keys()

    def action_rejects(self) -> None:
        view = self.chosen()
        if view is None or not view.totals.rejects:
            self.desk.tell("no row differs" if view is not None and view.verifies else "no row was refused")
        else:
            self.app.push_screen(WindowDetail(self.model, view, None))

    def action_verify(self) -> None:
        view = self.chosen()
        if view is None:
            self.desk.tell("no run is chosen", bad=True)
        elif view.verifies:
            self.desk.tell(
                f"{view.run.id} is a verification itself: choose {view.verifies} to verify it anew", bad=True
            )
        else:
            self.desk.verify(view.run.id)

    def action_replay(self) -> None:
        view = self.chosen()
        if view is not None:
            ask_replay(self.app, view)

    def _may_be_replayed(self) -> bool:
        view = self.chosen()
        return view is not None and bool(view.totals.rejects) and no_use_of_replay(view) is None

    def action_home(self) -> None:
        self.runs_table.focus()

    def action_retry_one(self) -> None:
        number = self._failed_window()
        if number is None:
            self.desk.tell("choose a failed window first: e shows the problems, or move to it on the map", bad=True)
        else:
            self.action_steer(Verb.RETRY, str(number))

    def _failed_window(self) -> int | None:
        """The failed window that the cursor is on, in the problems or on the map."""
        units = self.query_one(UnitMap)
        if units.has_focus:
            under = units.cursor_units
            return self._worst(range(under.start + 1, under.stop + 1), "failed")
        key = self.problems_table.cursor_key
        if not self.problems_table.has_focus or not isinstance(key, tuple):
            return None
        return self._worst(range(key[1], key[1] + 1), "failed")
