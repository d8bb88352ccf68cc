"""What the transfer engine says on the bus."""

from __future__ import annotations

from dataclasses import dataclass

from streamconsole.engines.bus import Event
from streamconsole.engines.states import ChunkState


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferStarted(Event):
    """A process has begun, or gone on, with a transfer; `size` in bytes, of all files."""

    name_of_run: str
    direction: str
    what: str
    store: str
    layout: str
    files: int
    size: int
    workers: int
    look_ahead: int
    bandwidth: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferCompleted(Event):
    """Every file has its outcome. `manifest` is where an upload's was written, or None."""

    files: int
    failed: int
    size: int
    sent: int
    manifest: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferTuned(Event):
    """Live settings were changed."""

    workers: int
    look_ahead: int
    bandwidth: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _FileEvent(Event):
    file: int
    path: str

    @property
    def unit(self) -> str:
        """The file's number."""
        return str(self.file)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStarted(_FileEvent):
    """A file is worked on; `begun` of its bytes were settled by an earlier attempt."""

    size: int
    begun: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileUploaded(_FileEvent):
    """Every chunk of a file is stored."""

    size: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDownloaded(_FileEvent):
    """A file is whole, checked, and in its place."""

    size: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFailed(_FileEvent):
    """A file could not be transferred; `failures` names the chunks that failed for good."""

    message: str
    failures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChanged(_FileEvent):
    """A file is not what it was when it was begun: it is done anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkMoved(Event):
    """A chunk came into another state.

    `size` is what it stands for in the file (or the compressed stream), `stored` what it has in the store;
    `pause` seconds follow before the next attempt.
    """

    file: int
    chunk: int
    state: ChunkState
    size: int
    stored: int
    attempt: int = 1
    code: str = ""
    message: str = ""
    pause: float = 0.0
    digest: str = ""

    @property
    def unit(self) -> str:
        """File and chunk."""
        return f"{self.file}/{self.chunk}"
