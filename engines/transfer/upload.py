"""An upload: every file of a tree, and the manifest last, when all chunks are stored."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from streamconsole.engines import faults
from streamconsole.engines.errors import SideLost
from streamconsole.engines.retry import RetryPolicy
from streamconsole.engines.secrets import mask
from streamconsole.engines.states import FileState
from streamconsole.engines.text import clean
from streamconsole.engines.transfer import manifest as manifests
from streamconsole.engines.transfer.chunks import Carrier, Chunk, ChunkLost
from streamconsole.engines.transfer.compression import LIBRARY
from streamconsole.engines.transfer.directions import Context
from streamconsole.engines.transfer.events import FileChanged, FileFailed, FileStarted, FileUploaded
from streamconsole.engines.transfer.in_flight import InFlight
from streamconsole.engines.transfer.manifest import Entry, EntryType, Manifest
from streamconsole.engines.transfer.names import manifest_name
from streamconsole.engines.transfer.planning import manifest_path
from streamconsole.engines.transfer.reading import FileLost, FileToSend
from streamconsole.engines.transfer.settings import Layout
from streamconsole.engines.transfer.sizes import chunk_size_for
from streamconsole.engines.transfer.stores.store import Store, StoreError
from streamconsole.engines.transfer.tree import Found, look
from streamconsole.engines.transfer.uploading import PIECE, Begun, Uploader
from streamconsole.engines.transfer.writing import cannot_write, sync_folder
from streamconsole.engines.workspace import chunks
from streamconsole.engines.workspace.chunks import FileRecord

AT_ONCE = 8
"""Small files on their way together: one alone would wait for the store."""


class Upload:
    """One upload of a file or folder.

    Args:
        context: what it works with.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._settings = context.settings
        carrier = Carrier(context.store, context.settings.retry.policy(), context.tuning, context.ledger)
        self._uploader = Uploader(carrier, context.settings, context.pool)
        self._found = Found("file", "", [], [], [], [])
        self._known: dict[str, FileRecord] = {}
        self.layout = str(context.settings.layout)

    @property
    def files(self) -> int:
        """Files there are."""
        return len(self._found.files)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return self._found.size

    async def prepare(self) -> None:
        """Look at what is to be uploaded, and at what an earlier attempt has done of it."""
        self._found = await asyncio.to_thread(look, Path(self._settings.upload or ""))
        records = await self._context.workspace.read(chunks.files_of, self._context.run.id)
        there = {file.name for file in self._found.files}
        for record in records:
            if record.path not in there:
                await self._context.workspace.write(chunks.forget_file, self._context.run, record.number)
        self._known = {record.path: record for record in records if record.path in there}
        self._found = _numbered(self._found, self._known)

    def close(self) -> None:
        """End its threads."""
        self._uploader.close()

    async def work(self, retry: Callable[[], list[int]]) -> None:
        """Upload every file that is not uploaded."""
        await self._note_unreadable()
        todo = self._found.files
        while todo:
            async with InFlight(lambda: AT_ONCE) as flight:
                for file in todo:
                    if file.size > PIECE:
                        # A large one keeps everything busy by itself.
                        await flight.empty()
                        await self._file(file)
                    else:
                        await flight.start(self._file(file))
            again = set(retry())
            todo = [file for file in self._found.files if file.number in again]

    async def finish(self) -> str:
        """Write the manifest: to the store, then beside what was uploaded."""
        context = self._context
        try:
            await context.store.settle()
        except StoreError as error:
            raise SideLost("store", mask(str(error))) from None
        manifest = await self._manifest()
        text = manifests.dump(manifest)
        digest = manifests.parse(text, "of this upload").digest
        faults.reach("upload.manifest")
        await publish(context.store, manifest_name(manifest.name, digest), text, self._settings.retry.policy())
        path = manifest_path(self._settings)
        await asyncio.to_thread(write_manifest, path, text)
        return str(path)

    # Files ---------------------------------------------------------------------------------------

    async def _file(self, file: FileToSend) -> None:
        known = self._known.get(file.name)
        if known is not None and (known.size, known.mtime_ns) != (file.size, file.mtime_ns):
            await self._forget(file)
            known = None
        if known is not None and known.state is FileState.DONE:
            return
        begun = await self._begun(file, known)
        await self._begin(file, begun)
        try:
            digest = await self._uploader.upload(file, begun)
        except (FileLost, ChunkLost) as error:
            await self._failed(file, str(error))
            return
        event = FileUploaded(
            **self._context.about(), file=file.number, path=clean(file.name), size=file.size, digest=digest
        )
        await self._context.ended(file.number, FileState.DONE, digest, None, event)

    async def _begin(self, file: FileToSend, begun: Begun) -> None:
        context = self._context
        await context.workspace.write(chunks.begin_file, context.run, file.number, file.name, file.size, file.mtime_ns)
        settled = sum(chunk.size for chunk in begun.chunks.values())
        about = context.about()
        context.bus.publish(
            FileStarted(**about, file=file.number, path=clean(file.name), size=file.size, begun=settled)
        )

    async def _begun(self, file: FileToSend, known: FileRecord | None) -> Begun:
        if known is None:
            return Begun()
        context = self._context
        stream = self._settings.layout is Layout.STREAM
        if stream:
            await context.workspace.write(chunks.forget_beyond, context.run, file.number, known.packed)
        records = await context.workspace.read(chunks.chunks_of, context.run.id, file.number)
        settled = [
            Chunk(each.file, each.number, each.lo, each.size, each.digest, each.stored)
            for each in records
            if chunks.is_settled(each)
        ]
        for chunk in settled:
            if not stream or chunk.hi <= known.packed:
                context.ledger.prefix(file.number).add(chunk)
        return Begun({chunk.number: chunk for chunk in settled}, known.hashed, known.hash_state, known.packed)

    async def _forget(self, file: FileToSend) -> None:
        context = self._context
        await context.workspace.write(chunks.forget_file, context.run, file.number)
        context.bus.publish(FileChanged(**context.about(), file=file.number, path=clean(file.name)))

    async def _failed(self, file: FileToSend, message: str) -> None:
        failures = self._context.ledger.failures(file.number)
        event = FileFailed(
            **self._context.about(),
            file=file.number,
            path=clean(file.name),
            message=mask(message),
            failures=failures[:100],
        )
        await self._context.ended(file.number, FileState.FAILED, None, mask(message), event)
        self._known[file.name] = FileRecord(
            file.number, file.name, file.size, file.mtime_ns, FileState.FAILED, None, 0, None, 0, message
        )

    async def _note_unreadable(self) -> None:
        """What cannot even be looked at counts as a file that failed."""
        context, number = self._context, max((file.number for file in self._found.files), default=0)
        for path, why in self._found.unreadable:
            number += 1
            await context.workspace.write(chunks.begin_file, context.run, number, clean(path), 0, 0)
            event = FileFailed(**context.about(), file=number, path=clean(path), message=f"{clean(path)}: {why}")
            await context.ended(number, FileState.FAILED, None, why, event)

    # The manifest --------------------------------------------------------------------------------

    async def _manifest(self) -> Manifest:
        records = {r.path: r for r in await self._context.workspace.read(chunks.files_of, self._context.run.id)}
        entries = list(self._found.others)
        entries += [await self._entry(file, records[file.name]) for file in self._found.files]
        return Manifest(
            created_at=now_text(),
            kind="file" if self._found.kind == "file" else "directory",
            name=self._found.name,
            layout=self._settings.layout,
            level=self._settings.level,
            library=LIBRARY,
            chunk_size=max(
                [chunk_size_for(file.size, self._settings.chunk_size) for file in self._found.files],
                default=self._settings.chunk_size,
            ),
            mode=self._found.mode,
            mtime_ns=self._found.mtime_ns,
            entries=tuple(sorted(entries, key=lambda entry: entry.path)),
        )

    async def _entry(self, file: FileToSend, record: FileRecord) -> Entry:
        of_file = await self._context.workspace.read(chunks.chunks_of, self._context.run.id, file.number)
        return Entry(
            path=file.name,
            type=EntryType.FILE,
            mode=file.mode,
            mtime_ns=file.mtime_ns,
            size=file.size,
            sha256=record.digest,
            chunks=tuple((each.digest, each.size, each.stored) for each in of_file),
        )


