"""One worker for uploads and downloads, driven by messages: `python -m streamconsole.engines.transfer.worker`.

JSON lines come in on stdin (`UPLOAD_START`, `DOWNLOAD_START`) and are done one after the other; what happens
goes out on stdout, one JSON object a line. When stdin ends, the worker ends. It needs no workspace: what an
earlier attempt has stored, or put on disk, is found there.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from streamconsole.engines.errors import Refused, SideLost, StreamConsoleError
from streamconsole.engines.secrets import mask
from streamconsole.engines.states import SETTLED_CHUNKS, ChunkState
from streamconsole.engines.text import clean
from streamconsole.engines.transfer import manifest as manifests
from streamconsole.engines.transfer.chunks import Carrier, Checkpoint, Chunk, ChunkLost, ChunkNews
from streamconsole.engines.transfer.compression import LIBRARY, pool
from streamconsole.engines.transfer.download import chunks_of_entry
from streamconsole.engines.transfer.downloading import Downloader, FileToGet
from streamconsole.engines.transfer.manifest import Entry, EntryType, Manifest
from streamconsole.engines.transfer.messages import (
    DownloadStart,
    MessageType,
    Start,
    UploadStart,
    manifest_beside,
    parse,
)
from streamconsole.engines.transfer.names import manifest_name
from streamconsole.engines.transfer.planning import check, manifest_of
from streamconsole.engines.transfer.reading import FileLost, FileToSend
from streamconsole.engines.transfer.settings import Layout, TransferSettings
from streamconsole.engines.transfer.sizes import LARGEST, chunk_size_for
from streamconsole.engines.transfer.stores.locations import store_of
from streamconsole.engines.transfer.stores.store import Store, StoreError
from streamconsole.engines.transfer.tree import look
from streamconsole.engines.transfer.tuning import Tuning
from streamconsole.engines.transfer.upload import now_text, publish, write_manifest
from streamconsole.engines.transfer.uploading import Begun, Uploader
from streamconsole.engines.transfer.writing import Part, WrongFile, part_path

Say = Callable[[MessageType, dict[str, Any]], None]

EXPECTED = (StreamConsoleError, StoreError, FileLost, ChunkLost, WrongFile)


class Told:
    """Tells the worker's owner of chunks, and keeps those of the file at hand.

    Args:
        file: as the owner named it.
        say: sends a message.
    """

    def __init__(self, file: str, say: Say) -> None:
        self.settled: dict[int, Chunk] = {}
        self.failures: list[dict[str, Any]] = []
        self._file = file
        self._say = say

    def chunk(self, news: ChunkNews) -> None:
        """Something happened to a chunk."""
        chunk = news.chunk
        about: dict[str, Any] = {"file": self._file, "chunk": chunk.number, "attempt": news.attempt}
        if news.state in SETTLED_CHUNKS:
            self.settled[chunk.number] = chunk
            about |= {"hash": chunk.digest, "size": chunk.size, "stored": chunk.stored, "state": news.state}
            self._say(MessageType.CHUNK, about)
        elif news.state is ChunkState.RETRYING:
            about |= {"code": news.code, "error": news.message, "pause": news.pause}
            self._say(MessageType.RETRY, about)
        elif news.state is ChunkState.FAILED:
            self.failures.append(about | {"code": news.code, "error": news.message})

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Nothing is kept here."""


async def do(start: Start, say: Say) -> bool:
    """Do what one message asks for; the last thing said is how it ended. Gives whether it went well."""
    told = Told(start.file, say)
    store: Store | None = None
    threads = pool()
    try:
        store = store_of(start.store, start.timeout)
        await check(store, begun=False)
        work = _upload if isinstance(start, UploadStart) else _download
        done, about = await work(start, store, told, threads)
        say(done, {"file": start.file, **about})
        return True
    except EXPECTED as error:
        text = clean(mask(str(error)), limit=2000)
        lost = {"side": error.side} if isinstance(error, SideLost) else {}
        say(MessageType.FILE_FAILED, {"file": start.file, "error": text, "chunks": told.failures[:1000], **lost})
        return False
    finally:
        threads.shutdown(wait=False)
        if store is not None:
            await store.close()


async def _upload(start: Any, store: Store, told: Told, threads: Any) -> tuple[MessageType, dict[str, Any]]:
    settings = _settings(start)
    found = await asyncio.to_thread(look, Path(start.file))
    if found.kind != "file":
        raise Refused(f"{clean(start.file)} is a folder: a worker uploads one file")
    file = found.files[0]
    tuning = Tuning(settings.workers, settings.look_ahead, settings.bandwidth)
    uploader = Uploader(Carrier(store, settings.retry.policy(), tuning, told), settings, threads)
    try:
        digest = await uploader.upload(file, Begun())
    finally:
        uploader.close()
    await store.settle()
    manifest = _manifest(file, digest, told, settings)
    text = manifests.dump(manifest)
    name = manifest_name(manifest.name, manifests.parse(text, "of this upload").digest)
    await publish(store, name, text, settings.retry.policy())
    path = Path(start.manifest) if start.manifest else manifest_beside(_absolute(start.file))
    await asyncio.to_thread(write_manifest, path, text)
    about = {"manifest": str(path), "manifest_in_store": name, "size": file.size, "sha256": digest}
    hashes = [each[0] for each in manifest.files[0].chunks]
    return MessageType.FILE_UPLOADED, about | {"layout": settings.layout, "hashes": hashes}


