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
from streamconsole.engines.migration.targets.sqlite_table import quote
from streamconsole.engines.migration.targets.table_rows import TableRows
from streamconsole.engines.migration.verifying.canonical import plain, table_rows
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
    """

    path: Path
    table: str
    names: tuple[str, ...]
    key: tuple[str, ...]

    @property
    def keyed(self) -> bool:
        """Whether rows can be looked up by their key."""
        return bool(self.key)

    def fitting(self, normalizer: NormalizerFactory) -> NormalizerFactory:
        """The same columns, which nothing widens."""
        assert isinstance(normalizer, TableRows)
        schema = replace(normalizer.schema, fixed=True)
        return replace(normalizer, schema=schema, most_columns=len(schema.columns))

    def fitted(self, batch: Batch, normalizer: NormalizerFactory) -> Fitted:
        """A window's rows in canonical form, with their keys."""
        assert isinstance(normalizer, TableRows)
        width = len(normalizer.schema.columns)
        values = list(chain.from_iterable(batch.payload or ()))
        nothing = [None] * len(batch.indexes)
        found = {each.name: plain(values[n::width]) for n, each in enumerate(normalizer.schema.columns)}
        keys = list(zip(*(found.get(name, nothing) for name in self.key), strict=True)) if self.key else []
        return Fitted(table_rows([found.get(name, nothing) for name in self.names]), list(batch.indexes), keys)

    def find(self, keys: Sequence[Key]) -> dict[Key, bytes]:
        """The rows of some keys."""
        found: dict[Key, bytes] = {}
        step = VALUES_ASKED // len(self.key)
        with self._reading() as connection:
            for at in range(0, len(keys), step):
                asked = keys[at : at + step]
                rows = connection.execute(self._question(len(asked)), list(chain.from_iterable(asked))).fetchall()
                found.update(zip(*self._canonical(rows), strict=True))
        return found

    def stored(self, window: Window) -> list[bytes]:
        """The rows of a range of row numbers."""
        statement = f"SELECT {self._columns()} FROM {quote(self.table)} WHERE rowid >= ? AND rowid < ?"
        with self._reading() as connection:
            return self._canonical(connection.execute(statement, (window.lo, window.hi)).fetchall())[1]

    def key_of(self, key: Key, row: bytes) -> bytes:
        """The key where there is one, else the row."""
        return marshal.dumps(key, 2) if self.key else row

    def all(self) -> Iterator[list[Stored]]:
        """Every row of the table."""
        with self._reading() as connection:
            cursor = connection.execute(f"SELECT {self._columns()} FROM {quote(self.table)}")
            while rows := cursor.fetchmany(ROWS_TOGETHER):
                keys, canonical = self._canonical(rows)
                yield [
                    Stored(self._place(key, row), row, self.key_of(key, row))
                    for key, row in zip(keys or [()] * len(canonical), canonical, strict=True)
                ]

    def count(self) -> int:
        """Rows of the table."""
        with self._reading() as connection:
            return int(connection.execute(f"SELECT count(*) FROM {quote(self.table)}").fetchone()[0])

    def extent(self) -> tuple[int, int]:
        """First row number, and how far they go."""
        with self._reading() as connection:
            lo, hi = connection.execute(f"SELECT min(rowid), max(rowid) FROM {quote(self.table)}").fetchone()
        return (lo, hi + 1 - lo) if lo is not None else (0, 0)

    def cut(self, lo: int, first_row: int) -> tuple[int, int] | None:
        """The next row numbers, some thousand rows together."""
        inner = f"SELECT rowid AS n FROM {quote(self.table)} WHERE rowid >= ? ORDER BY rowid LIMIT {ROWS_TOGETHER}"
        with self._reading() as connection:
            count, last = connection.execute(f"SELECT count(*), max(n) FROM ({inner})", (lo,)).fetchone()
        return (last + 1, count) if count else None

    def values(self, row: bytes) -> Mapping[str, Any]:
        """The columns of a row."""
        return dict(zip(self.names, marshal.loads(row), strict=True))  # noqa: S302 - we made it ourselves

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
        if not rows:
            return [], []
        columns = dict(zip(self.names, map(plain, map(list, zip(*rows, strict=True))), strict=True))
        keys = list(zip(*(columns[name] for name in self.key), strict=True)) if self.key else []
        return keys, table_rows(list(columns.values()))

    def _place(self, key: Key, row: bytes) -> str:
        told = zip(self.key, key, strict=True) if self.key else list(self.values(row).items())[:3]
        return ", ".join(shown(name, value) for name, value in told)

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
