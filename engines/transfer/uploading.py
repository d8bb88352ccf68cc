"""Uploading one file: read, cut, compressed and sent, many chunks in flight."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from streamconsole.engines import faults
from streamconsole.engines.states import ChunkState
from streamconsole.engines.transfer.chunks import (
    Carrier,
    Checkpoint,
    Chunk,
    ChunkNews,
    check_digest,
)
from streamconsole.engines.transfer.compression import compress, pack
from streamconsole.engines.transfer.digests import Buffer, RunningDigest, digest_of, is_state
from streamconsole.engines.transfer.in_flight import InFlight
from streamconsole.engines.transfer.names import chunk_name
from streamconsole.engines.transfer.reading import FileToSend, Reader
from streamconsole.engines.transfer.settings import Layout, TransferSettings
from streamconsole.engines.transfer.sizes import MIB, ChunkSizes, chunk_size_for, next_chunk_size
from streamconsole.engines.transfer.stores.store import StoreError

T = TypeVar("T")

PIECE: Final = 4 * MIB
"""Bytes read at once, and compressed as one frame of a stream."""

HELD: Final = 48 * MIB
"""Bytes of chunks in memory, at most."""


@dataclass(frozen=True, slots=True)
class Begun:
    """What is known of a file from an earlier attempt.

    Args:
        chunks: settled chunks by number.
        offset: bytes of the file that were read and hashed.
        state: of its digest then; None to hash it anew.
        packed: bytes of the compressed stream that these became.
    """

    chunks: dict[int, Chunk] = field(default_factory=dict)
    offset: int = 0
    state: str | None = None
    packed: int = 0


class Uploader:
    """Uploads files one after the other.

    Args:
        carrier: sends chunks.
        settings: layout, level, sizes.
        pool: threads for hashing and compression.
    """

    def __init__(self, carrier: Carrier, settings: TransferSettings, pool: ThreadPoolExecutor) -> None:
        self._carrier = carrier
        self._settings = settings
        self._pool = pool
        # Reading waits for a disk: it must not take the place of compression.
        self._readers = ThreadPoolExecutor(1, thread_name_prefix="transfer-read")
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        """End the reading thread."""
        self._readers.shutdown(wait=False)

    async def upload(self, file: FileToSend, begun: Begun) -> str:
        """Upload a file; gives its digest. Its chunks are told to the carrier's owner.

        Raises:
            FileLost: it cannot be read, or changed.
            ChunkLost: a chunk failed for good; all others were tried.
            Ended: it was stopped; what is settled stays.
            SideLost: the store is gone.
        """
        if begun.state is None or not is_state(begun.state):
            # The digest must be made anew, and so must a stream: what it is hashed with is compressed, too.
            framed = self._settings.layout is Layout.FRAMED
            begun = Begun(begun.chunks if framed else {})
        reader = Reader(file, RunningDigest(begun.state), begun.offset)
        await self._read(reader.open)
        try:
            if self._settings.layout is Layout.FRAMED:
                await self._framed(file, reader, begun)
            else:
                await self._stream(file, reader, begun)
            await self._read(reader.refuse_changed)
            return reader.digest.hexdigest()
        finally:
            self._readers.submit(reader.close)

    # Framed --------------------------------------------------------------------------------------

    async def _framed(self, file: FileToSend, reader: Reader, begun: Begun) -> None:
        size = chunk_size_for(file.size, self._settings.chunk_size)
        pieces = _pieces(file, size, begun, reader.hashed)
        async with InFlight(
            lambda: min(2 + self._carrier.tuning.workers * size // PIECE, HELD // max(size, PIECE))
        ) as flight:
            async for chunks, buffers in self._read_ahead(reader, pieces):
                self._carrier.owner.checkpoint(Checkpoint(file.number, reader.hashed, reader.digest.state()))
                needed = [(c, b) for c, b in zip(chunks, buffers, strict=True) if c.number not in begun.chunks]
                if needed:
                    await flight.start(self._piece(needed))

    async def _read_ahead(
        self, reader: Reader, pieces: Iterator[list[Chunk]]
    ) -> AsyncIterator[tuple[list[Chunk], list[memoryview]]]:
        """Pieces as they are read; the next one is read while one is worked on."""
        for piece in pieces:
            await self._carrier.tuning.passed()
            faults.reach("upload.read", piece[0].number)
            yield piece, await self._read(reader.read_all, [(chunk.lo, chunk.size) for chunk in piece])

    async def _piece(self, piece: Sequence[tuple[Chunk, memoryview]]) -> None:
        """Settle the chunks of a piece: hash all, ask for all, send those that are not there."""
        digests = await self._cpu(lambda: [digest_of(data) for _, data in piece])
        chunks = [replace(chunk, digest=digest) for (chunk, _), digest in zip(piece, digests, strict=True)]
        there = await self._sizes([chunk_name(Layout.FRAMED, digest) for digest in digests])
        async with InFlight(lambda: len(chunks)) as flight:
            for chunk, (_, data), stored in zip(chunks, piece, there, strict=True):
                if stored is not None and 0 < stored <= chunk.size:
                    self._carrier.owner.chunk(ChunkNews(replace(chunk, stored=stored), ChunkState.PRESENT))
                else:
                    await flight.start(self._send_framed(chunk, data))

    async def _sizes(self, names: Sequence[str]) -> Sequence[int | None]:
        try:
            return await self._carrier.store.sizes(names)
        except StoreError:
            # Sending them says what is the matter, with attempts and all.
            return [None] * len(names)

    async def _send_framed(self, chunk: Chunk, data: memoryview) -> None:
        self._carrier.owner.chunk(ChunkNews(chunk, ChunkState.BUFFERED))
        async with self._carrier.tuning.place():
            packed = await self._cpu(pack, data, self._settings.level)
            await self._carrier.send(
                replace(chunk, stored=len(packed)), chunk_name(Layout.FRAMED, chunk.digest), packed
            )

    # Stream --------------------------------------------------------------------------------------

    async def _stream(self, file: FileToSend, reader: Reader, begun: Begun) -> None:
        sizes = ChunkSizes(chunk_size_for(file.size, self._settings.chunk_size), self._settings.sizes.least)
        offset, cutter = await self._go_on(file, begun, sizes)
        async with InFlight(lambda: min(2 * self._carrier.tuning.workers, HELD // sizes.most)) as flight:
            async for packed, checkpoint in self._compressed(file, reader, offset):
                ended = checkpoint.offset == file.size
                for chunk, data in cutter.cut(packed, ended=ended):
                    await flight.start(self._send_stream(chunk, data))
                self._carrier.owner.checkpoint(replace(checkpoint, packed=cutter.packed))

    async def _go_on(self, file: FileToSend, begun: Begun, sizes: ChunkSizes) -> tuple[int, _Cutter]:
        """Where to read on, and a cutter that holds what was compressed and not yet cut."""
        cutter = _Cutter(file.number, sizes)
        for number in sorted(begun.chunks):
            chunk = begun.chunks[number]
            if chunk.hi <= begun.packed:
                cutter.skip(chunk)
            else:
                # The frame ended within this one: its beginning is taken back, and cut anew.
                cutter.take(await self._fetched(chunk, begun.packed - chunk.lo))
        return begun.offset, cutter

    async def _fetched(self, chunk: Chunk, size: int) -> Buffer:
        async def whole(data: Buffer) -> Buffer:
            check_digest(data, chunk.digest, f"chunk {chunk.number}")
            return data

        return (await self._carrier.fetch(chunk, chunk_name(Layout.STREAM, chunk.digest), whole))[:size]

    async def _compressed(
        self, file: FileToSend, reader: Reader, offset: int
    ) -> AsyncIterator[tuple[bytes, Checkpoint]]:
        """Frames of the stream in order, several compressed at once; the checkpoint says how far each reaches."""
        waiting: deque[tuple[asyncio.Future[bytes], Checkpoint]] = deque()
        try:
            while offset < file.size or waiting:
                while offset < file.size and len(waiting) < 3:
                    await self._carrier.tuning.passed()
                    faults.reach("upload.read", offset // PIECE)
                    data = await self._read(reader.read, offset, min(PIECE, file.size - offset))
                    offset += len(data)
                    frame = self._loop.run_in_executor(self._pool, compress, data, self._settings.level)
                    waiting.append((frame, Checkpoint(file.number, offset, reader.digest.state())))
                frame, checkpoint = waiting.popleft()
                yield await frame, checkpoint
        finally:
            await asyncio.gather(*(frame for frame, _ in waiting), return_exceptions=True)

    async def _send_stream(self, chunk: Chunk, data: bytes) -> None:
        self._carrier.owner.chunk(ChunkNews(chunk, ChunkState.BUFFERED))
        async with self._carrier.tuning.place():
            digest = await self._cpu(digest_of, data)
            name = chunk_name(Layout.STREAM, digest)
            chunk = replace(chunk, digest=digest, stored=chunk.size)
            if (await self._sizes([name]))[0] == chunk.size:
                self._carrier.owner.chunk(ChunkNews(chunk, ChunkState.PRESENT))
            else:
                await self._carrier.send(chunk, name, data)

    async def _read(self, function: Callable[..., T], *args: Any) -> T:
        return await self._loop.run_in_executor(self._readers, function, *args)

    async def _cpu(self, function: Callable[..., T], *args: Any) -> T:
        return await self._loop.run_in_executor(self._pool, function, *args)


def _pieces(file: FileToSend, size: int, begun: Begun, hashed: int) -> Iterator[list[Chunk]]:
    """Chunks that must be read, in runs that touch, up to `PIECE` bytes of them.

    One that is settled is read only when the file's digest does not hold it yet. No run reaches over the
    point where the digest goes on.
    """
    piece: list[Chunk] = []
    for number, lo in enumerate(range(0, file.size, size), 1):
        chunk = Chunk(file.number, number, lo, min(size, file.size - lo))
        if chunk.number in begun.chunks and chunk.hi <= hashed:
            if piece:
                yield piece
            piece = []
            continue
        if piece and (chunk.hi - piece[0].lo > PIECE or chunk.lo == hashed):
            yield piece
            piece = []
        piece.append(chunk)
    if piece:
        yield piece


class _Cutter:
    """Cuts what is compressed into chunks, at once when there is enough for one."""

    def __init__(self, file: int, sizes: ChunkSizes) -> None:
        self._file = file
        self._sizes = sizes
        self._buffer = bytearray()
        self._number = 1
        self._lo = 0

    @property
    def packed(self) -> int:
        """Bytes of the compressed stream so far."""
        return self._lo + len(self._buffer)

    def skip(self, chunk: Chunk) -> None:
        """A chunk that is settled already."""
        self._number, self._lo = chunk.number + 1, chunk.hi

    def take(self, data: Buffer) -> None:
        """Bytes that were compressed already."""
        self._buffer += data

    def cut(self, data: bytes, *, ended: bool) -> list[tuple[Chunk, bytes]]:
        """Chunks that can be cut now that `data` came."""
        self._buffer += data
        chunks = []
        while (ended or len(self._buffer) >= self._sizes.most) and (
            size := next_chunk_size(len(self._buffer), ended=ended, sizes=self._sizes)
        ):
            chunks.append((Chunk(self._file, self._number, self._lo, size), bytes(self._buffer[:size])))
            del self._buffer[:size]
            self._number, self._lo = self._number + 1, self._lo + size
        return chunks
