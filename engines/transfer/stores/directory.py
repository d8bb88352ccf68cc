"""A folder as a store: a file a name, in folders by the first digits of the digest."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path
from time import time
from typing import Any, Final, TypeVar

from streamconsole.engines.transfer.digests import Buffer
from streamconsole.engines.transfer.stores.store import StoreError, Trouble, too_large

T = TypeVar("T")

THREADS: Final = 8

UNFINISHED: Final = ".unfinished"
"""Folder of files that are being written."""

ABANDONED: Final = 86_400.0
"""Seconds after which an unfinished file belongs to nobody."""

GONE: Final = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENXIO}


class DirectoryStore:
    """Keeps bytes in files below a folder, which is made when only it itself is missing.

    Each file is written under another name, made durable, then renamed: a name that can be read is whole.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.place = str(root)
        self._root = root
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="transfer-store")
        self._numbers = count()
        self._known: set[Path] = set()
        self._touched: set[Path] = set()

    async def check(self) -> None:
        """Make sure that files can be written."""
        await self._do("", self._check)

    async def sizes(self, names: Sequence[str]) -> list[int | None]:
        """How many bytes each name has."""
        return await self._do("", lambda: [self._size(self._root / name) for name in names])

    async def put(self, name: str, data: Buffer) -> bool:
        """Keep bytes under a name."""
        return await self._do(name, self._put, self._root / name, data)

    async def get(self, name: str, most: int) -> Buffer:
        """The bytes of a name."""
        data = await self._do(name, self._get, self._root / name, most)
        if len(data) > most:
            raise too_large(self.place, name, most)
        return data

    async def names(self, prefix: str) -> AsyncIterator[str]:
        """All names that begin so."""
        for name in await self._do(prefix, self._names, prefix):
            yield name

    async def settle(self) -> None:
        """Make the folders durable that name the files."""
        await self._do("", self._settle)

    async def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False)

    async def _do(self, name: str, function: Callable[..., T], *args: Any) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)
        except OSError as error:
            raise self._told(error, name) from error

    # In threads ----------------------------------------------------------------------------------

    def _check(self) -> None:
        with suppress(FileExistsError):
            self._root.mkdir()
        unfinished = self._root / UNFINISHED
        unfinished.mkdir(exist_ok=True)
        for left in unfinished.iterdir():
            with suppress(OSError):
                if time() - left.stat().st_mtime > ABANDONED:
                    left.unlink()
        self._write(unfinished / f"check-{os.getpid()}", b"").unlink()

    @staticmethod
    def _size(path: Path) -> int | None:
        try:
            return path.stat().st_size
        except FileNotFoundError:
            return None

    def _put(self, path: Path, data: Buffer) -> bool:
        if self._size(path) is not None:
            return False
        written = self._write(self._root / UNFINISHED / f"{os.getpid()}-{next(self._numbers)}", data)
        self._make(path.parent)
        written.rename(path)
        self._touched.add(path.parent)
        return True

    @staticmethod
    def _write(path: Path, data: Buffer) -> Path:
        try:
            with path.open("wb", buffering=0) as file:
                rest = memoryview(data)
                while rest:
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):
                path.unlink()
            raise
        return path

    def _make(self, folder: Path) -> None:
        """Make folders below the root, never the root: it may be a mount that is gone."""
        if folder in self._known:
            return
        parent = self._root
        for part in folder.relative_to(self._root).parts:
            with suppress(FileExistsError):
                (parent / part).mkdir()
                self._touched.add(parent)
            parent = parent / part
        self._known.add(folder)

    @staticmethod
    def _get(path: Path, most: int) -> bytes:
        with path.open("rb", buffering=0) as file:
            data = file.read(most + 1)
            while len(data) <= most and (more := file.read(most + 1 - len(data))):
                data += more
        return data

    def _names(self, prefix: str) -> list[str]:
        folder = self._root / prefix
        found = (Path(at) / name for at, _, names in os.walk(folder) for name in names)
        return sorted(path.relative_to(self._root).as_posix() for path in found)

    def _settle(self) -> None:
        while self._touched:
            handle = os.open(self._touched.pop(), os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def _told(self, error: OSError, name: str) -> StoreError:
        code = errno.errorcode.get(error.errno or 0, "error")
        what = f"store {self.place}{f', {name}' if name else ''}: {error.strerror}"
        if isinstance(error, FileNotFoundError):
            if not self._root.is_dir():
                return StoreError(Trouble.GONE, code, f"store {self.place} is not there: mount it, or make its parent")
            return StoreError(Trouble.MISSING, code, what)
        if error.errno in GONE:
            hint = ": free some space there, then resume" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
            return StoreError(Trouble.GONE, code, f"{what}{hint}")
        if isinstance(error, (PermissionError, NotADirectoryError, IsADirectoryError)):
            return StoreError(Trouble.PERMANENT, code, what)
        return StoreError(Trouble.PASSING, code, what)
