"""Fetches ranges of keys of one table by SQLAlchemy, from any database it knows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import sqlalchemy as sa

from streamconsole.engines.migration.sources import keys
from streamconsole.engines.migration.sources.databases import Database
from streamconsole.engines.migration.sources.sql_shape import SqlShape
from streamconsole.engines.units import Window

ROWS_AT_ONCE = 64
"""Rows held at once: few enough for the processor's cache, which half the time depends on."""


@dataclass(frozen=True, slots=True)
class SqlFetch:
    """Fetches from one table or view.

    Args:
        database: where it is.
        shape: its columns and key.
    """

    database: Database
    shape: SqlShape

    def read(self, window: Window, *, exactly: bool) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of a range; a driver that gives them at all gives them exactly."""
        table = table_of(self.shape)
        statement = sa.select(*(table.c[column.name] for column in self.shape.columns))
        asked = keys.of_window(window, len(self.shape.key), str(self.database))
        if self.shape.key:
            key = [table.c[name] for name in self.shape.key]
            statement = statement.where(asked.condition(key)).order_by(*key)
        statement = statement.limit(asked.most)
        with self.database.losing(), self.database.connect() as connection:
            result = connection.execute(statement)
            # Not the result itself: it would look at every row, and turn what the driver gives once more. (And not
            # with stream_results: the result would keep the first row for itself.)
            cursor = result.cursor
            assert cursor is not None
            while some := cursor.fetchmany(ROWS_AT_ONCE):
                yield cast("list[tuple[Any, ...]]", some)
            result.close()


class AsGiven(sa.types.UserDefinedType[Any]):
    """Values go to the driver as they are: what they are compared with tells the database what they mean."""

    cache_ok = True


AS_GIVEN = AsGiven()


def table_of(shape: SqlShape, kind: sa.types.TypeEngine[Any] | None = None) -> sa.TableClause:
    """The table as statements name it.

    Args:
        shape: its columns and key.
        kind: what its columns are to SQLAlchemy; None when it may guess by the values they are compared with.
    """
    names = dict.fromkeys([*(column.name for column in shape.columns), *shape.key])
    columns: list[sa.ColumnClause[Any]] = [sa.column(sa.quoted_name(name, True), kind) for name in names]
    return sa.table(sa.quoted_name(shape.name, True), *columns, schema=shape.schema)
