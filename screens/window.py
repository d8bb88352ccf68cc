"""One window in full, or the refused rows of a whole run."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from streamconsole.engines.control import Verb
from streamconsole.engines.text import clean
from streamconsole.engines.workspace import rejects, windows
from streamconsole.engines.workspace.windows import WindowRecord
from streamconsole.screens.model import Model, RunView
from streamconsole.screens.steering import Desk, command_for
from streamconsole.screens.widgets.live_table import Column, LiveTable

REJECT_COLUMNS = (
    Column("line", "LINE", width=9, align="right"),
    Column("column", "COLUMN", width=14),
    Column("reason", "REASON", min_width=20),
    Column("row", "ROW", min_width=10, priority=2),
)

REJECTS_SHOWN = 5_000


class WindowDetail(ModalScreen[None]):
    """Range, state, attempts and refused rows of a window; with no number, refused rows of the run.

    Args:
        model: where to read from.
        view: the run.
        number: the window; None for all.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,backspace", "close", "Back"),
        Binding("t", "retry", "Retry it", id="window.retry"),
    ]

    DEFAULT_CSS = """
    WindowDetail { align: center middle; }
    WindowDetail > Vertical {
        width: 96%; height: 90%; border: round $accent; padding: 0 1; background: $surface;
    }
    WindowDetail #facts { height: auto; max-height: 12; margin-bottom: 1; }
    """

    def __init__(self, model: Model, view: RunView, number: int | None) -> None:
        super().__init__()
        self._model = model
        self._view = view
        self._number = number

    def compose(self) -> ComposeResult:
        with Vertical() as panel:
            title = f"window {self._number}" if self._number else "refused rows"
            panel.border_title = Text(f"{clean(self._view.run.id)}: {title}")
            panel.border_subtitle = "t retry  esc back" if self._number else "esc back"
            yield Static(id="facts", markup=False)
            yield LiveTable(REJECT_COLUMNS, empty="No row was refused")

    async def on_mount(self) -> None:
        run_id = self._view.run.id
        record = None
        if self._number is not None:
            record = await self._model.workspace.read(windows.get, run_id, self._number)
        failures = await self._model.workspace.read(windows.failures_of, run_id, self._number)
        refused = await self._model.workspace.read(rejects.listing, run_id, self._number, REJECTS_SHOWN)
        facts = _facts(record, failures) if record else Text(f"{self._view.totals.rejects:,} rows refused")
        self.query_one("#facts", Static).update(facts)
        table = self.query_one(LiveTable)
        table.set_rows(
            range(len(refused)),
            [(each["line"], each["column"] or "", each["reason"], each["row"]) for each in refused],
        )
        table.focus()

    def action_close(self) -> None:
        self.dismiss()

    def action_retry(self) -> None:
        if self._number is not None:
            cast("Desk", self.app).send(command_for(self._view, Verb.RETRY, str(self._number)))
            self.dismiss()


def _facts(record: WindowRecord, failures: list[dict[str, object]]) -> Text:
    window = record.window
    text = Text()
    text.append(f"{record.state}", style="bold")
    text.append(f"  offsets {window.lo:,} to {window.hi:,}, rows {window.first_row + 1:,} and on\n")
    text.append(
        f"{record.rows_read:,} read, {record.rows_written:,} written, {record.rejects:,} refused, "
        f"attempt {record.attempt}, worker {record.worker or '-'}\n"
    )
    for failure in failures[:6]:
        at = datetime.fromtimestamp(int(str(failure["at"])) / 1000).astimezone().strftime("%H:%M:%S")
        text.append(f"{at} attempt {failure['attempt']} failed: {clean(failure['message'])}\n")
    return text