def _manifest(file: FileToSend, digest: str, told: Told, settings: TransferSettings) -> Manifest:
    settled = [told.settled[number] for number in sorted(told.settled)]
    entry = Entry(
        path=file.name,
        type=EntryType.FILE,
        mode=file.mode,
        mtime_ns=file.mtime_ns,
        size=file.size,
        sha256=digest,
        chunks=tuple((each.digest, each.size, each.stored) for each in settled),
    )
    return Manifest(
        created_at=now_text(),
        kind="file",
        name=file.name,
        layout=settings.layout,
        level=settings.level,
        library=LIBRARY,
        chunk_size=chunk_size_for(file.size, settings.chunk_size),
        entries=(entry,),
    )


async def _download(start: Any, store: Store, told: Told, threads: Any) -> tuple[MessageType, dict[str, Any]]:
    out = _absolute(start.file)
    if out.exists() or out.is_symlink():
        raise Refused(f"{clean(str(out))} is there already: name another place, or remove it")
    file, entry = await _file_to_get(start, store)
    tuning = Tuning(128, start.look_ahead, start.bandwidth)
    downloader = Downloader(Carrier(store, start.retry.policy(), tuning, told), threads)
    part = Part(part_path(out), out.name)
    try:
        digest = await downloader.download(file, part)
        mode, changed = (entry.mode, entry.mtime_ns) if entry is not None else (None, None)
        await asyncio.to_thread(part.put_in_place, out, mode, changed)
    except WrongFile:
        part.discard()
        raise
    finally:
        part.close()
        downloader.close()
    return MessageType.FILE_DOWNLOADED, {"size": out.stat().st_size, "sha256": digest}


async def _file_to_get(start: DownloadStart, store: Store) -> tuple[FileToGet, Entry | None]:
    if (start.manifest is None) == (start.hashes is None):
        raise Refused("DOWNLOAD_START needs either manifest or hashes")
    if start.manifest is None:
        return FileToGet(1, start.file, Layout.STREAM, await _sized(start.hashes or (), store)), None
    manifest = await manifest_of(TransferSettings(download=start.manifest, out=start.file, store=start.store), store)
    if manifest.kind != "file":
        raise Refused(f"manifest {start.manifest} is of a folder: a worker downloads one file")
    entry = manifest.files[0]
    chunks = chunks_of_entry(1, entry)
    return FileToGet(1, start.file, manifest.layout, chunks, entry.size, entry.sha256), entry


async def _sized(hashes: tuple[str, ...], store: Store) -> list[Chunk]:
    """Chunks of a stream of which only the digests are known; the store tells how large they are."""
    from streamconsole.engines.transfer.names import chunk_name

    made: list[Chunk] = []
    lo = 0
    for begin in range(0, len(hashes), 64):
        some = hashes[begin : begin + 64]
        for digest, size in zip(
            some, await store.sizes([chunk_name(Layout.STREAM, digest) for digest in some]), strict=True
        ):
            # One that is missing is found out, with attempts and all, when it is fetched.
            size = min(size or LARGEST, LARGEST)
            made.append(Chunk(1, len(made) + 1, lo, size, digest, size))
            lo += size
    return made


def _absolute(path: str) -> Path:
    return Path(path).absolute()


def _settings(start: UploadStart) -> TransferSettings:
    from pydantic import ValidationError

    try:
        return TransferSettings(
            upload=start.file,
            store=start.store,
            layout=start.layout,
            level=start.level,
            chunk_size=start.chunk_size,
            workers=start.workers,
            bandwidth=start.bandwidth,
            timeout=start.timeout,
            retry=start.retry,
        )
    except ValidationError as error:
        problem = error.errors()[0]
        raise Refused(f"UPLOAD_START: {'.'.join(map(str, problem['loc']))}: {problem['msg']}") from None


def _say(kind: MessageType, about: dict[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps({"type": kind, **about}, option=orjson.OPT_APPEND_NEWLINE))
    sys.stdout.buffer.flush()


async def serve() -> int:
    """Do messages from stdin until it ends; gives the exit status: 0, or 1 when one of them failed."""
    status = 0
    while line := await asyncio.to_thread(sys.stdin.buffer.readline):
        if not line.strip():
            continue
        try:
            start = parse(line)
        except Refused as error:
            _say(MessageType.FILE_FAILED, {"file": None, "error": str(error), "chunks": []})
            status = 1
            continue
        if not await do(start, _say):
            status = 1
    return status


def main() -> int:
    """Serve until stdin ends, or nobody listens any more."""
    try:
        return asyncio.run(serve())
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
