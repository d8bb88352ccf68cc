"""A SQLite table, read again."""

from __future__ import annotations

import marshal
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import quote as percent

from streamconsole.engines.errors import SideLost
from streamconsole.engines.migration.batch import Batch, NormalizerFactory
from streamconsole.engines.migration.sources.sql_shape import ROWID
from streamconsole.engines.migration.targets.sqlite_table import quote
from streamconsole.engines.migration.targets.table_rows import TableRows
from streamconsole.engines.migration.verifying.canonical import Kind, of_kind, table_rows
from streamconsole.engines.migration.verifying.differences import shown
from streamconsole.engines.migration.verifying.side import Fitted, Key, Stored
from streamconsole.engines.units import Window

VALUES_ASKED = 900
"""Values in one question, at most: SQLite before 3.32 takes 999."""

ROWS_TOGETHER = 5_000

BUSY_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class TableSide:
    """One table of a SQLite file.

    Args:
        path: the file.
        table: its name.
        names: columns that are compared, in order.
        key: those by which rows are looked up; empty when the table has no key of ours.
        numbers: columns that keep a number's value, not its digits.
    """

    path: Path
    table: str
    names: tuple[str, ...]
    key: tuple[str, ...]
    numbers: frozenset[str] = frozenset()

    @property
    def keyed(self) -> bool:
        """Whether rows can be looked up by their key."""
        return bool(self.key)

    def fitting(self, normalizer: NormalizerFactory) -> NormalizerFactory:
        """The same columns, which nothing widens."""
        return fixed(normalizer)

    def fitted(self, batch: Batch, normalizer: NormalizerFactory) -> Fitted:
        """A window's rows in canonical form, with their keys."""
        columns = fitted_columns(batch, normalizer, self.names, self._kinds())
        keys = list(zip(*(columns[name] for name in self.key), strict=True)) if self.key else []
        return Fitted(table_rows(list(columns.values())), list(batch.indexes), keys)

    def find(self, keys: Sequence[Key]) -> dict[Key, bytes]:
        """The rows of some keys."""
        found: dict[Key, bytes] = {}
        keys = list(dict.fromkeys(keys))
        step = VALUES_ASKED // len(self.key)
        with self._reading() as connection:
            for at in range(0, len(keys), step):
                asked = keys[at : at + step]
                rows = _all_of(connection, self._question(len(asked)), list(chain.from_iterable(asked)))
                found.update(zip(*self._canonical(rows), strict=True))
        return found

    def stored(self, window: Window) -> Iterator[list[bytes]]:
        """The rows of a range of row numbers."""
        number = self._number
        statement = f"SELECT {self._columns()} FROM {quote(self.table)} WHERE {number} >= ? AND {number} < ?"
        with self._reading() as connection:
            yield self._canonical(_all_of(connection, statement, (window.lo, window.hi)))[1]

    def key_of(self, key: Key, row: bytes) -> bytes:
        """The key where there is one, else the row."""
        return marshal.dumps(key, 2) if self.key else row

    def all(self) -> Iterator[list[Stored]]:
        """Every row of the table."""
        with self._reading() as connection:
            connection.text_factory = as_text
            cursor = connection.execute(f"SELECT {self._columns()} FROM {quote(self.table)}")
            while rows := cursor.fetchmany(ROWS_TOGETHER):
                keys, canonical = self._canonical(rows)
                yield [
                    Stored(self.place(key, row), row, self.key_of(key, row))
                    for key, row in zip(keys or [()] * len(canonical), canonical, strict=True)
                ]

    def count(self) -> int:
        """Rows of the table."""
        with self._reading() as connection:
            return int(connection.execute(f"SELECT count(*) FROM {quote(self.table)}").fetchone()[0])

    def extent(self) -> tuple[int, int | None]:
        """First row number, and how far they go."""
        number = self._number
        with self._reading() as connection:
            lo, hi = connection.execute(f"SELECT min({number}), max({number}) FROM {quote(self.table)}").fetchone()
        return (lo, hi + 1 - lo) if lo is not None else (0, 0)

    def cut(self, lo: int, first_row: int) -> tuple[int, int] | None:
        """The next row numbers, some thousand rows together."""
        number = self._number
        table = quote(self.table)
        # Named last of all: a column of that name would be taken for it.
        some = f"SELECT {number} FROM {table} WHERE {number} >= ? ORDER BY {number} LIMIT {ROWS_TOGETHER}"
        inner = f"WITH some (n) AS ({some}) SELECT n FROM some"
        with self._reading() as connection:
            count, last = connection.execute(f"SELECT count(*), max(n) FROM ({inner})", (lo,)).fetchone()
        return (last + 1, count) if count else None

    def values(self, row: bytes) -> Mapping[str, Any]:
        """The columns of a row."""
        return dict(zip(self.names, marshal.loads(row), strict=True))  # noqa: S302 - we made it ourselves

    def place(self, key: Key, row: bytes) -> str:
        """Its key, else its first values."""
        return place_of(self.key, key, self.values(row))

    def told(self, row: bytes) -> str:
        """A row has no form of its own."""
        return ""

    def lay_out(self, window: Window) -> None:
        """It lies there."""

    def clear(self, window: Window) -> None:
        """It stays."""

    def close(self) -> None:
        """Nothing is held open."""

    def _kinds(self) -> list[Kind]:
        return [Kind.NUMBER if name in self.numbers else Kind.PLAIN for name in self.names]

    @property
    def _number(self) -> str:
        """The hidden key, under a name that no column has."""
        taken = {name.casefold() for name in self.names}
        return next(each for each in ROWID if each not in taken)

    def _columns(self) -> str:
        return ", ".join(map(quote, self.names))

    def _question(self, many: int) -> str:
        names = ", ".join(map(quote, self.key))
        if len(self.key) == 1:
            return f"SELECT {self._columns()} FROM {quote(self.table)} WHERE {names} IN ({', '.join('?' * many)})"
        marks = f"({', '.join('?' * len(self.key))})"
        rows = ", ".join([marks] * many)
        return f"SELECT {self._columns()} FROM {quote(self.table)} WHERE ({names}) IN (VALUES {rows})"

    def _canonical(self, rows: Sequence[tuple[Any, ...]]) -> tuple[list[Key], list[bytes]]:
        return canonical_rows(rows, self.names, self._kinds(), self.key)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            url = f"file:{percent(str(self.path))}?mode=ro"
            # Used by one thread at a time, but not always by the same.
            connecting = sqlite3.connect(url, uri=True, timeout=BUSY_TIMEOUT_S, check_same_thread=False)
            with closing(connecting) as connection:
                yield connection
        except sqlite3.Error as error:
            if "locked" in str(error):
                raise
            raise SideLost("target", f"{self.path} cannot be read any more ({error})") from error


