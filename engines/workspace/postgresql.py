"""A workspace on PostgreSQL: in a schema of its own, its writers one after the other.

What SQLite gives by itself is made here. A write transaction takes a lock that all of them share, so that
repository functions may look and then write, as they do on a file. Others are told of changes by NOTIFY, at
most ten times a second and outside of any transaction that writes: the server does such commits one by one.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from streamconsole.engines.errors import Refused, StreamConsoleError
from streamconsole.engines.secrets import mask
from streamconsole.engines.workspace import schema

SCHEMA = "streamconsole"

LOCK = int.from_bytes(hashlib.sha256(b"streamconsole workspace").digest()[:8], signed=True)
"""Of all the locks that programs may agree on in a database: the one of our writers."""

CHANNEL = "streamconsole_workspace"

CONNECT_TIMEOUT_S = 10

LOCK_TIMEOUT_MS = 5_000

BUSY = frozenset({"55P03", "40001", "40P01"})
"""lock_not_available, serialization_failure, deadlock_detected."""

FULL = frozenset({"53100", "53200"})
"""disk_full, out_of_memory."""

READ_ONLY = "25006"


class PostgresqlStore:
    """A workspace in a database.

    Args:
        url: `postgresql://user:password@host:port/database`.

    Raises:
        Refused: it cannot be used, or is newer than this program.
    """

    def __init__(self, url: str) -> None:
        parsed = _parsed(url)
        self._name = mask(url)
        self.place = _private_place(parsed)
        self.readers = _engine(parsed, isolation_level="REPEATABLE READ")
        self.writers = _engine(parsed)
        self._me = uuid4().hex
        self._telling: Any = None
        self._untold = False
        self._missed = False
        event.listen(self.writers, "begin", _one_after_the_other)
        with self._refusing():
            with self.writers.begin() as connection:
                connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
            schema.bring_up_to_date(self.readers, self.writers, str(self))

    def __str__(self) -> str:
        return self._name

    @contextmanager
    def found_on(self, connection: Connection) -> Iterator[None]:
        """Found first of all, in the open transaction alone."""
        before = connection.exec_driver_sql("SHOW search_path").scalar_one()
        choose = text("SELECT set_config('search_path', :path, true)")
        connection.execute(choose, {"path": SCHEMA})
        try:
            yield
        except DBAPIError:
            # The transaction can only be rolled back, and the path goes with it.
            raise
        except BaseException:
            connection.execute(choose, {"path": before})
            raise
        connection.execute(choose, {"path": before})

    def prepare(self, connection: Connection) -> None:
        """Nothing: the server lets writers in by turn."""

    def wrote(self) -> None:
        """Others are told at the next look."""
        self._untold = True

    def changed_elsewhere(self, connection: Connection) -> bool:
        """By what others have told; and they are told what was committed here."""
        try:
            telling = self._connected(connection)
            if self._untold:
                telling.execute(f"NOTIFY {CHANNEL}, '{self._me}'")
                self._untold = False
            others = [notice for notice in telling.notifies(timeout=0) if notice.payload != self._me]
        except self._errors():
            # Whoever reads or writes next is told what is the matter.
            self._disconnect()
            self._missed = True
            return False
        # What was committed while nobody listened may be anything.
        missed, self._missed = self._missed, False
        return missed or bool(others)

    def after_failed_commit(self, connection: Connection) -> None:
        """The server has ended the transaction."""

    def is_busy(self, error: DBAPIError) -> bool:
        """Whether another transaction stands in the way."""
        return _state(error) in BUSY

    def loss(self, error: DBAPIError) -> str | None:
        """The server is gone, full, or takes no writes."""
        state = _state(error) or ""
        # An error without a state is the driver's own: it has no server to talk to.
        unreachable = isinstance(error, OperationalError) and not state
        if error.connection_invalidated or unreachable or state.startswith(("08", "57P")):
            return f"workspace {self} cannot be reached any more ({_told(error)})"
        if state in FULL:
            return f"the server of workspace {self} is full ({_told(error)}): free some space, then resume"
        if state == READ_ONLY:
            return f"workspace {self} takes no writes any more ({_told(error)})"
        return None

    def close(self) -> None:
        """Close all connections."""
        self._disconnect()
        self.readers.dispose()
        self.writers.dispose()

    def _connected(self, connection: Connection) -> Any:
        """The connection on which is told and listened."""
        if self._telling is None:
            driver = connection.dialect.loaded_dbapi
            arguments, named = connection.dialect.create_connect_args(connection.engine.url)
            self._telling = driver.connect(*arguments, **named, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S)
            self._telling.execute(f"LISTEN {CHANNEL}")
        return self._telling

    def _disconnect(self) -> None:
        telling, self._telling = self._telling, None
        if telling is not None:
            with suppress(self._errors()):
                telling.close()

    def _errors(self) -> type[Exception]:
        errors: type[Exception] = self.writers.dialect.loaded_dbapi.Error
        return errors

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except StreamConsoleError:
            self.close()
            raise
        except DBAPIError as error:
            self.close()
            raise Refused(
                f"workspace {self} cannot be used ({_told(error)}): is the server up, the password right, and may "
                f"the user make the schema {SCHEMA}?"
            ) from error


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise Refused(f"workspace {mask(url)} is not a URL: write postgresql://user@host/database") from error
    if not parsed.database:
        raise Refused(f"workspace {mask(url)} names no database: write postgresql://user@host/database")
    return parsed.set(drivername="postgresql+psycopg")


def _engine(url: URL, **options: Any) -> Engine:
    settings = f"-csearch_path={SCHEMA} -clock_timeout={LOCK_TIMEOUT_MS}"
    try:
        engine = create_engine(
            url,
            pool_size=4,
            max_overflow=16,
            pool_pre_ping=True,
            connect_args={"options": settings, "connect_timeout": CONNECT_TIMEOUT_S},
            **options,
        )
    except ModuleNotFoundError:
        raise Refused("a workspace on PostgreSQL needs its driver: pip install 'streamconsole[postgresql]'") from None
    event.listen(engine, "connect", _take_any_text)
    return engine


def _take_any_text(connection: Any, _: Any) -> None:
    """NUL has no place in PostgreSQL's text, but refused rows and messages may hold one: it is shown by its sign."""
    from psycopg.types.string import StrDumper

    class Visible(StrDumper):
        def dump(self, obj: str) -> Any:
            return super().dump(obj.replace("\0", "␀") if "\0" in obj else obj)

    connection.adapters.register_dumper(str, Visible)


def _one_after_the_other(connection: Connection) -> None:
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")


def _private_place(url: URL) -> Path:
    """Where this host keeps what belongs to the workspace but is no table: locks of processes, what programs said."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    named = url.set(username=None, password=None).render_as_string()
    folder = state / "streamconsole" / hashlib.sha256(named.encode()).hexdigest()[:16]
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Refused(f"{folder} cannot be made ({error.strerror}): name another place with XDG_STATE_HOME") from error
    return folder / "workspace"


def _state(error: DBAPIError) -> str | None:
    state: str | None = getattr(error.orig, "sqlstate", None)
    return state


def _told(error: DBAPIError) -> str:
    return mask(" ".join(str(error.orig).split()))[:300]
