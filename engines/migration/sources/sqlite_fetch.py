"""Fetches ranges of keys of one SQLite table. Children do this: nothing here takes long to load."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote as quoted

from streamconsole.engines.errors import SideLost
from streamconsole.engines.migration.batch import NotAlike
from streamconsole.engines.migration.sources import keys
from streamconsole.engines.migration.sources.keys import KeyRange
from streamconsole.engines.migration.sources.sql_values import BadText
from streamconsole.engines.migration.targets.sqlite_table import quote
from streamconsole.engines.units import Window

BUSY_TIMEOUT_S = 10.0

BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_INTERRUPT})

ROWS_AT_ONCE = 64
"""Rows held at once: few enough for the processor's cache, which half the time depends on."""


@dataclass(frozen=True, slots=True)
class SqliteFetch:
    """Fetches from one table or view of a SQLite file.

    Args:
        path: the file.
        inode: tells the file from another one put in its place; 0 for any.
        schema: the attached database it is in; None for the file itself.
        table: its name.
        names: its columns.
        key: columns that its ranges are of.
    """

    path: Path
    inode: int
    schema: str | None
    table: str
    names: tuple[str, ...]
    key: tuple[str, ...]

    def read(self, window: Window, *, exactly: bool) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of a range; text that is not UTF-8 is told apart only where each value is looked at."""
        refuse_another_file(self.path, self.inode)
        statement, values = self.select(window, ", ".join(map(quote, self.names)), self.schema, ordered=True)
        with losing(self.path, exactly=exactly), closing(opened(self.path)) as connection:
            if exactly:
                connection.text_factory = _text_or_bad
            cursor = connection.execute(statement, values)
            while some := cursor.fetchmany(ROWS_AT_ONCE):
                yield some

    def select(
        self, window: Window, columns: str, schema: str | None, *, ordered: bool = False
    ) -> tuple[str, list[Any]]:
        """The statement that finds a window's rows, and its values.

        Args:
            window: which.
            columns: what is asked of each row, as SQL.
            schema: the name under which the file is attached; None for the main one.
            ordered: in the order of the keys; else in whatever order, which lets SQLite do more at once.
        """
        asked = keys.of_window(window, len(self.key), str(self.path))
        where, values = _condition(self.key, asked)
        place = f"{quote(schema)}." if schema else ""
        statement = f"SELECT {columns} FROM {place}{quote(self.table)}{where}"
        if self.key and (ordered or asked.most is not None):
            statement += f" ORDER BY {', '.join(map(quote, self.key))}"
        if asked.most is not None:
            statement += " LIMIT ?"
            values.append(asked.most)
        return statement, values


def opened(path: Path) -> sqlite3.Connection:
    """A connection that only reads."""
    # Never made when it is not there; rolls back what a crash left unfinished, as any reader must.
    uri = f"file:{quoted(str(path))}?mode=rw"
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, check_same_thread=False)
    connection.execute("PRAGMA query_only = ON")
    return connection


def refuse_another_file(path: Path, inode: int, side: str = "source") -> None:
    """A file that is gone, or another one in its place, is no longer that side.

    Raises:
        SideLost: it is so.
    """
    try:
        same = not inode or path.stat().st_ino == inode
    except OSError:
        same = False
    if not same:
        raise SideLost(side, f"{path} was removed or replaced while it was read")


@contextmanager
def losing(path: Path, *, exactly: bool) -> Iterator[None]:
    """Turns errors of reading into the loss of the source, or into a passing error when it may pass."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if not exactly and "Could not decode to UTF-8" in str(error):
            raise NotAlike from None
        if (getattr(error, "sqlite_errorcode", 0) & 0xFF) in BUSY:
            raise OSError(f"source {path}: {error}") from error
        raise SideLost("source", f"{path} cannot be used any more ({error})") from error


def _condition(names: Sequence[str], asked: KeyRange) -> tuple[str, list[Any]]:
    ends = [(">", asked.after), (">=", asked.first), ("<=", asked.upto)]
    parts, values = [], list[Any]()
    for sign, key in ends:
        if key is not None:
            parts.append(f"{_row(list(map(quote, names)))} {sign} {_row(['?'] * len(key))}")
            values += key
    return (f" WHERE {' AND '.join(parts)}" if parts else ""), values


def _row(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else f"({', '.join(values)})"


def _text_or_bad(text: bytes) -> str | BadText:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return BadText(text)
