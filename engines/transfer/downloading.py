"""Downloading one file: chunks fetched ahead, checked before use, put where they belong."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from streamconsole.engines import faults
from streamconsole.engines.states import ChunkState
from streamconsole.engines.transfer.chunks import Carrier, Chunk, ChunkLost, ChunkNews, Damaged, check_digest
from streamconsole.engines.transfer.compression import Decompression, unpack
from streamconsole.engines.transfer.digests import Buffer
from streamconsole.engines.transfer.names import chunk_name
from streamconsole.engines.transfer.settings import Layout
from streamconsole.engines.transfer.sizes import MIB
from streamconsole.engines.transfer.tuning import Ended
from streamconsole.engines.transfer.writing import Part, WrongFile

T = TypeVar("T")

HASHED_AT_ONCE: Final = 4 * MIB
KEPT_EVERY: Final = 32 * MIB


@dataclass(frozen=True, slots=True)
class FileToGet:
    """A file to download.

    Args:
        number: in the transfer, from 1.
        name: in the manifest.
        layout: how it became chunks.
        chunks: in order.
        size: bytes it must have; None when nobody knows (a list of hashes alone, layout `stream`).
        sha256: digest it must have.
    """

    number: int
    name: str
    layout: Layout
    chunks: Sequence[Chunk]
    size: int | None = None
    sha256: str | None = None


class Downloader:
    """Downloads files one after the other.

    Args:
        carrier: fetches chunks.
        pool: threads for hashing and decompression.
    """

    def __init__(self, carrier: Carrier, pool: ThreadPoolExecutor) -> None:
        self._carrier = carrier
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        # What must happen in order has a thread of its own each.
        self._decompressing = ThreadPoolExecutor(1, thread_name_prefix="transfer-unpack")
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="transfer-write")

    def close(self) -> None:
        """End the threads."""
        self._decompressing.shutdown(wait=False)
        self._writing.shutdown(wait=False)

    async def download(self, file: FileToGet, part: Part) -> str:
        """Fill a part file and check it; gives its digest. It is left for the caller to put in place.

        Raises:
            ChunkLost: a chunk failed for good; all others were fetched.
            WrongFile: the whole is not what it should be.
            Ended: it was stopped; what is there stays.
            SideLost: the store is gone.
        """
        await self._write(part.open)
        if file.layout is Layout.FRAMED:
            await self._framed(file, part)
        else:
            await self._stream(file, part)
        return await self._write(part.check, file.size, file.sha256)

    # Framed --------------------------------------------------------------------------------------

    async def _framed(self, file: FileToGet, part: Part) -> None:
        kept = part.found

        async def get(chunk: Chunk) -> Buffer:
            if chunk.hi <= kept:
                data = await self._cpu(part.read_if, chunk)
                if data is not None:
                    self._carrier.owner.chunk(ChunkNews(chunk, ChunkState.PRESENT))
                    return data
            return await self._fetch(chunk, Layout.FRAMED, lambda stored: self._cpu(_placed, chunk, stored, part))

        gathered: list[Buffer] = []
        hashing: asyncio.Future[None] | None = None
        async for data in self._in_order(file.chunks, get):
            gathered.append(data)
            if sum(map(len, gathered)) >= HASHED_AT_ONCE:
                if hashing is not None:
                    await hashing
                hashing = self._loop.run_in_executor(self._writing, part.hash, gathered)
                gathered = []
        if hashing is not None:
            await hashing
        await self._write(part.hash, gathered)

    # Stream --------------------------------------------------------------------------------------

    async def _stream(self, file: FileToGet, part: Part) -> None:
        packed = await self._write(part.take_up, [chunk.digest for chunk in file.chunks])
        decompression = Decompression(None if file.size is None else file.size - part.size)
        at = _start(file.chunks, packed)
        for chunk in file.chunks[:at]:
            self._carrier.owner.chunk(ChunkNews(chunk, ChunkState.PRESENT))
        skip = packed - file.chunks[at].lo if at < len(file.chunks) else 0

        async def get(chunk: Chunk) -> Buffer:
            return await self._fetch(chunk, Layout.STREAM, lambda stored: self._cpu(_checked, chunk, stored))

        writing: asyncio.Future[None] | None = None
        lo, kept = packed, 0
        async for data in self._in_order(file.chunks[at:], get):
            rest, skip = memoryview(data)[skip:], 0
            try:
                pieces, boundary = await self._loop.run_in_executor(self._decompressing, decompression.feed, rest)
            except ValueError as error:
                raise WrongFile(f"{file.name}: {error}") from None
            if writing is not None:
                await writing
            keep = None
            if boundary is not None and decompression.size - kept >= KEPT_EVERY:
                keep, kept = (boundary[0], lo + boundary[1]), decompression.size
            writing = self._loop.run_in_executor(self._writing, part.append, pieces, keep)
            lo += len(rest)
        if writing is not None:
            await writing
        if not decompression.between_frames:
            raise WrongFile(f"{file.name}: the compressed stream ends in the middle: chunks are missing at its end")

    # Both ----------------------------------------------------------------------------------------

    async def _in_order(self, chunks: Sequence[Chunk], get: Callable[[Chunk], Any]) -> AsyncIterator[Buffer]:
        """What comes of each chunk, in order, while the next ones are fetched. After a lost one, nothing."""
        tuning, todo = self._carrier.tuning, iter(chunks)
        window: deque[asyncio.Task[Buffer]] = deque()
        lost: ChunkLost | None = None
        try:
            chunk = next(todo, None)
            while chunk is not None or window:
                while chunk is not None and len(window) < tuning.look_ahead:
                    if window and tuning.paused:
                        break
                    await tuning.passed()
                    window.append(asyncio.create_task(get(chunk)))
                    chunk = next(todo, None)
                try:
                    data = await window.popleft()
                except ChunkLost as error:
                    lost = lost or error
                    continue
                if lost is None:
                    yield data
        except Ended:
            # What is active ends, and is kept where that is possible.
            await asyncio.gather(*window, return_exceptions=True)
            raise
        finally:
            for task in window:
                task.cancel()
            await asyncio.gather(*window, return_exceptions=True)
        if lost is not None:
            raise lost

    async def _fetch(self, chunk: Chunk, layout: Layout, use: Callable[[Buffer], Any]) -> Buffer:
        async with self._carrier.tuning.place():
            faults.reach("download.chunk", chunk.number)
            data: Buffer = await self._carrier.fetch(chunk, chunk_name(layout, chunk.digest), use)
            return data

    async def _write(self, function: Callable[..., T], *args: Any) -> T:
        return await self._loop.run_in_executor(self._writing, function, *args)

    async def _cpu(self, function: Callable[..., T], *args: Any) -> T:
        return await self._loop.run_in_executor(self._pool, function, *args)


def _placed(chunk: Chunk, stored: Buffer, part: Part) -> Buffer:
    """Unpack a chunk, check it, put it where it belongs (in a thread)."""
    data = _unpacked(chunk, stored)
    part.write_at(chunk.lo, data)
    return data


def _unpacked(chunk: Chunk, stored: Buffer) -> Buffer:
    try:
        data = unpack(stored, chunk.size)
    except ValueError as error:
        raise Damaged(f"chunk {chunk.number} ({chunk.digest[:12]}…) is damaged: {error}") from None
    check_digest(data, chunk.digest, f"chunk {chunk.number}")
    return data


def _checked(chunk: Chunk, stored: Buffer) -> Buffer:
    check_digest(stored, chunk.digest, f"chunk {chunk.number}")
    return stored


def verify_chunk(chunk: Chunk, layout: Layout, stored: Buffer) -> None:
    """Make sure that what a store holds is the chunk.

    Raises:
        Damaged: it is not.
    """
    (_unpacked if layout is Layout.FRAMED else _checked)(chunk, stored)


def _start(chunks: Sequence[Chunk], packed: int) -> int:
    """Index of the first chunk that reaches beyond what is there."""
    return next((index for index, chunk in enumerate(chunks) if chunk.hi > packed), len(chunks))
