"""The workspace: the durable state of everything, named by one URL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from streamconsole.engines.errors import Refused, SideLost
from streamconsole.engines.secrets import mask
from streamconsole.engines.workspace.sqlite import SqliteStore
from streamconsole.engines.workspace.writer import Bulk, Store, Writer

T = TypeVar("T")

DEFAULT_NAME = ".streamconsole/workspace.db"


class Workspace:
    """Durable state behind one URL; open it with `Workspace.open`.

    Repository functions are plain functions over a `Connection`. `read` runs one in a thread,
    `write` in the writer's next transaction.
    """

    def __init__(self, url: str, store: Store) -> None:
        self.url = url
        self.path = store.place
        self._store = store
        self._listeners: list[Callable[[], None]] = []
        self.writer = Writer(store, self._foreign_change)

    def __str__(self) -> str:
        return str(self._store)

    @classmethod
    async def open(cls, url: str) -> Workspace:
        """Open the workspace, making and upgrading it as needed.

        Args:
            url: a path, `sqlite:///path/to/file.db`, or `postgresql://host/database`.

        Raises:
            Refused: it cannot be opened, or is newer than this program.
        """
        if is_server(url):
            # Its driver is an extra, and most workspaces are files.
            from streamconsole.engines.workspace.postgresql import PostgresqlStore

            return cls(url, await asyncio.to_thread(PostgresqlStore, url))
        path = path_of(url)
        return cls(f"sqlite:///{path}", await asyncio.to_thread(SqliteStore, path))

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

    def found_on(self, connection: Connection) -> AbstractContextManager[None]:
        """The workspace's tables on somebody else's connection to its database, for as long as the block runs."""
        return self._store.found_on(connection)

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
        """Write what was handed over and let go of the database."""
        await self.writer.close()
        await asyncio.to_thread(self._store.close)

    def _read(self, function: Callable[..., T], *args: Any) -> T:
        try:
            with self._store.readers.connect() as connection, connection.begin():
                return function(connection, *args)
        except DBAPIError as error:
            lost = self._store.loss(error)
            if lost is None:
                raise
            raise SideLost("workspace", lost) from error

    def _foreign_change(self) -> None:
        for callback in list(self._listeners):
            callback()


def is_server(url: str) -> bool:
    """Whether a workspace is on a database server; else it is a file."""
    return url.startswith(("postgresql://", "postgres://"))


def is_there(url: str) -> bool:
    """Whether there is a workspace to open; of one on a server only opening tells.

    Raises:
        Refused: not a URL this program can open.
    """
    return is_server(url) or path_of(url).exists()


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
        raise Refused(
            f"workspace {mask(url)}: write sqlite:///path/to/workspace.db, or postgresql://user@host/database"
        )
    if not parsed.database or parsed.database == ":memory:":
        raise Refused("a workspace must outlive the program: name a file, sqlite:///path/to/workspace.db")
    return Path(parsed.database).expanduser().absolute()