def _numbered(found: Found, known: dict[str, FileRecord]) -> Found:
    """Files keep the numbers they had; new ones get the next."""
    following = max((record.number for record in known.values()), default=0) + 1
    files = []
    for file in found.files:
        record = known.get(file.name)
        files.append(replace(file, number=record.number if record else following))
        following += record is None
    return replace(found, files=files)


def now_text() -> str:
    """This moment, as manifests have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


async def publish(store: Store, name: str, text: bytes, policy: RetryPolicy) -> None:
    """Keep a manifest in the store.

    Raises:
        SideLost: the store cannot take it.
    """

    async def quietly(*_: object) -> None:
        return None

    async def put() -> bool:
        return await store.put(name, text)

    try:
        await policy.run(put, transient=lambda error: isinstance(error, StoreError), before_retry=quietly)
    except StoreError as error:
        raise SideLost("store", mask(str(error))) from None


def write_manifest(path: Path, text: bytes) -> None:
    """Write a manifest beside what was uploaded: all or nothing, for its user alone to read.

    Raises:
        SideLost: it cannot be written; the one in the store is complete.
    """
    unfinished = path.with_name(f".{path.name}.part")
    try:
        with open(unfinished, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        told = cannot_write(f"manifest {path}", error)
        raise SideLost("target", f"{told}: the chunks are stored; resume when it can be written") from None
