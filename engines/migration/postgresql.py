"""Connections to PostgreSQL by its own driver, and what the server's errors mean.

Children use them: SQLAlchemy is not needed to move rows, and takes its time to load.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from streamconsole.engines.errors import SideLost
from streamconsole.engines.secrets import mask

if TYPE_CHECKING:
    import psycopg

SCHEMES = ("postgresql", "postgres")

DRIVER = "postgresql+psycopg"
"""What a URL means whose scheme is one of those."""

CONNECT_TIMEOUT_S = 10

LOCK_TIMEOUT_MS = 20_000
"""How long a window waits for rows or tables that somebody else has locked."""

LIVELINESS: Final = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""A server behind a cut line is missed within a minute, not after hours."""

SPELLING = (
    "SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'; SET intervalstyle = 'iso_8601'; SET bytea_output = 'hex'; "
    "SET extra_float_digits = 1; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0"
)
"""How values are spelled, whatever the server, the database or the user prefers."""

PASSING = frozenset({"55P03", "40001", "40P01", "57014", "53300"})
"""lock_not_available, serialization_failure, deadlock_detected, query_canceled, too_many_connections."""

FULL = frozenset({"53100", "53200", "58030"})
"""disk_full, out_of_memory, io_error."""

READ_ONLY = "25006"

REFUSED_ROW = ("22", "23", "44", "54", "P0")
"""Classes of errors that a row is to blame for: data, constraints, views' checks, limits, what triggers raise."""


class Purpose(StrEnum):
    """What a connection is for."""

    READING = "reading"
    WRITING = "writing"


SETTINGS: Final = {
    Purpose.READING: "SET default_transaction_read_only = on",
    # The ledger makes up for a commit that a power cut takes back; the last one of a run waits for the disk, and
    # with it for all that came before.
    Purpose.WRITING: f"SET lock_timeout = {LOCK_TIMEOUT_MS}; SET synchronous_commit = off",
}

FRESH_S = 2.0
"""For how long a connection that nobody used is taken for sound without a look."""

_idle: Final[defaultdict[tuple[str, Purpose], list[tuple[float, psycopg.Connection[Any]]]]] = defaultdict(list)
"""This process's connections that nobody uses at the moment, and since when."""


@dataclass(frozen=True, slots=True)
class Server:
    """A database on a server; small and picklable.

    Args:
        url: as libpq takes it.
        side: what it is to a migration: `source` or `target`.
    """

    url: str = field(repr=False)
    side: str

    def __str__(self) -> str:
        return mask(self.url)

    @contextmanager
    def connected(self, purpose: Purpose) -> Iterator[psycopg.Connection[Any]]:
        """A connection for as long as the block runs; kept for the next one, unless something went wrong.

        Raises:
            SideLost: the server is gone, full, or takes no writes.
            OSError: it may pass.
        """
        import psycopg

        connection: psycopg.Connection[Any] | None = None
        try:
            connection = self._kept(purpose) or self._connect(purpose)
            yield connection
        except psycopg.Error as error:
            raise self.meaning(error) from error
        else:
            _idle[self.url, purpose].append((monotonic(), connection))
            connection = None
        finally:
            if connection is not None:
                connection.close()

    def meaning(self, error: BaseException) -> Exception:
        """What an error of the driver means for a run."""
        state = str(getattr(error, "sqlstate", None) or "")
        told = said(error)
        if state in PASSING:
            return OSError(f"{self.side} {self}: {told}")
        if state in FULL:
            return SideLost(self.side, f"the server of {self} is full ({told}): free some space, then resume")
        if state == READ_ONLY:
            return SideLost(self.side, f"{self} takes no writes ({told}): a standby, or set to read-only")
        if not _is_cut(error, state):
            return SideLost(self.side, f"{self} cannot be used any more ({told})")
        # Connections that were idle meanwhile are as dead as this one.
        self.let_go()
        if self._answers():
            return OSError(f"{self.side} {self}: the connection was cut ({told})")
        return SideLost(self.side, f"{self} cannot be reached any more ({told})")

    def let_go(self) -> None:
        """Close this process's idle connections."""
        for purpose in Purpose:
            idle = _idle[self.url, purpose]
            while idle:
                with suppress(IndexError):
                    idle.pop()[1].close()

    def _kept(self, purpose: Purpose) -> psycopg.Connection[Any] | None:
        """An idle connection that is still one; None when there is none."""
        import psycopg

        with suppress(IndexError):
            since, connection = _idle[self.url, purpose].pop()
            if monotonic() - since < FRESH_S:
                return connection
            try:
                connection.execute("SELECT 1")
            except psycopg.Error:
                # The server was started anew: what it knew of before is gone, too.
                connection.close()
                self.let_go()
                return None
            return connection
        return None

    def _connect(self, purpose: Purpose) -> psycopg.Connection[Any]:
        import psycopg

        connection: psycopg.Connection[Any] = psycopg.connect(self.url, autocommit=True, **livened(self.url))
        # Somebody between us and the server may give each transaction another session.
        connection.prepare_threshold = None
        connection.execute(f"{SPELLING}; {SETTINGS[purpose]}")
        return connection

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url, connect_timeout=CONNECT_TIMEOUT_S).close()
        except psycopg.Error:
            return False
        return True


def livened(url: str) -> dict[str, Any]:
    """Settings of a connection, but for those that its URL has."""
    return {name: value for name, value in LIVELINESS.items() if f"{name}=" not in url} | {"client_encoding": "UTF8"}


def with_driver(url: str) -> str:
    """The same URL with the driver that it means; any other URL as it is."""
    scheme, mark, rest = url.partition("://")
    return f"{DRIVER}{mark}{rest}" if scheme.lower() in SCHEMES else url


def server_of(url: str, side: str) -> Server | None:
    """The server of a URL with our driver; None for any other."""
    scheme, _, rest = url.partition("://")
    return Server(f"{SCHEMES[0]}://{rest}", side) if scheme.lower() == DRIVER else None


def said(error: BaseException) -> str:
    """What the server says, in one line."""
    return mask(" ".join(str(error).split()))[:500]


def is_refusal(error: BaseException) -> bool:
    """Whether a row is to blame, not the server."""
    return str(getattr(error, "sqlstate", None) or "").startswith(REFUSED_ROW)


def quote(name: str) -> str:
    """A name as an identifier, whatever is in it; for statements without parameters."""
    return '"' + name.replace('"', '""') + '"'


def quote_all(names: Sequence[str]) -> str:
    """Names as a list of identifiers."""
    return ", ".join(map(quote, names))


def placed(place: str | None, name: str) -> str:
    """The name of a table, with the schema it is in."""
    return f"{quote(place)}.{quote(name)}" if place else quote(name)


def _is_cut(error: BaseException, state: str) -> bool:
    """Whether the connection is gone: the driver says so without a state."""
    import psycopg

    own = not state and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return own or state.startswith(("08", "57P"))
