"""Fetches ranges of keys of one PostgreSQL table. Children do this: nothing here takes long to load."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from streamconsole.engines.migration.batch import NotAlike
from streamconsole.engines.migration.postgresql import Purpose, Server, placed, quote
from streamconsole.engines.migration.sources import keys
from streamconsole.engines.migration.sources.keys import KeyRange
from streamconsole.engines.migration.sources.postgresql_values import (
    as_texts,
    parsed_as_written,
    tolerantly,
    whole_column,
)
from streamconsole.engines.units import Window

ROWS_AT_ONCE = 256
"""Rows held at once: few enough for the processor's cache, and enough to parse JSON many at a time."""

AS_THEY_ARE = ("TEXT", "VARCHAR", "UUID", "BIGINT", "INTEGER", "SMALLINT", "BOOLEAN", "NUMERIC", "BYTEA", "JSON")
"""Types whose values nothing has to be done about, as they are fetched."""


@dataclass(frozen=True, slots=True)
class PostgresqlFetch:
    """Fetches from one table or view.

    Args:
        server: the database it is in.
        schema: of the database; None for the first one of the search path that has it.
        table: its name.
        names: its columns.
        declared: their types, in the server's words.
        key: columns that its ranges are of.
    """

    server: Server
    schema: str | None
    table: str
    names: tuple[str, ...]
    declared: tuple[str, ...]
    key: tuple[str, ...]

    def read(self, window: Window, *, exactly: bool) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of a range."""
        import psycopg

        asked = keys.of_window(window, len(self.key), str(self.server))
        statement, values = self._select(asked)
        parsing = self._parsing()
        with self.server.connected(Purpose.READING) as connection, connection.cursor() as cursor:
            as_texts(cursor)
            if exactly:
                tolerantly(cursor)
            cursor.execute(statement.encode(), values)
            try:
                while some := cursor.fetchmany(ROWS_AT_ONCE):
                    yield _parsed(some, parsing) if parsing else some
            except psycopg.DataError as error:
                # A moment that is none of Python's.
                raise NotAlike from error

    def _select(self, asked: KeyRange) -> tuple[str, list[Any]]:
        columns = ", ".join(map(_column, self.names, self.declared))
        statement = f"SELECT {columns} FROM {placed(self.schema, self.table)}".replace("%", "%%")
        where, values = _condition(self.key, asked)
        statement += where
        if self.key:
            statement += f" ORDER BY {', '.join(map(_name, self.key))}"
        if asked.most is not None:
            statement += " LIMIT %s"
            values.append(asked.most)
        return statement, values

    def _parsing(self) -> dict[int, Callable[[list[Any]], list[Any]]]:
        """How columns of JSON are parsed, by their position."""
        return {
            position: _as_written if declared == "JSON" else whole_column
            for position, declared in enumerate(self.declared)
            if _is_json(declared)
        }


def _column(name: str, declared: str) -> str:
    # As one document: the driver knows no arrays of documents.
    return f"to_jsonb({quote(name)})" if declared.endswith("[]") and _is_json(declared) else quote(name)


def _is_json(declared: str) -> bool:
    return declared.removesuffix("[]") in ("JSON", "JSONB")


def _parsed(rows: list[tuple[Any, ...]], parsing: dict[int, Callable[[list[Any]], list[Any]]]) -> list[tuple[Any, ...]]:
    columns: list[Any] = list(zip(*rows, strict=True))
    for position, parse in parsing.items():
        columns[position] = parse(columns[position])
    return list(zip(*columns, strict=True))


def _as_written(texts: list[Any]) -> list[Any]:
    return [None if text is None else parsed_as_written(text) for text in texts]


def _condition(names: Sequence[str], asked: KeyRange) -> tuple[str, list[Any]]:
    ends = [(">", asked.after), (">=", asked.first), ("<=", asked.upto)]
    parts, values = [], list[Any]()
    for sign, key in ends:
        if key is not None:
            marks = ", ".join(["%s"] * len(key))
            parts.append(f"({', '.join(map(_name, names))}) {sign} ({marks})")
            values += key
    return (f" WHERE {' AND '.join(parts)}" if parts else ""), values


def _name(name: str) -> str:
    """A name as an identifier of a statement with parameters."""
    return quote(name).replace("%", "%%")
