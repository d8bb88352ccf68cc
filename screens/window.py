"""One window in full, or the refused rows of a whole run."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from streamconsole.engines.control import Verb
from streamconsole.engines.states import WindowState
from streamconsole.engines.text import clean
from streamconsole.engines.workspace import rejects, windows
from streamconsole.engines.workspace.windows import WindowRecord
from streamconsole.screens.formats import size, span
from streamconsole.screens.model import Model
from streamconsole.screens.replaying import ask_replay, no_use_of_replay
from streamconsole.screens.steering import Desk, command_for
from streamconsole.screens.views import RunView
from streamconsole.screens.widgets.key_line import KeyLine
from streamconsole.screens.widgets.live_table import Column, LiveTable

REJECT_COLUMNS = (
    Column("line", "LINE", width=9, align="right"),
    Column("column", "COLUMN", width=12, priority=2),
    Column("reason", "REASON", min_width=20),
    Column("row", "ROW", min_width=10, priority=3),
)

REJECTS_SHOWN = 5_000
ATTEMPTS_SHOWN = 6


class WindowDetail(ModalScreen[None]):
    """Range, state, attempts and refused rows of a window; with no number, refused rows of the run.

    Args:
        model: where to read from.
        view: the run.
        number: the window; None for all.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,backspace,x", "close", "Back"),
        Binding("t", "retry", "Retry it", id="window.retry"),
        Binding("R", "replay", "Replay refused", id="run.replay"),
    ]

    DEFAULT_CSS = """
    WindowDetail { align: center top; }
    WindowDetail > Vertical { width: 100%; height: 1fr; border: round $accent; padding: 0 1; background: $surface; }
    WindowDetail #facts { height: auto; max-height: 9; margin-bottom: 1; }
    WindowDetail #reject { height: auto; max-height: 5; border-top: solid $border-blurred; }
    WindowDetail KeyLine { dock: bottom; }
    """

    def __init__(self, model: Model, view: RunView, number: int | None) -> None:
        super().__init__()
        self._model = model
        self._view = view
        self._number = number
        self._refused: list[dict[str, Any]] = []

    def compose(self) -> ComposeResult:
        with Vertical() as panel:
            refused = "rows that differ" if self._view.verifies else "refused rows"
            title = f"window {self._number}" if self._number else refused
            panel.border_title = Text(f"{clean(self._view.run.id)}: {title}")
            yield Static(id="facts", markup=False)
            yield LiveTable(REJECT_COLUMNS, empty="No row differs" if self._view.verifies else "No row was refused")
            yield Static(id="reject", markup=False)
        yield KeyLine((("R", "Replay them"), ("esc", "Back")) if self._can_be_replayed() else (("esc", "Back"),))

    async def on_mount(self) -> None:
        self.query_one("#reject").display = False
        self.query_one(LiveTable).focus()
        # What a replay still refuses stands in the list of the run that it is for.
        run_id = self._view.run.plan.get("replays") or self._view.run.id
        self._refused = await self._model.workspace.read(rejects.listing, run_id, self._number, REJECTS_SHOWN)
        self.query_one(LiveTable).set_rows(
            range(len(self._refused)),
            [(each["line"], each["column"] or "", each["reason"], each["row"]) for each in self._refused],
        )
        facts = Text(self._refused_in_all()) if self._number is None else await self._about_window(self._number)
        self.query_one("#facts", Static).update(facts)

    def _refused_in_all(self) -> str:
        total = self._view.totals.rejects
        more = f", the first {REJECTS_SHOWN:,} of them here" if total > REJECTS_SHOWN else ""
        what = "differ" if self._view.verifies else "refused"
        return f"{total:,} rows {what}{more}; `streamconsole runs rejects {self._view.run.id}` prints them all"

    async def _about_window(self, number: int) -> Text:
        record = await self._model.workspace.read(windows.get, self._view.run.id, number)
        failures = await self._model.workspace.read(windows.failures_of, self._view.run.id, number, 1000)
        if record is None:
            return Text("no such window")
        if record.state is WindowState.FAILED:
            self.query_one(KeyLine).show((("t", "Retry it"), ("esc", "Back")))
        return _facts(record, failures, self._view.unit)

    def on_live_table_row_highlighted(self, event: LiveTable.RowHighlighted) -> None:
        each = self._refused[int(str(event.key))]
        text = Text(clean(each["reason"]), style="bold")
        text.append(f"\n{clean(each['row'], limit=2000)}", style="not bold")
        reject = self.query_one("#reject", Static)
        reject.display = True
        reject.update(text)

    def _can_be_replayed(self) -> bool:
        return self._number is None and no_use_of_replay(self._view) is None

    def action_replay(self) -> None:
        if self._number is None:
            self.dismiss()
            ask_replay(self.app, self._view)

    def action_close(self) -> None:
        self.dismiss()

    def action_retry(self) -> None:
        if self._number is not None:
            cast("Desk", self.app).send(command_for(self._view, Verb.RETRY, str(self._number)))
            self.dismiss()


def _facts(record: WindowRecord, failures: list[dict[str, object]], unit: str) -> Text:
    window = record.window
    text = Text()
    text.append(f"{record.state}", style="bold")
    many = f" ({size(window.hi - window.lo)})" if unit == "bytes" else ""
    text.append(f"  {unit} {window.lo:,} to {window.hi:,}{many}, rows from {window.first_row + 1:,}\n")
    text.append(
        f"{record.rows_read:,} read, {record.rows_written:,} written, {record.rejects:,} refused; "
        f"attempt {record.attempt}, worker {record.worker or '-'}{_times(record)}\n"
    )
    for failure in failures[:ATTEMPTS_SHOWN]:
        text.append(f"{_clock(failure['at'])} attempt {failure['attempt']} failed: {clean(failure['message'])}\n")
    if len(failures) > ATTEMPTS_SHOWN:
        text.append(f"and {len(failures) - ATTEMPTS_SHOWN:,} earlier attempts\n")
    text.rstrip()
    return text


def _times(record: WindowRecord) -> str:
    if record.started_at is None:
        return ""
    took = f", {span((record.finished_at - record.started_at) / 1000)}" if record.finished_at else ""
    return f", began {_clock(record.started_at)}{took}"


def _clock(milliseconds: object) -> str:
    return datetime.fromtimestamp(int(str(milliseconds)) / 1000).astimezone().strftime("%H:%M:%S")
