"""What a headless run prints: JSON Lines, progress bars on a terminal, or plain lines.

Data goes to stdout, talk to stderr.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from time import monotonic
from types import TracebackType
from typing import Any, Protocol, Self

from streamconsole.engines.bus import Event
from streamconsole.engines.migration.events import (
    RateChanged,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunPaused,
    RunResumed,
    RunStarted,
    WindowCompleted,
    WindowFailed,
    WindowRetried,
    WorkersChanged,
)
from streamconsole.engines.rate import told
from streamconsole.engines.secrets import mask
from streamconsole.engines.states import SETTLED_CHUNKS, ChunkState
from streamconsole.engines.text import clean
from streamconsole.engines.transfer.events import (
    ChunkMoved,
    FileChanged,
    FileDownloaded,
    FileFailed,
    FileStarted,
    FileUploaded,
    TransferCompleted,
    TransferStarted,
    TransferTuned,
)
from streamconsole.json_line import json_line
from streamconsole.summary import Summary
from streamconsole.wording import counted

SECONDS_BETWEEN_LINES = 5.0


class Reporter(Protocol):
    """Shows what happens, as it happens. Used as a context manager."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def event(self, event: Event) -> None:
        """Something happened."""
        ...

    def say(self, text: str) -> None:
        """Tell the operator something."""
        ...

    def summary(self, summary: Summary) -> None:
        """All is over."""
        ...


def reporter_for(*, json: bool) -> Reporter:
    """The reporter that fits where the output goes."""
    if json:
        return JsonReporter()
    if sys.stderr.isatty():
        return ProgressReporter()
    return PlainReporter()


class _Quiet:
    """Nothing to set up or to clear away."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def say(self, text: str) -> None:
        """Tell the operator something, on stderr."""
        print(clean(mask(text), limit=2000), file=sys.stderr, flush=True)  # noqa: T201


class JsonReporter(_Quiet):
    """One JSON object a line on stdout; the summary is the last."""

    def event(self, event: Event) -> None:
        """Print an event."""
        at = datetime.fromtimestamp(event.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {"event": event.name, "at": at, "engine": event.engine, "run": event.run} | event.data()
        self._print(line)

    def summary(self, summary: Summary) -> None:
        """Print the summary."""
        self._print(summary.as_json())

    @staticmethod
    def _print(line: dict[str, Any]) -> None:
        sys.stdout.write(json_line(line))
        sys.stdout.flush()


class PlainReporter(_Quiet):
    """One fact a line, no cursor movement: for logs, and for screen readers."""

    def __init__(self) -> None:
        self._progress: dict[str, _Progress | _Carried] = {}
        self._last_line = monotonic()

    def event(self, event: Event) -> None:
        """Say what is worth a line; how far it is, every few seconds."""
        if isinstance(event, (RunStarted, TransferStarted)):
            self._progress[event.run] = progress_of(event)
        moved = event.run in self._progress and self._progress[event.run].add(event)
        if moved and monotonic() - self._last_line > SECONDS_BETWEEN_LINES:
            self._last_line = monotonic()
            self.say(f"{event.run}: {self._progress[event.run].text()}")
        text = sentence(event)
        if text is not None:
            self.say(f"{event.run}: {text}")

    def summary(self, summary: Summary) -> None:
        """One line a run, on stdout."""
        for text in summary.refused:
            self.say(f"streamconsole: {text}")
        for each in summary.runs:
            if each.ended is not None and each.ended.error is not None:
                self.say(f"streamconsole: {each.ended.error}")
            print(clean(mask(each.sentence()), limit=2000), flush=True)  # noqa: T201
        for note in summary.notes:
            print(clean(mask(note), limit=2000), flush=True)  # noqa: T201
        for queue in summary.queues:
            print(clean(mask(queue.sentence()), limit=2000), flush=True)  # noqa: T201


class ProgressReporter(PlainReporter):
    """A bar per run on a terminal (stderr)."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[rows]}", markup=False),
            console=Console(stderr=True, markup=False, highlight=False),
        )
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def event(self, event: Event) -> None:
        """Move the bar; say what went wrong above it."""
        if isinstance(event, (RunStarted, TransferStarted)):
            self._progress[event.run] = progress_of(event)
            self._tasks[event.run] = self._bars.add_task(clean(event.run), total=event.size, rows="")
        progress = self._progress.get(event.run)
        if progress is not None and event.run in self._tasks and progress.add(event):
            self._bars.update(self._tasks[event.run], completed=progress.done, rows=progress.text())
        text = sentence(event)
        if text is not None and not isinstance(event, (RunStarted, TransferStarted)):
            self._bars.console.print(clean(f"{event.run}: {text}", limit=2000), markup=False)