def fixed(normalizer: NormalizerFactory) -> TableRows:
    """The same columns, which nothing widens."""
    assert isinstance(normalizer, TableRows)
    schema = replace(normalizer.schema, fixed=True)
    return replace(normalizer, schema=schema, most_columns=len(schema.columns))


def fitted_columns(
    batch: Batch, normalizer: NormalizerFactory, names: Sequence[str], kinds: Sequence[Kind]
) -> dict[str, list[Any]]:
    """A window's values as they are compared, by column."""
    assert isinstance(normalizer, TableRows)
    width = len(normalizer.schema.columns)
    values = list(chain.from_iterable(batch.payload or ()))
    places = {each.name: n for n, each in enumerate(normalizer.schema.columns)}
    nothing: list[Any] = [None] * len(batch.indexes)
    return {
        name: of_kind(kind, values[places[name] :: width]) if name in places else nothing
        for name, kind in zip(names, kinds, strict=True)
    }


def canonical_rows(
    rows: Sequence[Sequence[Any]], names: Sequence[str], kinds: Sequence[Kind], key: Sequence[str]
) -> tuple[list[Key], list[bytes]]:
    """Rows of a table as they are compared, with their keys (none without a key)."""
    if not rows:
        return [], []
    columns = dict(zip(names, map(of_kind, kinds, map(list, zip(*rows, strict=True))), strict=True))
    keys = list(zip(*(columns[name] for name in key), strict=True)) if key else []
    return keys, table_rows(list(columns.values()))


def place_of(names: Sequence[str], key: Key, values: Mapping[str, Any]) -> str:
    """What the operator finds a row of a table by: its key, else its first values."""
    told = zip(names, key, strict=True) if key else list(values.items())[:3]
    return ", ".join(shown(name, value) for name, value in told)


def _all_of(connection: sqlite3.Connection, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    try:
        return connection.execute(statement, values).fetchall()
    except sqlite3.OperationalError as error:
        if "Could not decode" not in str(error):
            raise
        # Text that is not UTF-8 is a difference, and no reason to stop.
        connection.text_factory = as_text
        return connection.execute(statement, values).fetchall()


def as_text(text: bytes) -> str:
    """What a database holds as text, with bytes that are not UTF-8 written out."""
    return text.decode(errors="backslashreplace")


def columns_and_key(path: Path, table: str) -> tuple[list[str], tuple[str, ...]]:
    """Names of a table's columns, and of those that make up a key without nulls; empty without one.

    Raises:
        SideLost: there is no such table any more.
    """
    with TableSide(path, table, (), ())._reading() as connection:
        found = connection.execute('SELECT name, type, "notnull", pk FROM pragma_table_info(?)', (table,)).fetchall()
    if not found:
        raise SideLost("target", f"{path} has no table {table} any more")
    key = sorted((each for each in found if each[3]), key=lambda each: each[3])
    firm = all(notnull or (len(key) == 1 and kind.upper() == "INTEGER") for _, kind, notnull, _ in key)
    return [each[0] for each in found], tuple(each[0] for each in key) if firm else ()
