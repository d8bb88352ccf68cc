"""Reads windows of one table: a range of keys each, in the order of the keys."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import sqlalchemy as sa

from streamconsole.engines.migration.batch import ROW_SHOWN, Misfit, NotAlike, Refuse
from streamconsole.engines.migration.columns import ColumnType
from streamconsole.engines.migration.sources import keys, sql_values
from streamconsole.engines.migration.sources.databases import Database
from streamconsole.engines.migration.sources.keys import KeyRange
from streamconsole.engines.migration.sources.sql_shape import SqlShape
from streamconsole.engines.migration.sources.sql_values import BadText
from streamconsole.engines.migration.targets.json_rows import dump
from streamconsole.engines.units import Window

ROWS_AT_ONCE = 64
"""Rows held at once by the quick way: few enough for the processor's cache, which half the time depends on."""

Block = tuple[tuple[str, ...], list[tuple[Any, ...]]]
"""Keys, and rows as values in the order of the keys."""


@dataclass(frozen=True, slots=True)
class SqlReader:
    """Reads ranges of keys of one table or view.

    Args:
        database: where it is.
        shape: its columns and key.
    """

    database: Database
    shape: SqlShape

    def rows(self, window: Window, refuse: Refuse) -> Iterator[tuple[int, dict[str, Any]]]:
        """The rows of a range, one by one."""
        names, kinds = self._names(), self._kinds()
        at = 0
        for some in self._read(window, exactly=True):
            for index, row in enumerate(some, at):
                bad = next((name for name, each in zip(names, row, strict=True) if type(each) is BadText), None)
                if bad is not None:
                    refuse(index, bad, "the text is not UTF-8")
                    continue
                yield index, dict(zip(names, map(sql_values.value, kinds, row), strict=True))
            at += len(some)

    def alike(self, window: Window) -> Iterator[list[dict[str, Any]]]:
        """The rows of a range, many at once."""
        for names, some in self.blocks(window):
            yield [dict(zip(names, row, strict=True)) for row in some]

    def blocks(self, window: Window) -> Iterator[Block]:
        """The rows of a range as tuples, many at once.

        Raises:
            NotAlike: they must be read one by one.
        """
        names, kinds = self._names(), self._kinds()
        for some in self._read(window, exactly=False):
            yield names, sql_values.block(kinds, some)

    def locate(self, window: Window, indexes: set[int]) -> dict[int, tuple[int, str]]:
        """Place and JSON text of some rows of a range."""
        names = self._names()
        found, at = {}, 0
        for some in self._read(window, exactly=True):
            for index in sorted(each for each in indexes if at <= each < at + len(some)):
                row = dict(zip(names, map(_shown, some[index - at]), strict=True))
                found[index] = (window.lo + index, _text(row))
            at += len(some)
        return found

    def range_of(self, window: Window) -> KeyRange:
        """The keys that a window's rows lie between."""
        return keys.load(window.bounds or "{}", len(self.shape.key), str(self.database))

    def table(self) -> sa.TableClause:
        """The table as statements name it."""
        names = dict.fromkeys([*self._names(), *self.shape.key])
        columns: list[sa.ColumnClause[Any]] = [sa.column(sa.quoted_name(name, True)) for name in names]
        return sa.table(sa.quoted_name(self.shape.name, True), *columns, schema=self.shape.schema)

    def _names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.shape.columns)

    def _kinds(self) -> tuple[ColumnType, ...]:
        return tuple(column.carried for column in self.shape.columns)

    def _read(self, window: Window, *, exactly: bool) -> Iterator[list[tuple[Any, ...]]]:
        table = self.table()
        statement = sa.select(*(table.c[name] for name in self._names()))
        if self.shape.key:
            asked = self.range_of(window)
            key = [table.c[name] for name in self.shape.key]
            statement = statement.where(asked.condition(key)).order_by(*key).limit(asked.most)
        elif window.bounds is not None:
            statement = statement.limit(self.range_of(window).most)
        with self.database.losing(), self.database.connect() as connection, _spelling(connection, exactly):
            result = connection.execute(statement)
            # Not the result itself: it would look at every row, and turn what the driver gives once more. (And not
            # with stream_results: the result would keep the first row for itself.)
            cursor = result.cursor
            assert cursor is not None
            while some := cursor.fetchmany(ROWS_AT_ONCE):
                yield cast("list[tuple[Any, ...]]", some)
            result.close()


@contextmanager
def _spelling(connection: sa.Connection, exactly: bool) -> Iterator[None]:
    """SQLite may hold text that is not UTF-8: such rows are told apart only when each is looked at."""
    driver: Any = connection.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        yield
        return
    if exactly:
        driver.text_factory = _text_or_bad
    try:
        yield
    except sqlite3.OperationalError as error:
        if not exactly and "Could not decode to UTF-8" in str(error):
            raise NotAlike from None
        # As SQLAlchemy would have it: fetching goes past it.
        raise sa.exc.OperationalError(None, None, error) from error
    except sqlite3.DatabaseError as error:
        raise sa.exc.DatabaseError(None, None, error) from error


def _text_or_bad(text: bytes) -> str | BadText:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return BadText(text)


def _shown(given: Any) -> Any:
    return given.decode(errors="replace") if type(given) is BadText else sql_values.as_row_value(given)


def _text(row: dict[str, Any]) -> str:
    try:
        return dump(row).decode()[:ROW_SHOWN]
    except Misfit:
        return repr(row)[:ROW_SHOWN]