class _Progress:
    """How far one run is, in the unit of its offsets, and how fast."""

    def __init__(self, size: int | None) -> None:
        self._size = size
        self._began = monotonic()
        self.done = 0
        self._rows = 0
        self._rejects = 0

    def add(self, event: Event) -> bool:
        """Take an event in; whether it brought the run forward."""
        if not isinstance(event, WindowCompleted):
            return False
        self.done += event.hi - event.lo
        self._rows += event.rows
        self._rejects += event.rejects
        return True

    def text(self) -> str:
        rate = self._rows / max(0.001, monotonic() - self._began)
        share = f"{100 * self.done / self._size:.0f} %, " if self._size else ""
        refused = f", {self._rejects:,} refused" if self._rejects else ""
        return f"{share}{self._rows:,} rows, {rate:,.0f} rows/s{refused}"


class _Carried:
    """How far a transfer is, in bytes of its files, and how fast."""

    def __init__(self, event: TransferStarted) -> None:
        self._size = event.size
        # Of a stream, what a chunk stands for is known only when its file is over.
        self._framed = event.layout == "framed"
        self._began = monotonic()
        self._stored = 0
        self.done = 0

    def add(self, event: Event) -> bool:
        if isinstance(event, FileStarted) and self._framed:
            self.done += event.begun
            return event.begun > 0
        if isinstance(event, (FileUploaded, FileDownloaded)) and not self._framed:
            self.done += event.size
            return True
        if not isinstance(event, ChunkMoved) or event.state not in SETTLED_CHUNKS:
            return False
        self.done += event.size if self._framed else 0
        self._stored += event.stored if event.state is ChunkState.STORED else 0
        return True

    def text(self) -> str:
        share = f"{100 * self.done / self._size:.0f} %, " if self._size else ""
        seconds = max(0.001, monotonic() - self._began)
        done, moved = self.done / 1e6, self._stored / 1e6
        return f"{share}{done:,.1f} MB, {done / seconds:,.1f} MB/s, {moved:,.1f} MB moved"


def progress_of(event: RunStarted | TransferStarted) -> _Progress | _Carried:
    """What follows how far a run is."""
    return _Carried(event) if isinstance(event, TransferStarted) else _Progress(event.size)


def sentence(event: Event) -> str | None:
    """An event in the operator's words; None when it is not worth a line."""
    if isinstance(event, (FileFailed, FileChanged, ChunkMoved, TransferStarted, TransferCompleted, TransferTuned)):
        return _transfer_sentence(event)
    if isinstance(event, (RunStarted, WorkersChanged, RateChanged)):
        return _with_what(event)
    match event:
        case RunPaused() | RunCancelled():
            # A reason may be a sentence of its own (`stopped by an operator`).
            return f"paused {event.reason}" if event.reason.startswith("by ") else event.reason
        case RunResumed():
            return "resumed"
        case RunFailed():
            return f"stopped, the {event.side} is lost: {event.reason}"
        case RunCompleted(verifies=str()):
            return f"compared: {counted(event.failed, 'window')} failed, {counted(event.rejects, 'row')} differ"
        case RunCompleted():
            done = f"completed: {counted(event.rows, 'row')}, {counted(event.failed, 'window')} failed"
            children = f", by {counted(event.writers, 'child process')}" if event.writers else ""
            replaced = f" ({event.replaced} died and were replaced)" if event.replaced else ""
            return f"{done}, {counted(event.rejects, 'row')} refused, {event.rows_read:,} read{children}{replaced}"
        case WindowRetried():
            return (
                f"window {event.window} failed (attempt {event.attempt}), again in {event.pause:.1f} s: {event.message}"
            )
        case WindowFailed():
            return f"window {event.window} failed for good: {event.message}"
    return None


def _with_what(event: RunStarted | WorkersChanged | RateChanged) -> str:
    if isinstance(event, RunStarted):
        limit = f", limit {told(event.rate)}" if event.rate else ""
        return f"{event.source} → {event.target}, {counted(event.workers, 'worker')}{limit}"
    if isinstance(event, WorkersChanged):
        return f"{counted(event.workers, 'worker')} from now on"
    return f"{'limit ' if event.rate else ''}{told(event.rate)} from now on"


def _transfer_sentence(event: Event) -> str | None:
    match event:
        case TransferStarted():
            way = "→" if event.direction == "upload" else "←"
            return f"{event.what} {way} {event.store}, {counted(event.files, 'file')}, {event.size:,} bytes"
        case TransferTuned():
            limit = f"{event.bandwidth:,} bytes/s" if event.bandwidth else "no limit"
            return f"{event.workers} at once, {event.look_ahead} ahead, {limit}"
        case ChunkMoved(state=ChunkState.RETRYING):
            return f"chunk {event.unit} failed (attempt {event.attempt}), again in {event.pause:.1f} s: {event.message}"
        case ChunkMoved(state=ChunkState.FAILED):
            return f"chunk {event.unit} failed for good: {event.message}"
        case FileFailed():
            return f"file failed: {event.message}"
        case FileChanged():
            return f"{event.path} has changed since it was begun: it is uploaded anew"
        case TransferCompleted():
            kept = f", manifest {event.manifest}" if event.manifest else ""
            return f"completed: {counted(event.files, 'file')}, {event.failed} failed{kept}"
    return None
