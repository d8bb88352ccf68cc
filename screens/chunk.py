"""Chunks of a file in full: where they are, what they are named, and what went wrong."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from sqlalchemy.exc import SQLAlchemyError
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from streamconsole.engines.errors import StreamConsoleError
from streamconsole.engines.secrets import mask
from streamconsole.engines.text import clean
from streamconsole.engines.workspace.chunks import ChunkRecord
from streamconsole.screens.formats import size
from streamconsole.screens.model import Model
from streamconsole.screens.transfer_loading import FileLine, load_chunk
from streamconsole.screens.views import RunView
from streamconsole.screens.widgets.key_line import KeyLine

MOST = 50
"""Chunks that are told of at once: a cell of the map may stand for more."""


class ChunkDetail(ModalScreen[None]):
    """What is kept of the chunks under the map's cursor.

    Args:
        model: where to read from.
        view: their transfer.
        line: their file.
        file: its number.
        numbers: theirs.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,backspace", "close", "Back")]

    DEFAULT_CSS = """
    ChunkDetail { align: center top; }
    ChunkDetail > VerticalScroll {
        width: 100%; height: 1fr; border: round $accent; padding: 0 1; background: $surface;
        scrollbar-size-vertical: 1;
    }
    ChunkDetail KeyLine { dock: bottom; }
    """

    def __init__(self, model: Model, view: RunView, line: FileLine | None, file: int, numbers: range) -> None:
        super().__init__()
        self._model = model
        self._view = view
        self._line = line
        self._file = file
        self._numbers = numbers

    def compose(self) -> ComposeResult:
        with VerticalScroll() as panel:
            path = clean(self._line.path) if self._line is not None else f"file {self._file}"
            panel.border_title = Text(f"{clean(self._view.run.id)}: {path}")
            yield Static(id="facts", markup=False)
        yield KeyLine((("↑↓", "Scroll"), ("esc", "Back")))

    async def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()
        text = Text()
        if self._line is not None and self._line.error:
            text.append(f"{clean(mask(self._line.error))}\n\n", style="bold")
        try:
            for number in self._numbers[:MOST]:
                record = await self._model.workspace.read(load_chunk, self._view.run.id, self._file, number)
                text.append_text(_facts(number, record))
        except (StreamConsoleError, SQLAlchemyError) as error:
            text.append(f"the workspace cannot be read now: {clean(mask(str(error)))}")
        if len(self._numbers) > MOST:
            text.append(f"and {len(self._numbers) - MOST:,} more")
        self.query_one("#facts", Static).update(text)

    def action_close(self) -> None:
        self.dismiss()


def _facts(number: int, record: ChunkRecord | None) -> Text:
    text = Text()
    if record is None:
        text.append(f"chunk {number:,}", style="bold")
        text.append("  on its way: kept when it comes to its end\n\n", style="not bold")
        return text
    text.append(f"chunk {number:,}  {record.state}", style="bold")
    text.append(
        f"  bytes {record.lo:,} to {record.lo + record.size:,} ({size(record.size)}), "
        f"{size(record.stored)} in the store, attempt {record.attempt}\n",
        style="not bold",
    )
    if record.digest:
        text.append(f"{record.digest}\n", style="not bold")
    if record.error:
        text.append(f"{clean(mask(record.error))}\n", style="bold")
    text.append("\n")
    return text
