"""The workspace: the durable state of everything, named by one URL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from streamconsole.engines.errors import Refused, StreamConsoleError
from streamconsole.engines.secrets import mask
from streamconsole.engines.workspace import schema, sqlite
from streamconsole.engines.workspace.tables import HEAD
from streamconsole.engines.workspace.writer import Bulk, Writer

T = TypeVar("T")

DEFAULT_NAME = ".streamconsole/workspace.db"


class Workspace:
    """Durable state behind one URL; open it with `Workspace.open`.

    Repository functions are plain functions over a `Connection`. `read` runs one in a thread,
    `write` in the writer's next transaction.
    """

    def __init__(self, url: str, path: Path, readers: Engine, writers: Engine) -> None:
        self.url = url
        self.path = path
        self._readers = readers
        self._writers = writers
        self._listeners: list[Callable[[], None]] = []
        self.writer = Writer(writers, f"workspace {path}", self._foreign_change)

    @classmethod
    async def open(cls, url: str) -> Workspace:
        """Open the workspace, making and upgrading it as needed.

        Args:
            url: `sqlite:///path/to/file.db`, or just a path.

        Raises:
            Refused: it cannot be opened, or is newer than this program.
        """
        path = path_of(url)
        readers, writers = await asyncio.to_thread(_open_sqlite, path)
        return cls(f"sqlite:///{path}", path, readers, writers)

    async def read(self, function: Callable[..., T], *args: Any) -> T:
        """Run a repository function that only reads, in a thread."""
        return await asyncio.to_thread(self._read, function, *args)

    async def write(self, function: Callable[..., T], *args: Any) -> T:
        """Run a repository function in the writer's next transaction; back after the commit."""
        result: T = await self.writer.run(function, *args)
        return result

    async def write_bulk(self, kind: Bulk, params: Any) -> Any:
        """Run one operation of a bulk kind in the writer's next transaction; back after the commit."""
        return await self.writer.bulk(kind, params)

    def listen(self, callback: Callable[[], None]) -> None:
        """Be told, from the writer's thread, that another process changed the workspace."""
        self._listeners.append(callback)

    def unlisten(self, callback: Callable[[], None]) -> None:
        """Be told no more."""
        with suppress(ValueError):
            self._listeners.remove(callback)

    @property
    def locks(self) -> Path:
        """Folder of the files whose locks tell living processes from dead ones."""
        return self.path.with_name(self.path.name + ".locks")

    async def close(self) -> None:
        """Write what was handed over and let go of the file."""
        await self.writer.close()
        await asyncio.to_thread(self._dispose)

    def _read(self, function: Callable[..., T], *args: Any) -> T:
        with self._readers.connect() as connection, connection.begin():
            return function(connection, *args)

    def _dispose(self) -> None:
        self._readers.dispose()
        self._writers.dispose()

    def _foreign_change(self) -> None:
        for callback in list(self._listeners):
            callback()


def path_of(url: str) -> Path:
    """The file a workspace URL names.

    Raises:
        Refused: not a URL this program can open.
    """
    if "://" not in url:
        return Path(url).expanduser().absolute()
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise Refused(f"workspace {mask(url)} is not a URL: write sqlite:///path/to/workspace.db") from error
    if parsed.get_backend_name() != "sqlite":
        raise Refused(f"workspace {mask(url)}: only sqlite:///path/to/workspace.db can be opened by this version")
    if not parsed.database or parsed.database == ":memory:":
        raise Refused("a workspace must outlive the program: name a file, sqlite:///path/to/workspace.db")
    return Path(parsed.database).expanduser().absolute()


def _open_sqlite(path: Path) -> tuple[Engine, Engine]:
    sqlite.prepare_file(path)
    sqlite.set_wal(path)
    readers, writers = sqlite.connect(path, begin="BEGIN"), sqlite.connect(path, begin="BEGIN IMMEDIATE")
    try:
        # Looked at by a reader: a workspace that another process is writing to opens at once.
        with readers.connect() as connection:
            current = schema.revision(connection)
        if current != HEAD:
            with writers.begin() as connection:
                schema.upgrade(connection, str(path))
    except StreamConsoleError:
        _dispose(readers, writers)
        raise
    except DBAPIError as error:
        _dispose(readers, writers)
        hint = ": another program holds it, try again when it has let go" if "locked" in str(error.orig) else ""
        raise Refused(f"workspace {path} cannot be opened ({error.orig}){hint}") from error
    return readers, writers


def _dispose(*engines: Engine) -> None:
    for engine in engines:
        engine.dispose()
