"""Connections to databases, and what their errors mean."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from streamconsole.engines.errors import Refused, SideLost
from streamconsole.engines.migration.postgresql import Server, livened, server_of
from streamconsole.engines.migration.sources.sqlite_fetch import BUSY, opened, refuse_another_file
from streamconsole.engines.secrets import mask

DRIVERS = {
    "psycopg": "'streamconsole[postgresql]'",
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient",
    "pymssql": "pymssql",
    "oracledb": "oracledb",
}
"""Modules whose package has another name."""


@dataclass(frozen=True, slots=True)
class Database:
    """A database that is read or written; small and picklable.

    Args:
        url: SQLAlchemy URL; not used for SQLite.
        path: the file, when it is SQLite.
        inode: tells the file from another one put in its place; 0 when there was none yet.
        side: what it is to a migration: `source` or `target`.
    """

    url: str = field(repr=False)
    path: Path | None = None
    inode: int = 0
    side: str = "source"

    def __str__(self) -> str:
        if self.path is not None:
            return str(self.path)
        return str(self.server or mask(self.url))

    @property
    def server(self) -> Server | None:
        """The PostgreSQL server that our own driver talks to; None for any other database."""
        return server_of(self.url, self.side)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection that only reads.

        Raises:
            SQLAlchemyError, ModuleNotFoundError: as they come; see `refusing` and `losing`.
            SideLost: the file is gone, or another one is in its place.
        """
        if self.path is not None:
            refuse_another_file(self.path, self.inode, self.side)
        with _engine(self.url, self.path).connect() as connection:
            yield connection

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Turns what goes wrong before the first write into a refusal."""
        try:
            yield
        except (SideLost, OSError) as error:
            raise Refused(str(error)) from error
        except ModuleNotFoundError as error:
            module = (error.name or "").split(".")[0]
            raise Refused(
                f"{self.side} {self}: its driver is not installed: pip install {DRIVERS.get(module, module)}"
            ) from None
        except NoSuchModuleError:
            raise Refused(
                f"{self.side} {self}: no driver of that name is known: pip install the dialect it needs"
            ) from None
        except ArgumentError as error:
            raise Refused(f"{self.side} {self}: {mask(str(error))}") from None
        except SQLAlchemyError as error:
            raise Refused(f"{self.side} {self} cannot be used ({told(error)}){_hint(error)}") from error

    @contextmanager
    def losing(self) -> Iterator[None]:
        """Turns errors in mid-run into the loss of a side, or into a passing error when it may pass."""
        try:
            yield
        except DBAPIError as error:
            if self.server is not None and error.orig is not None:
                raise self.server.meaning(error.orig) from error
            if _may_pass(error):
                raise OSError(f"{self.side} {self}: {told(error)}") from error
            raise SideLost(self.side, f"{self} cannot be used any more ({told(error)})") from error
        except SQLAlchemyError as error:
            raise SideLost(self.side, f"{self} cannot be used any more ({told(error)})") from error


@lru_cache(maxsize=64)
def _engine(url: str, path: Path | None) -> Engine:
    """This process's engine for a URL: its pool is shared by all who read there."""
    if path is None:
        return server_engine(url)
    # Opened per window: that is cheap, and nothing stays open behind a run.
    return create_engine("sqlite://", creator=partial(opened, path), poolclass=NullPool)


@lru_cache(maxsize=64)
def server_engine(url: str) -> Engine:
    """This process's engine for a database on a server, for reading and for writing.

    Raises:
        ArgumentError: its driver cannot be used.
    """
    server = server_of(url, "")
    if server is not None:
        from streamconsole.engines.migration.sources.postgresql_values import exactly

        # A server that was away meanwhile is no reason to fail.
        engine = create_engine(make_url(url), pool_pre_ping=True, connect_args=livened(url))
        event.listen(engine, "connect", lambda connection, _: exactly(connection))
        return engine
    engine = create_engine(make_url(url))
    if engine.dialect.is_async:
        raise ArgumentError(f"the driver {engine.dialect.driver} is asynchronous: name one that is not")
    return engine


def told(error: SQLAlchemyError) -> str:
    """What a database says, without the statement and its values."""
    text = str(error.orig) if isinstance(error, DBAPIError) and error.orig is not None else str(error)
    return mask(" ".join(text.split()))[:500]


def _hint(error: SQLAlchemyError) -> str:
    text = told(error)
    if "locked" in text:
        return ": another program holds it"
    if "not a database" in text or "unable to open" in text or "malformed" in text:
        return ": is it a SQLite file, and readable?"
    return ""


def _may_pass(error: DBAPIError) -> bool:
    if isinstance(error.orig, sqlite3.Error):
        return (getattr(error.orig, "sqlite_errorcode", 0) & 0xFF) in BUSY
    return isinstance(error, OperationalError) and not error.connection_invalidated
