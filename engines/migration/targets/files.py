"""Files as targets: a part per window, joined in the source's order at the end."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import IO, Any

import orjson

from streamconsole.engines import faults, private_files
from streamconsole.engines.errors import Refused, SideLost, StaleEpoch
from streamconsole.engines.migration.columns import ColumnType
from streamconsole.engines.migration.compression import Compression
from streamconsole.engines.migration.settings import Mode
from streamconsole.engines.migration.targets.file_forms import Form, Lines
from streamconsole.engines.migration.targets.joining import Joining, JoiningAhead
from streamconsole.engines.migration.targets.parts import PartWriter, lost, newest_epoch, part_of, parts_in, sync_folder
from streamconsole.engines.migration.targets.target import Owned, Settled, WindowWriter
from streamconsole.engines.units import Window

HEAD_BYTES = 2**20
"""Bytes of a file in which its header must end."""


class FileTarget:
    """One file.

    Args:
        path: the file.
        form: what it looks like.
        compression: of the file; each part is compressed by itself.
        mode: what is done about what is in it already.
        create: make it; else it must be there.
    """

    def __init__(
        self,
        path: Path,
        form: Form | None = None,
        compression: Compression = Compression.NONE,
        mode: Mode = Mode.INSERT,
        *,
        create: bool = True,
    ) -> None:
        self.path = path
        self.form: Form = form or Lines()
        self.compression = compression
        self._mode = mode
        self._create = create
        self._columns: tuple[str, ...] = ()
        self._closed = False
        self._reopened = False
        self._parts = Path()
        self._epoch = 0
        self._ahead: JoiningAhead | None = None
        self._ahead_columns: tuple[str, ...] = ()

    def inspect(self, needs: Mapping[str, ColumnType], key: tuple[str, ...]) -> dict[str, Any]:
        """Check that the file suits the mode and its folder can be written."""
        self._refuse_unwritable()
        self._refuse_mode()
        self._columns = tuple(needs)
        if self.form.has_columns and self._appends and self._is_filled():
            self._columns, self._closed = self._columns_of(self.path), True
            lacking = [name for name in needs if name not in self._columns]
            if lacking:
                raise Refused(
                    f"target {self.path} has no column {', '.join(lacking[:5])} in its header, and none can be added "
                    "to it: drop the key on the way, or name another file"
                )
        return {"schema": {"columns": list(self._columns), "closed": self._closed}} if self.form.has_columns else {}

    def use(self, schema: Mapping[str, Any]) -> None:
        """Take the columns that were planned, before `open`."""
        self._columns, self._closed = tuple(schema["columns"]), bool(schema["closed"])

    async def open(self, run: str, epoch: int) -> list[Settled]:
        """Make the folder of the parts; gives the windows whose parts are there."""
        return await asyncio.to_thread(self._open, run, epoch)

    def look_up(self, run: str) -> None:
        """Whether the file is there, without parts that are still to be joined."""
        if not self.path.is_file():
            raise Refused(f"target {self.path} does not exist any more: move the rows anew")
        if self.path.with_name(f"{self.path.name}.parts-{run}").exists():
            raise Refused(
                f"target {self.path} lacks windows of run {run} that have failed: `streamconsole runs retry {run}` "
                "first, then its refused rows"
            )

    async def reopen(self, of: Owned, replay: Owned) -> list[Settled]:
        """Add to the whole file: parts of their own are joined to it at the end."""
        self._mode, self._reopened = Mode.APPEND, True
        return await asyncio.to_thread(self._reopen, of, replay)

    def writer(self) -> WindowWriter:
        """Writes each window's rows as a part."""
        normalizer = self.form.normalizer(self._columns, closed=self._closed)
        return PartWriter(self.path, self._parts, self._epoch, normalizer, self.compression, len(self._columns))

    def turn(self, writer: WindowWriter) -> AbstractContextManager[None]:
        """Parts do not stand in each other's way."""
        return nullcontext()

    async def widen(self, needs: Mapping[str, ColumnType]) -> None:
        """Columns at the end; parts made before get them when they are joined."""
        added = tuple(key for key in needs if key not in self._columns)
        if added:
            await asyncio.to_thread(self._keep_columns, self._columns + added)
            self._columns += added

    async def finish(self, *, whole: bool) -> None:
        """Join the parts into the file; what is to be replaced stays while a window has failed."""
        if whole or self._mode is not Mode.REPLACE:
            await asyncio.to_thread(self._finish)

    def forget_parts(self) -> None:
        """Remove the parts once nothing is left to be retried."""
        shutil.rmtree(self._parts, ignore_errors=True)

    def settled(self, window: Window) -> None:
        """A window's part is there: it may be joined as soon as all before it are."""
        if self._ahead is None and window.number == 1 and not self._before.exists():
            self._ahead, self._ahead_columns = JoiningAhead(self._begin), self._columns
        if self._ahead is not None:
            self._ahead.settled(window)

    async def close(self) -> None:
        """Let go of what was joined and is of no use."""
        if (joining := await asyncio.to_thread(self._taken_ahead)) is not None:
            joining.close()
            self._joined.unlink(missing_ok=True)

    # Before the run --------------------------------------------------------------------------

    @property
    def _appends(self) -> bool:
        return self._mode is Mode.APPEND

    def _refuse_unwritable(self) -> None:
        if self.path.is_dir():
            raise Refused(f"target {self.path} is a folder: name a file")
        if self._mode is Mode.INSERT and self._is_filled():
            raise Refused(
                f"target {self.path} holds something already: remove it, name another file, or choose --mode "
                f"{'append or ' if self.form.grows else ''}replace"
            )
        folder = self.path.parent
        if not folder.is_dir():
            raise Refused(f"target {self.path}: the folder {folder} does not exist")
        for place in (folder, self.path) if self.path.exists() else (folder,):
            if not os.access(place, os.W_OK) or not place.stat().st_mode & 0o222:
                raise Refused(f"target {self.path} cannot be written: {place} is read-only")
        if not self._create and not self.path.exists():
            raise Refused(f"target {self.path} does not exist, and --no-create says that it must")

    def _refuse_mode(self) -> None:
        if self._mode is Mode.UPSERT:
            raise Refused(
                f"target {self.path}: rows of a file cannot be overwritten by key; --mode replace makes it anew"
            )
        if self._appends and not self.form.grows:
            raise Refused(f"target {self.path}: nothing can be put behind the end of a {self.form.name}; write NDJSON")

    def _is_filled(self) -> bool:
        return self.path.exists() and self.path.stat().st_size > 0

    def _columns_of(self, path: Path) -> tuple[str, ...]:
        with self._unpacked(path) as file:
            return self.form.columns_of(file.read(HEAD_BYTES))

    # In a thread -----------------------------------------------------------------------------

    def _reopen(self, of: Owned, replay: Owned) -> list[Settled]:
        begun = self.path.with_name(f"{self.path.name}.parts-{replay.run}") / "before"
        if not begun.exists():
            self.look_up(of.run)
        if self.form.has_columns:
            self._columns = self._columns_of(begun if begun.exists() else self.path)
        return self._open(replay.run, replay.epoch)

    def _open(self, run: str, epoch: int) -> list[Settled]:
        self._parts = self.path.with_name(f"{self.path.name}.parts-{run}")
        self._epoch = epoch
        try:
            first = not self._parts.exists()
            self._parts.mkdir(exist_ok=True)
            if newest_epoch(self._parts) > epoch:
                raise StaleEpoch(f"run {run} has been taken over by another process")
            if first and self._appends and self._is_filled():
                # Another name for the same file: what is joined twice begins with the same rows twice.
                os.link(self.path, self._before)
            (self._parts / f"epoch.{epoch}").touch()
            for left in self._parts.glob("*.tmp"):
                left.unlink()
            with suppress(FileNotFoundError):
                self._columns = tuple(orjson.loads((self._parts / "columns.json").read_bytes()))
            return [part.settled for part in parts_in(self._parts)]
        except OSError as error:
            raise Refused(f"target {self.path} cannot be written: {error.strerror}") from error

    @property
    def _before(self) -> Path:
        return self._parts / "before"

    def _keep_columns(self, columns: tuple[str, ...]) -> None:
        temporary = self._parts / "columns.json.tmp"
        try:
            with temporary.open("wb") as file:
                file.write(orjson.dumps(columns))
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(self._parts / "columns.json")
            sync_folder(self._parts)
        except OSError as error:
            raise lost(self.path, error) from error

    def _finish(self) -> None:
        try:
            self._join()
        except OSError as error:
            raise lost(self.path, error) from error

    def _join(self) -> None:
        self._refuse_changed()
        ahead = self._taken_ahead()
        joining = ahead or self._begin()
        for part in parts_in(self._parts):
            if ahead is None or part.settled.lo >= ahead.upto:
                joining.add(part.settled.lo, part.settled.hi)
        if self.form.tail():
            joining.write([self.compression.compress(self.form.tail())])
        joining.end()
        joined = self._joined
        if self.path.exists():
            joined.chmod(self.path.stat().st_mode & 0o7777)
        self._keep_ours(joined)
        faults.reach("target.before_join")
        joined.rename(self.path)
        sync_folder(self.path.parent)
        faults.reach("target.after_join")

    def _refuse_changed(self) -> None:
        """What others have put in the place of the file that was there when the run began must not be lost."""
        if not self._before.exists():
            return
        same = self.path.exists() and self.path.samefile(self._before)
        if not same and _told_apart(self.path) not in self._ours():
            raise SideLost(
                "target",
                f"{self.path} was replaced while rows were to be appended: put back {self._before}, then resume",
            )

    def _keep_ours(self, joined: Path) -> None:
        """Have it known again after a crash, whichever bears the name then: it is ours, and may be made once more."""
        with private_files.replacing(self._parts / "joined") as file:
            file.write(orjson.dumps([_told_apart(self.path), _told_apart(joined)]))
        sync_folder(self._parts)

    def _ours(self) -> list[str]:
        try:
            return [each for each in orjson.loads((self._parts / "joined").read_bytes()) if each is not None]
        except FileNotFoundError:
            return []

    def _taken_ahead(self) -> Joining | None:
        """What was joined already, if that is how the file is to begin."""
        ahead, self._ahead = self._ahead, None
        joining = ahead.taken() if ahead is not None else None
        if joining is not None and self._columns != self._ahead_columns:
            joining.close()
            return None
        return joining

    @property
    def _joined(self) -> Path:
        # The epoch in the name keeps an owner that was thought dead from writing into our file.
        return self._parts / f"whole.{self._epoch}.tmp"

    def _begin(self) -> Joining:
        """The whole file, as it begins."""
        pack, joining = self.compression.compress, Joining(self._joined, self._pieces)
        if not self._before.exists():
            joining.write([pack(self.form.head(self._columns))] if self.form.head(self._columns) else [])
        elif self._must_be_rewritten():
            # Its head comes first, by itself.
            joining.first = joining.write(map(pack, self._reopened_blocks())) < 2
        else:
            joining.write(self._before_blocks())
        return joining

    def _pieces(self, lo: int, first: bool) -> Iterator[bytes]:
        """What the part of a window adds to the whole file."""
        part = part_of(self._parts, lo)
        if part is None or not part.settled.written.rows_written:
            return
        pack = self.compression.compress
        if not first and self.form.between:
            yield pack(self.form.between)
        content = part.path.read_bytes()
        if part.width != len(self._columns):
            plain = self.compression.decompress(content)
            content = pack(self.form.widened(plain, part.width, self._columns))
        yield content

    def _before_blocks(self) -> Iterator[bytes]:
        with self._before.open("rb") as file:
            while block := file.read(2**20):
                yield block
        last = b"\n"
        with self._unpacked(self._before) as file:
            while block := file.read(2**20):
                last = block[-1:]
        if last != b"\n":
            yield self.compression.compress(b"\n")

    def _must_be_rewritten(self) -> bool:
        """Whether what is there cannot just be followed by more."""
        if not self._reopened:
            return False
        return not self.form.grows or (self.form.has_columns and self._columns_of(self._before) != self._columns)

    def _reopened_blocks(self) -> Iterator[bytes]:
        """What is in the file, as the beginning of a longer one."""
        with self._unpacked(self._before) as file:
            try:
                yield from self.form.reopened(iter(lambda: file.read(2**20), b""), self._columns)
            except ValueError as error:
                raise SideLost("target", f"{self.path} is no {self.form.name} any more: {error}") from error

    def _unpacked(self, path: Path) -> IO[bytes]:
        match self.compression:
            case Compression.GZIP:
                import gzip

                return gzip.open(path, "rb")  # type: ignore[return-value]
            case Compression.ZSTD:
                import zstandard

                return zstandard.open(path, "rb")  # type: ignore[no-any-return]
        return path.open("rb")


def _told_apart(path: Path) -> str | None:
    """Tells a file from any other that may bear its name; None when there is none."""
    try:
        # The number of a file that is gone is given to the next one.
        found = path.stat()
    except FileNotFoundError:
        return None
    return f"{found.st_ino} {found.st_size} {found.st_mtime_ns}"
