"""The ledger of a transfer: what came to an end is kept in the workspace, many chunks with one commit.

A chunk is kept only together with a state of the file's digest that holds it: what is kept is never read
again. What was stored and not yet kept when a process dies is read again, and found in the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from streamconsole.engines.bus import Bus, Event
from streamconsole.engines.errors import StreamConsoleError
from streamconsole.engines.states import SETTLED_CHUNKS, ChunkState, EngineKind
from streamconsole.engines.transfer.chunks import Checkpoint, Chunk, ChunkNews
from streamconsole.engines.transfer.events import ChunkMoved
from streamconsole.engines.transfer.settings import Layout
from streamconsole.engines.workspace import Workspace, chunks, events
from streamconsole.engines.workspace.chunks import ChunkRecord
from streamconsole.engines.workspace.runs import Run

EVERY: Final = 0.2
"""Seconds between two commits."""


class Ledger:
    """Keeps what happens to the chunks of one run, and tells it on the bus.

    Args:
        workspace: where it is kept.
        bus: told of every step.
        run: the run, as claimed.
        layout: of its files.
        stop: called when the workspace is lost: nothing more may begin.
    """

    def __init__(self, workspace: Workspace, bus: Bus, run: Run, layout: Layout, stop: Callable[[], None]) -> None:
        self._workspace = workspace
        self._bus = bus
        self._run = run
        self._layout = layout
        self._stop = stop
        self._settled: list[ChunkRecord] = []
        self._told: list[Event] = []
        self._checkpoints: dict[int, list[Checkpoint]] = {}
        self._prefix: dict[int, _Prefix] = {}
        self._failures: dict[int, list[str]] = {}
        self._writing = asyncio.Lock()
        self._flushing: asyncio.Task[None] | None = None
        self.lost: StreamConsoleError | None = None

    # An owner of chunks --------------------------------------------------------------------------

    def chunk(self, news: ChunkNews) -> None:
        """Something happened to a chunk."""
        chunk = news.chunk
        event = ChunkMoved(
            engine=EngineKind.TRANSFER,
            run=self._run.id,
            file=chunk.file,
            chunk=chunk.number,
            state=news.state,
            size=chunk.size,
            stored=chunk.stored,
            attempt=news.attempt,
            code=news.code,
            message=news.message,
            pause=news.pause,
            digest=chunk.digest,
        )
        self._bus.publish(event)
        if news.state in SETTLED_CHUNKS:
            self.prefix(chunk.file).add(chunk)
            self._keep(news)
        elif news.state in (ChunkState.FAILED, ChunkState.RETRYING):
            self._told.append(event)
            if news.state is ChunkState.FAILED:
                self._failures.setdefault(chunk.file, []).append(f"chunk {chunk.number}: {news.message}")
                self._keep(news)
            self._soon()

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """A file has been read so far."""
        self._checkpoints.setdefault(checkpoint.file, []).append(checkpoint)
        if self._layout is Layout.FRAMED:
            del self._checkpoints[checkpoint.file][:-1]

    # For the run ---------------------------------------------------------------------------------

    def prefix(self, file: int) -> _Prefix:
        """How much of a file's beginning is settled without a gap."""
        return self._prefix.setdefault(file, _Prefix())

    def failures(self, file: int) -> tuple[str, ...]:
        """Chunks of a file that failed for good, since it was begun."""
        return tuple(self._failures.pop(file, ()))

    def forget(self, file: int) -> None:
        """A file is over: nothing about it is needed any more."""
        self._checkpoints.pop(file, None)
        self._prefix.pop(file, None)

    async def flush(self) -> None:
        """Keep what has gathered.

        Raises:
            SideLost: the workspace is gone.
            StaleEpoch: somebody else owns the run by now.
        """
        async with self._writing:
            settled, self._settled = self._settled, []
            told, self._told = self._told, []
            read = [each for file in list(self._checkpoints) if (each := self._read(file)) is not None]
            if settled or told or read:
                await self._workspace.write(_keep, self._run, settled, read, told)

    async def close(self) -> None:
        """Keep what has gathered, as far as that is possible."""
        if self._flushing is not None:
            self._flushing.cancel()
            with suppress(asyncio.CancelledError):
                await self._flushing
        with suppress(StreamConsoleError):
            await self.flush()

    def _read(self, file: int) -> tuple[int, int, str | None, int] | None:
        """The last checkpoint of a file that can be gone on from."""
        waiting = self._checkpoints[file]
        settled_to = self.prefix(file).end
        usable = [c for c in waiting if self._layout is Layout.FRAMED or c.packed <= settled_to]
        if not usable:
            return None
        last = usable[-1]
        self._checkpoints[file] = waiting[len(usable) :]
        return file, last.offset, last.state, last.packed

    def _keep(self, news: ChunkNews) -> None:
        chunk = news.chunk
        error = news.message if news.state is ChunkState.FAILED else None
        self._settled.append(
            ChunkRecord(
                chunk.file,
                chunk.number,
                chunk.lo,
                chunk.size,
                chunk.stored,
                chunk.digest,
                news.state,
                news.attempt,
                error,
            )
        )
        self._soon()

    def _soon(self) -> None:
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush_soon())

    async def _flush_soon(self) -> None:
        while self.lost is None and (self._settled or self._told):
            await asyncio.sleep(EVERY)
            try:
                await self.flush()
            except StreamConsoleError as error:
                self.lost = error
                self._stop()


class _Prefix:
    """The end of what is settled without a gap, of chunks that come in any order."""

    def __init__(self) -> None:
        self.end = 0
        self._beyond: dict[int, int] = {}

    def add(self, chunk: Chunk) -> None:
        """A chunk is settled."""
        self._beyond[chunk.lo] = chunk.hi
        while self.end in self._beyond:
            self.end = self._beyond.pop(self.end)


def _keep(connection: Any, run: Run, settled: list[ChunkRecord], read: list[Any], told: list[Event]) -> None:
    chunks.settle(connection, run, settled, read)
    events.append(connection, told)
