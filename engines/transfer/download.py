"""A download: every file of a manifest, put together beside its place and moved there when it is right."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from streamconsole.engines import faults
from streamconsole.engines.errors import Refused
from streamconsole.engines.secrets import mask
from streamconsole.engines.states import FileState
from streamconsole.engines.text import clean
from streamconsole.engines.transfer.chunks import Carrier, Chunk, ChunkLost
from streamconsole.engines.transfer.directions import Context
from streamconsole.engines.transfer.downloading import Downloader, FileToGet
from streamconsole.engines.transfer.events import FileDownloaded, FileFailed, FileStarted
from streamconsole.engines.transfer.in_flight import InFlight
from streamconsole.engines.transfer.manifest import Entry, EntryType, Manifest
from streamconsole.engines.transfer.planning import manifest_of
from streamconsole.engines.transfer.uploading import PIECE
from streamconsole.engines.transfer.writing import Part, WrongFile, cannot_write, part_path, sync_folder
from streamconsole.engines.workspace import chunks

AT_ONCE = 8


class Download:
    """One download of a file or folder.

    Args:
        context: what it works with.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        carrier = Carrier(context.store, context.settings.retry.policy(), context.tuning, context.ledger)
        self._downloader = Downloader(carrier, context.pool)
        self._manifest: Manifest | None = None
        self._out = Path(context.settings.out or "")
        self._base = part_path(self._out)
        self._complete = False

    @property
    def manifest(self) -> Manifest:
        """What is downloaded."""
        assert self._manifest is not None
        return self._manifest

    @property
    def files(self) -> int:
        """Files there are."""
        return len(self.manifest.files)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return self.manifest.size

    @property
    def layout(self) -> str:
        """How the files became chunks."""
        return str(self.manifest.layout)

    async def prepare(self) -> None:
        """Read the manifest, and make room for what it holds."""
        self._manifest = await manifest_of(self._context.settings, self._context.store)
        planned = self._context.run.plan.get("digest")
        if planned != self._manifest.digest:
            raise Refused(
                f"manifest {self._context.settings.download} is another one than when run "
                f"{self._context.run.id} was planned: start a new download"
            )
        if self._out.exists() or self._out.is_symlink():
            # Killed after the last rename and before that was kept: then it is what it should be.
            begun = self._context.run.started_at is not None
            if begun and await asyncio.to_thread(_is_whole, self._out, self._manifest):
                self._complete = True
                return
            raise Refused(f"{self._out} is there already: name another place, or remove it")
        if self._manifest.kind == "directory":
            await asyncio.to_thread(self._make_folders)

    def close(self) -> None:
        """End its threads."""
        self._downloader.close()

    async def work(self, retry: Callable[[], list[int]]) -> None:
        """Download every file that is not there."""
        todo = list(enumerate(self.manifest.files, 1))
        while todo:
            async with InFlight(lambda: AT_ONCE) as flight:
                for number, entry in todo:
                    if entry.size > PIECE:
                        await flight.empty()
                        await self._file(number, entry)
                    else:
                        await flight.start(self._file(number, entry))
            again = set(retry())
            todo = [(number, entry) for number, entry in enumerate(self.manifest.files, 1) if number in again]

    async def finish(self) -> None:
        """Give a folder its links, times and name."""
        if self.manifest.kind == "directory" and not self._complete:
            await asyncio.to_thread(self._put_folder_in_place)

    # Files ---------------------------------------------------------------------------------------

    async def _file(self, number: int, entry: Entry) -> None:
        context = self._context
        place = self._place(entry)
        await context.workspace.write(chunks.begin_file, context.run, number, entry.path, entry.size, entry.mtime_ns)
        about = {**context.about(), "file": number, "path": clean(entry.path)}
        context.bus.publish(FileStarted(**about, size=entry.size, begun=0))
        if self._complete or await asyncio.to_thread(_is_in_place, place, entry):
            # Killed in the middle of giving it its name, what was kept for going on is still there.
            await asyncio.to_thread(Part(self._part(number), entry.path).discard)
        else:
            try:
                await self._get(number, entry, place)
            except (ChunkLost, WrongFile) as error:
                await self._failed(number, entry, str(error))
                return
        event = FileDownloaded(**about, size=entry.size, digest=entry.sha256 or "")
        await context.ended(number, FileState.DONE, entry.sha256, None, event)

    async def _get(self, number: int, entry: Entry, place: Path) -> None:
        part = Part(self._part(number), entry.path)
        file = FileToGet(
            number, entry.path, self.manifest.layout, chunks_of_entry(number, entry), entry.size, entry.sha256
        )
        try:
            await self._downloader.download(file, part)
            faults.reach("download.in_place", number)
            await asyncio.to_thread(part.put_in_place, place, entry.mode, entry.mtime_ns)
            faults.reach("download.placed", number)
        except WrongFile:
            await asyncio.to_thread(part.discard)
            raise
        finally:
            await asyncio.to_thread(part.close)

    async def _failed(self, number: int, entry: Entry, message: str) -> None:
        context = self._context
        event = FileFailed(
            **context.about(),
            file=number,
            path=clean(entry.path),
            message=mask(message),
            failures=context.ledger.failures(number)[:100],
        )
        await context.ended(number, FileState.FAILED, None, mask(message), event)

    # Folders -------------------------------------------------------------------------------------

    @property
    def _tree(self) -> Path:
        return self._base / "tree"

    def _place(self, entry: Entry) -> Path:
        return self._out if self.manifest.kind == "file" else self._tree / entry.path

    def _part(self, number: int) -> Path:
        return self._base if self.manifest.kind == "file" else self._base / f"part-{number}"

    def _make_folders(self) -> None:
        try:
            self._tree.mkdir(parents=True, exist_ok=True)
            for entry in self.manifest.entries:
                folder = self._tree / entry.path
                (folder if entry.type is EntryType.DIRECTORY else folder.parent).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Refused(f"{self._out} cannot be written: {error.strerror}") from None

    def _put_folder_in_place(self) -> None:
        try:
            for entry in self.manifest.entries:
                if entry.type is EntryType.SYMLINK:
                    link = self._tree / entry.path
                    link.unlink(missing_ok=True)
                    link.symlink_to(entry.target or "")
                    os.utime(link, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)
            # The innermost first: what is put into a folder changes its time, and its mode may forbid more.
            for entry in reversed(self.manifest.entries):
                if entry.type is EntryType.DIRECTORY:
                    folder = self._tree / entry.path
                    sync_folder(folder)
                    os.utime(folder, ns=(entry.mtime_ns, entry.mtime_ns))
                    folder.chmod(entry.mode)
            sync_folder(self._tree)
            if self.manifest.mtime_ns is not None:
                os.utime(self._tree, ns=(self.manifest.mtime_ns, self.manifest.mtime_ns))
            if self.manifest.mode is not None:
                self._tree.chmod(self.manifest.mode)
            self._tree.rename(self._out)
            sync_folder(self._out.parent)
            with suppress(OSError):
                shutil.rmtree(self._base)
        except OSError as error:
            raise Refused(str(cannot_write(str(self._out), error))) from None


def chunks_of_entry(number: int, entry: Entry) -> list[Chunk]:
    """The chunks of a file, with where each begins."""
    made, lo = [], 0
    for count, (digest, size, stored) in enumerate(entry.chunks, 1):
        made.append(Chunk(number, count, lo, size, digest, stored))
        lo += size
    return made


def _is_in_place(place: Path, entry: Entry) -> bool:
    """Whether an earlier attempt of this download has put the file there: only what was right is."""
    try:
        about = place.lstat()
    except OSError:
        return False
    return (about.st_size, about.st_mtime_ns) == (entry.size, entry.mtime_ns)


def _is_whole(out: Path, manifest: Manifest) -> bool:
    """Whether everything is in its place, byte for byte (blocking)."""
    try:
        for entry in manifest.files:
            place = out if manifest.kind == "file" else out / entry.path
            if not _is_in_place(place, entry):
                return False
            with place.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != entry.sha256:
                    return False
    except OSError:
        return False
    return True
