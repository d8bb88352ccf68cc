"""The transfers screen: transfers, and for the chosen one its files and the chunks of one of them, live."""

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
from streamconsole.engines.states import SETTLED_CHUNKS, EngineKind, FileState
from streamconsole.screens.base import ConsoleScreen
from streamconsole.screens.chunk import ChunkDetail
from streamconsole.screens.formats import size
from streamconsole.screens.model import Changes
from streamconsole.screens.transfer_loading import FileLine, load_chunks, load_files
from streamconsole.screens.transfer_rows import (
    FILE_COLUMNS,
    NO_TRANSFERS,
    TRANSFER_COLUMNS,
    file_row,
    transfer_about,
    transfer_row,
)
from streamconsole.screens.views import RunView
from streamconsole.screens.widgets.key_line import Keys
from streamconsole.screens.widgets.live_table import LiveTable
from streamconsole.screens.widgets.spark import Spark
from streamconsole.screens.widgets.unit_map import UnitMap


class TransferScreen(ConsoleScreen):
    """Transfers above; below, the files of the chosen one, and a map of the chunks of the chosen file."""

    TITLE: ClassVar[str] = "Transfers"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("t", "retry_one", "Retry file", id="file.retry"),
        Binding("escape", "home", "Transfers", id="view.transfers"),
    ]

    DEFAULT_CSS = """
    TransferScreen #transfers { height: 5; }
    TransferScreen.-low #transfers { height: 4; }
    TransferScreen.-tall #transfers { height: 9; }
    TransferScreen #about { height: 2; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    TransferScreen LiveTable { padding: 0 1; }
    TransferScreen #rates { height: 1; padding: 0 1; }
    TransferScreen #files { height: 1fr; }
    TransferScreen UnitMap { height: 6; margin: 0 1; }
    TransferScreen.-low UnitMap { height: 3; }
    TransferScreen.-tall UnitMap { height: 10; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._run_id: str | None = None
        self._file: int | None = None
        self._files: dict[int, FileLine] = {}
        self._about = Text()
        self._rest_until = 0.0

    def body(self) -> ComposeResult:
        with Vertical():
            yield LiveTable(TRANSFER_COLUMNS, id="transfers", empty=NO_TRANSFERS)
            yield Static(id="about", markup=False)
            with Horizontal(id="rates"):
                yield Spark("files ", id="file-rate", value_width=13)
                yield Spark("  sent ", id="line-rate", value_width=13)
            yield LiveTable(FILE_COLUMNS, id="files", empty="No file has been begun")
            yield UnitMap("chunk")

    def on_mount(self) -> None:
        self.table.focus()

    @property
    def table(self) -> LiveTable:
        """The transfers."""
        return self.query_one("#transfers", LiveTable)

    @property
    def files_table(self) -> LiveTable:
        """Files of the chosen one."""
        return self.query_one("#files", LiveTable)

    def chosen(self) -> RunView | None:
        return self.model.runs.get(self._run_id) if self._run_id else None

    def more_keys(self) -> Keys:
        view = self.chosen()
        if view is None:
            return
        line = self._files.get(self._file or 0)
        if line is not None:
            yield "enter", "Files" if self.table.has_focus else "Chunks" if self.files_table.has_focus else "Chunk"
        if line is not None and line.state is FileState.FAILED:
            yield "t", "Retry file"
        if not view.finished:
            yield "m", "Limit"
            yield "+-", "At once" if view.run.spec.get("upload") is not None else "Look-ahead"
            yield "C", "Cancel"

    # Painting --------------------------------------------------------------------------------------

    def show(self, changes: Changes) -> None:
        if changes.listed:
            self._show_transfers()
        else:
            known = {view.run.id for view in self.model.of_engine(EngineKind.TRANSFER)} & changes.runs
            self.table.update_rows({run_id: transfer_row(self.model.runs[run_id]) for run_id in known})
        if changes.chunks:
            self.query_one(UnitMap).update_units({number - 1: state for number, state in changes.chunks.items()})
        if self._run_id in changes.runs:
            self._show_about()
            self._look_soon()
        self.show_keys()

    def show_all(self) -> None:
        self._show_transfers()
        self._show_about()
        self._look_soon()

    def beat(self) -> None:
        self.table.update_rows(
            {view.run.id: transfer_row(view) for view in self.model.of_engine(EngineKind.TRANSFER) if view.running}
        )
        view = self.chosen()
        if view is not None and view.running:
            sent, done = view.rates()
            self.query_one("#file-rate", Spark).push(done, f"{size(done)}/s")
            self.query_one("#line-rate", Spark).push(sent, f"{size(sent)}/s")
            self._show_about()

    def _show_transfers(self) -> None:
        views = self.model.of_engine(EngineKind.TRANSFER)
        shown, rows = [view.run.id for view in views], [transfer_row(view) for view in views]
        if self.table.shown_keys() == shown:
            self.table.update_rows(dict(zip(shown, rows, strict=True)))
        else:
            self.table.set_rows(shown, rows)
        if self._run_id in shown:
            self.table.move_cursor(self._run_id)
        else:
            self._turn_to(shown[0] if shown else None)

    def _show_about(self) -> None:
        view = self.chosen()
        text = transfer_about(view, self.size.width) if view is not None else Text()
        if text != self._about:
            self._about = text
            self.query_one("#about", Static).update(text, layout=False)

    # Looking ---------------------------------------------------------------------------------------

    def _look_soon(self) -> None:
        self.soon(self._look, "files")

    async def _look(self) -> None:
        """Read the files of the chosen transfer again."""
        view = self.chosen()
        if view is None:
            return
        found = await self.model.workspace.read(load_files, view.run.id)
        if view.run.id != self._run_id:
            return
        self._files = {line.number: line for line in found}
        keys, rows = list(self._files), [file_row(line, view) for line in found]
        follows = self._file is None or self._file not in self._files or not self.files_table.has_focus
        if self.files_table.shown_keys() == keys:
            self.files_table.update_rows(dict(zip(keys, rows, strict=True)))
        else:
            self.files_table.set_rows(keys, rows)
        if follows and keys and self._file != keys[0]:
            # Who does not stand in the list wants to see what is pressing.
            self.files_table.action_move_to(0)
            await self._choose_file(keys[0])
        elif monotonic() >= self._rest_until:
            await self._read_chunks()
        self.show_keys()

    async def choose(self, run_id: str) -> None:
        """Show a transfer in full."""
        self._turn_to(run_id)

    def _turn_to(self, run_id: str | None) -> None:
        if run_id == self._run_id:
            return
        self._run_id, self._file, self._files = run_id, None, {}
        self.model.watched_file = None
        for spark in self.query(Spark):
            spark.clear()
        self.files_table.clear()
        self.query_one(UnitMap).set_units(())
        if run_id is not None and self.table.cursor_key != run_id:
            self.table.move_cursor(run_id)
        self._show_about()
        self._look_soon()

    async def _choose_file(self, number: int) -> None:
        self._file = number
        self.query_one(UnitMap).set_units(())
        if self._run_id is not None:
            # From now on its chunks are told of; what happened before is read.
            self.model.watched_file = (self._run_id, number)
            await self._read_chunks()

    async def _read_chunks(self) -> None:
        run_id, number = self._run_id, self._file
        if run_id is None or number is None:
            return
        begun = monotonic()
        states = await self.model.workspace.read(load_chunks, run_id, number)
        # Reading takes a fifth of the time at most, however many chunks there are.
        self._rest_until = begun + 5 * (monotonic() - begun)
        view = self.chosen()
        if view is not None and (run_id, number) == (self._run_id, self._file):
            # What is tried again here stands in the ledger as it was before.
            shown = {each: state for each, state in states.items() if not view.here or state in SETTLED_CHUNKS}
            self.query_one(UnitMap).update_units({each - 1: state for each, state in shown.items()})

    # Choosing --------------------------------------------------------------------------------------

    def on_live_table_row_highlighted(self, event: LiveTable.RowHighlighted) -> None:
        if not event.table.has_focus:
            return
        if event.table.id == "transfers":
            self._turn_to(str(event.key))
        elif event.key != self._file:
            self.soon(partial(self._choose_file, int(str(event.key))), "chunks")
        self.show_keys()

    def on_descendant_focus(self) -> None:
        self.show_keys()

    def on_live_table_row_selected(self, event: LiveTable.RowSelected) -> None:
        (self.files_table if event.table.id == "transfers" else self.query_one(UnitMap)).focus()

    def on_unit_map_unit_selected(self, event: UnitMap.UnitSelected) -> None:
        view = self.chosen()
        if view is not None and self._file is not None:
            numbers = range(event.first + 1, event.last + 2)
            self.app.push_screen(ChunkDetail(self.model, view, self._files.get(self._file), self._file, numbers))

    def action_home(self) -> None:
        (self.files_table if self.query_one(UnitMap).has_focus else self.table).focus()

    # Verbs -----------------------------------------------------------------------------------------

    def action_retry_one(self) -> None:
        line = self._files.get(self._file or 0)
        if line is None or line.state is not FileState.FAILED:
            self.desk.tell("choose a failed file first", bad=True)
        else:
            self.action_steer(Verb.RETRY, str(line.number))

    def cancelled_means(self, view: RunView) -> str:
        return (
            f"Active chunks finish, stored ones stay in the store; {view.totals.completed:,} files are done, "
            "the others are not."
        )
