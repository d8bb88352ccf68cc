"""A table of any database that SQLAlchemy knows, read again."""

from __future__ import annotations

import marshal
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from streamconsole.engines.errors import SideLost
from streamconsole.engines.migration.batch import Batch, NormalizerFactory
from streamconsole.engines.migration.sources.databases import Database
from streamconsole.engines.migration.verifying.canonical import Kind, table_rows
from streamconsole.engines.migration.verifying.side import Fitted, Key, Stored
from streamconsole.engines.migration.verifying.table import as_text, canonical_rows, fitted_columns, fixed, place_of
from streamconsole.engines.units import Window

VALUES_ASKED = 900
"""Values in one question, at most."""

ROWS_TOGETHER = 5_000

NO_TUPLES = ("mssql",)
"""Dialects that do not compare several columns at once."""


@dataclass(frozen=True, slots=True)
class SqlSide:
    """One table.

    Args:
        database: where it is.
        schema: of the database; None for the default one.
        table: its name.
        names: columns that are compared, in order.
        kinds: what the values of each are compared as.
        key: those by which rows are looked up; empty when the table has no key of ours.
    """

    database: Database
    schema: str | None
    table: str
    names: tuple[str, ...]
    kinds: tuple[Kind, ...]
    key: tuple[str, ...]

    @property
    def keyed(self) -> bool:
        """Whether rows can be looked up by their key."""
        return bool(self.key)

    def fitting(self, normalizer: NormalizerFactory) -> NormalizerFactory:
        """The same columns, which nothing widens."""
        return fixed(normalizer)

    def fitted(self, batch: Batch, normalizer: NormalizerFactory) -> Fitted:
        """A window's rows in canonical form, with their keys."""
        columns = fitted_columns(batch, normalizer, self.names, self.kinds)
        keys = list(zip(*(columns[name] for name in self.key), strict=True)) if self.key else []
        return Fitted(table_rows(list(columns.values())), list(batch.indexes), keys)

    def find(self, keys: Sequence[Key]) -> dict[Key, bytes]:
        """The rows of some keys."""
        found: dict[Key, bytes] = {}
        wanted = dict.fromkeys(keys)
        asked = list(wanted)
        step = max(1, VALUES_ASKED // len(self.key))
        with self._reading() as connection:
            for at in range(0, len(asked), step):
                some = asked[at : at + step]
                dialect = connection.dialect.name
                rows = connection.execute(self._question(dialect, len(some)), self._asked(dialect, some)).all()
                # A database may take keys for the same that are not, letters without their case, say.
                there = zip(*canonical_rows(rows, self.names, self.kinds, self.key), strict=True)
                found.update({key: row for key, row in there if key in wanted})
        return found

    def stored(self, window: Window) -> Iterator[list[bytes]]:
        """The rows of the whole table."""
        for rows in self._rows():
            yield canonical_rows(rows, self.names, self.kinds, ())[1]

    def key_of(self, key: Key, row: bytes) -> bytes:
        """The key where there is one, else the row."""
        return marshal.dumps(key, 2) if self.key else row

    def all(self) -> Iterator[list[Stored]]:
        """Every row of the table."""
        for rows in self._rows():
            keys, canonical = canonical_rows(rows, self.names, self.kinds, self.key)
            yield [
                Stored(self.place(key, row), row, self.key_of(key, row))
                for key, row in zip(keys or [()] * len(canonical), canonical, strict=True)
            ]

    def count(self) -> int:
        """Rows of the table."""
        with self._reading() as connection:
            return int(connection.execute(sa.select(sa.func.count()).select_from(self._table())).scalar_one())

    def extent(self) -> tuple[int, int | None]:
        """Rows of the table: it is one range, for they cannot be told apart."""
        return 0, self.count()

    def cut(self, lo: int, first_row: int) -> tuple[int, int] | None:
        """The whole table."""
        count = self.count() if lo == 0 else 0
        return (count, count) if count else None

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

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with self.database.losing(), self.database.connect() as connection:
            driver = connection.connection.driver_connection
            if isinstance(driver, sqlite3.Connection):
                # Text that is not UTF-8 is a difference, and no reason to stop.
                driver.text_factory = as_text
            yield connection

    def _rows(self) -> Iterator[Sequence[Sequence[Any]]]:
        with self._reading() as connection:
            together = connection.execution_options(yield_per=ROWS_TOGETHER)
            yield from together.execute(sa.select(*self._table().c)).partitions()

    def _question(self, dialect: str, many: int) -> sa.Select[Any]:
        table = self._table()
        key = [table.c[name] for name in self.key]
        if len(key) > 1 and dialect in NO_TUPLES:
            same = [sa.and_(*(column == _value(f"v{n}_{at}") for at, column in enumerate(key))) for n in range(many)]
            return sa.select(*table.c).where(sa.or_(*same))
        asked: Any = sa.bindparam("asked", expanding=True, type_=sa.types.NullType())
        return sa.select(*table.c).where((key[0] if len(key) == 1 else sa.tuple_(*key)).in_(asked))

    def _asked(self, dialect: str, asked: Sequence[Key]) -> dict[str, Any]:
        if len(self.key) > 1 and dialect in NO_TUPLES:
            return {f"v{n}_{at}": value for n, key in enumerate(asked) for at, value in enumerate(key)}
        return {"asked": [key[0] for key in asked] if len(self.key) == 1 else list(asked)}

    def _table(self) -> sa.TableClause:
        columns: list[sa.ColumnClause[Any]] = [sa.column(sa.quoted_name(name, True)) for name in self.names]
        return sa.table(sa.quoted_name(self.table, True), *columns, schema=self.schema)


@dataclass(frozen=True, slots=True)
class Reflected:
    """A table as it is now.

    Args:
        kinds: of its columns, by name, in order.
        key: columns of the primary key, when none of them can be null.
    """

    kinds: Mapping[str, Kind]
    key: tuple[str, ...]


def _value(name: str) -> sa.BindParameter[Any]:
    # Without a type: a driver that is told one would not compare it with a column of another.
    return sa.bindparam(name, type_=sa.types.NullType())


def reflected(database: Database, place: str | None, name: str) -> Reflected:
    """Look at a table.

    Raises:
        SideLost: there is none any more.
        Refused: the database cannot be used.
    """
    with database.refusing(), database.connect() as connection:
        inspector = sa.inspect(connection)
        if not inspector.has_table(name, place):
            raise SideLost("target", f"{database} has no table {name} any more")
        columns = inspector.get_columns(name, place)
        primary = tuple(inspector.get_pk_constraint(name, place)["constrained_columns"])
        sqlite = connection.dialect.name == "sqlite"
        required = {
            each["name"] for each in columns if not each["nullable"] or (sqlite and _is_row_number(each, primary))
        }
    # SQLite keeps texts as they were written, and compares them so.
    known = (Kind.NUMBER,) if sqlite else tuple(Kind)
    kinds = {each["name"]: kind if (kind := _kind(each["type"])) in known else Kind.PLAIN for each in columns}
    return Reflected(kinds, primary if required >= {*primary} else ())


def _is_row_number(column: Mapping[str, Any], primary: Sequence[str]) -> bool:
    return primary == (column["name"],) and str(column["type"]).upper() == "INTEGER"


def _kind(declared: sa.types.TypeEngine[Any]) -> Kind:
    if isinstance(declared, sa.Numeric) and not isinstance(declared, sa.Float):
        return Kind.NUMBER
    if isinstance(declared, sa.DateTime):
        return Kind.MOMENT if declared.timezone else Kind.CLOCK
    if isinstance(declared, sa.Time):
        return Kind.TIME
    if isinstance(declared, sa.JSON | sa.ARRAY):
        return Kind.JSON
    return Kind.WORD if isinstance(declared, sa.Uuid) else Kind.PLAIN
