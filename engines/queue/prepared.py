"""Statements for the hot path: written once, run by the driver itself.

SQLAlchemy turns the named parameters into those of the connection's dialect, once; after that a
row costs what it costs the bare driver.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, text


class Prepared:
    """A statement with named parameters that are given by position, in the order they stand in it."""

    __slots__ = ("_by_dialect", "_text")

    def __init__(self, sql: str) -> None:
        self._text = text(sql)
        self._by_dialect: dict[str, str] = {}

    def one(self, connection: Connection, *values: Any) -> Any:
        """Run it once; gives the driver's result as SQLAlchemy's `CursorResult`."""
        return connection.exec_driver_sql(self._sql(connection), values)

    def many(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> int:
        """Run it for each row; gives how many rows of the table were changed."""
        return connection.exec_driver_sql(self._sql(connection), list(rows)).rowcount if rows else 0

    def _sql(self, connection: Connection) -> str:
        name = connection.dialect.name
        if name not in self._by_dialect:
            dialect: Any = connection.dialect
            if not dialect.positional:
                # The driver also takes values by position, which costs less than by name.
                dialect = type(dialect)(paramstyle="format")
            self._by_dialect[name] = str(self._text.compile(dialect=dialect))
        return self._by_dialect[name]


class ForMany:
    """One statement for many rows, whose values are given a column at a time, after all others.

    Args:
        sqlite: takes them as one JSON array: of a single column its values, else a list for each row (`value->>0`, …).
        postgresql: takes them as an array for each column.
    """

    __slots__ = ("_postgresql", "_sqlite")

    def __init__(self, sqlite: str, postgresql: str) -> None:
        self._sqlite, self._postgresql = Prepared(sqlite), Prepared(postgresql)

    def run(self, connection: Connection, values: Sequence[Any], *columns: Sequence[Any]) -> int:
        """Run it; gives how many rows of the table were changed."""
        if not columns[0]:
            return 0
        if connection.dialect.name == "sqlite":
            rows = columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))
            return int(self._sqlite.one(connection, *values, orjson.dumps(rows).decode()).rowcount)
        return int(self._postgresql.one(connection, *values, *map(list, columns)).rowcount)
