"""Transfers as the overview shows them: how far, how fast, and what went wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic

from rich.text import Text

from streamconsole.engines.bus import Event
from streamconsole.engines.states import SETTLED_CHUNKS, ChunkState
from streamconsole.engines.text import clean
from streamconsole.engines.transfer.events import (
    ChunkMoved,
    FileDownloaded,
    FileFailed,
    FileStarted,
    FileUploaded,
    TransferStarted,
)
from streamconsole.engines.transfer.settings import Layout
from streamconsole.screens.views import RunView


@dataclass(slots=True)
class TransferView:
    """A transfer that this process works on, followed by its events.

    Args:
        size: bytes of all files.
        done: of them, settled.
        moved: bytes that went over the line.
        retries: attempts that failed and were followed by another.
        failed: files that failed.
    """

    size: int = 0
    done: int = 0
    moved: int = 0
    retries: int = 0
    failed: int = 0
    framed: bool = True
    began: float = field(default_factory=monotonic)

    def take(self, event: Event) -> None:
        """Take an event in."""
        match event:
            case TransferStarted():
                self.size, self.framed = event.size, event.layout == Layout.FRAMED
                self.done = self.moved = self.retries = self.failed = 0
                self.began = monotonic()
            case FileStarted() if self.framed:
                self.done += event.begun
            case FileUploaded() | FileDownloaded() if not self.framed:
                # What a chunk of a stream stands for in the file is not known.
                self.done += event.size
            case FileFailed():
                self.failed += 1
            case ChunkMoved(state=ChunkState.RETRYING):
                self.retries += 1
            case ChunkMoved() if event.state in SETTLED_CHUNKS:
                self.done += event.size if self.framed else 0
                self.moved += event.stored if event.state is ChunkState.STORED else 0

    def text(self) -> str:
        """How far it is, in a few words."""
        share = f"{100 * self.done // self.size} % of {self.size / 1e6:,.0f} MB" if self.size else "0 MB"
        rate = f"{self.done / max(0.001, monotonic() - self.began) / 1e6:,.1f} MB/s"
        trouble = f", {self.retries} retries" if self.retries else ""
        return f"{share}, {rate}{trouble}" + (f", {self.failed} failed" if self.failed else "")


def transfer_lines(views: list[RunView], followed: dict[str, TransferView], most: int) -> Text:
    """The newest transfers, a line each."""
    if not views:
        return Text("No transfers yet: `streamconsole upload FILE --store URL`")
    lines = []
    for view in views[:most]:
        told = followed.get(view.run.id) if view.here and view.running else None
        more = told.text() if told is not None else clean(view.run.reason or "", limit=60)
        lines.append(f"{clean(view.run.id)}  {view.run.state}  {more}".rstrip())
    return Text("\n".join(lines))
