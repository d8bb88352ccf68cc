"""Rows copied by SQLite itself, from one file to another, where nothing has to be done about any of them.

What a row would go through otherwise leaves some values as they are: those of the storage class that the
column is for. A question to SQLite tells whether a window has no others. It is asked before the target is
taken, beside the copying of other windows; that nothing was committed since is seen by `data_version`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote as quoted

from streamconsole.engines.migration.batch import Reader
from streamconsole.engines.migration.columns import Column, ColumnType, Schema
from streamconsole.engines.migration.sources.json_columns import whole_json
from streamconsole.engines.migration.sources.sqlite_fetch import SqliteFetch, opened, refuse_another_file
from streamconsole.engines.migration.sources.table_reader import TableReader
from streamconsole.engines.migration.targets.sqlite_table import on_conflict, quote
from streamconsole.engines.units import Window

ATTACHED = "_streamconsole_source"

LARGEST = "1.7976931348623157e308"
"""The largest number of 64 bits that is none of the infinities."""

INTEGERS = frozenset({ColumnType.INTEGER, ColumnType.BOOLEAN})

TEXTS = frozenset({ColumnType.TEXT, ColumnType.JSON})
"""Columns of a target whose values are copied as text of any kind."""


class Unsuited(Exception):
    """Some row needs to be looked at, or the source cannot be read this way."""


def fetch_of(reader: Reader, target: Path, schema: Schema) -> SqliteFetch | None:
    """The source's table, where SQLite can copy it; None when rows must be read.

    Args:
        reader: of the source.
        target: the file that is written.
        schema: of the table that is filled.
    """
    if not isinstance(reader, TableReader) or not isinstance(reader.fetch, SqliteFetch):
        return None
    kinds = dict(zip(reader.names, reader.kinds, strict=True))
    if set(kinds) != set(schema.by_key()) or reader.fetch.schema is not None:
        return None
    if not all(_may_be_copied(kinds[column.key], column) for column in schema.columns):
        return None
    return reader.fetch if reader.fetch.path.resolve() != target.resolve() else None


def attach(connection: sqlite3.Connection, path: Path) -> None:
    """Have a file at hand for reading, in a connection without a transaction.

    Raises:
        Unsuited: it cannot be read so.
    """
    try:
        if ATTACHED not in {name for _, name, _ in connection.execute("PRAGMA database_list")}:
            connection.execute("ATTACH ? AS ?", (f"file:{quoted(str(path))}?mode=ro", ATTACHED))
    except sqlite3.DatabaseError as error:
        raise Unsuited from error


@contextmanager
def suited(fetch: SqliteFetch, window: Window, schema: Schema) -> Iterator[Suited]:
    """A window whose rows may be copied; while the block runs, changes of the source are noticed.

    Raises:
        Unsuited: a row needs to be looked at.
    """
    refuse_another_file(fetch.path, fetch.inode)
    try:
        with closing(opened(fetch.path)) as connection:
            version = _version(connection)
            rows = _count_suited(connection, fetch, window, schema)
            yield Suited(fetch, window, schema, rows, lambda: _version(connection) == version)
    except sqlite3.DatabaseError as error:
        # Also where the source is lost: who reads row by row says so.
        raise Unsuited from error


@dataclass(frozen=True, slots=True)
class Suited:
    """A window that may be copied.

    Args:
        fetch: the source's table.
        window: the range.
        schema: of the table that is filled.
        rows: how many it has.
        unchanged: whether the source is as it was when they were looked at.
    """

    fetch: SqliteFetch
    window: Window
    schema: Schema
    rows: int
    unchanged: Callable[[], bool]

    def copy(self, connection: sqlite3.Connection, table: str, *, replacing: bool) -> None:
        """Copy the rows in the open transaction.

        Raises:
            Unsuited: the source has changed, or a row is refused; the transaction must be rolled back.
        """
        names = ", ".join(quote(column.name) for column in self.schema.columns)
        keys = ", ".join(quote(column.key) for column in self.schema.columns)
        select, values = self.fetch.select(self.window, keys, ATTACHED, ordered=True)
        # Without the condition SQLite would take ON CONFLICT for one of a join.
        end = f" WHERE true{on_conflict(self.schema)}" if replacing else ""
        statement = f"INSERT INTO main.{quote(table)} ({names}) SELECT * FROM ({select}){end}"
        try:
            copied = connection.execute(statement, values).rowcount
        except (sqlite3.IntegrityError, sqlite3.DataError) as error:
            raise Unsuited from error
        if not self.unchanged():
            raise Unsuited
        if copied != self.rows and not replacing:
            raise AssertionError(f"{self.rows} rows found, {copied} copied")


def _may_be_copied(carried: ColumnType, column: Column) -> bool:
    """Whether some value of a source's column may be one of the target's just as it is."""
    if column.makes_numbers and column.type in (*TEXTS, ColumnType.BINARY):
        return False
    if column.type in (ColumnType.BOOLEAN, ColumnType.DATETIME, ColumnType.JSON):
        return carried is column.type
    return column.type is not ColumnType.DECIMAL and carried in (ColumnType.NULL, column.type)


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA data_version").fetchone()[0])


def _count_suited(connection: sqlite3.Connection, fetch: SqliteFetch, window: Window, schema: Schema) -> int:
    names = {column.key: quote(column.key) for column in schema.columns}
    select, values = fetch.select(window, ", ".join(names.values()), None)
    fits = [_fits(column.type, names[column.key]) for column in schema.columns]
    fits += [f"{names[key]} IS NOT NULL" for key in schema.primary_key]
    # A sum is of integers only where all its values are; the division keeps it from growing too large.
    sums = [f"typeof(sum({names[column.key]} / 4294967296))" for column in schema.columns if column.type in INTEGERS]
    # All texts come over in one piece for each column: what is not UTF-8 shows when they are made text here.
    texts = [f"group_concat({names[column.key]})" for column in schema.columns if column.type is ColumnType.TEXT]
    of_json = [names[column.key] for column in schema.columns if column.type is ColumnType.JSON]
    lines = [f"count({name}), group_concat({name}, char(10))" for name in of_json]
    asked = ", ".join([f"count(*), count(CASE WHEN NOT ({' AND '.join(fits)}) THEN 1 END)", *sums, *lines, *texts])
    count, odd, *found = connection.execute(f"SELECT {asked} FROM ({select})", values).fetchone()
    if odd or "real" in found[: len(sums)]:
        raise Unsuited
    found = found[len(sums) :]
    for _ in of_json:
        _refuse_other_json(*found[:2])
        found = found[2:]
    return int(count)


def _refuse_other_json(count: int, lines: str | None) -> None:
    """JSON that would be written otherwise than it stands there must be looked at. What we write has no line ends."""
    found = lines.split("\n") if lines is not None else []
    if len(found) != count or whole_json(found) is None:
        raise Unsuited


def _fits(kind: ColumnType, name: str) -> str:
    """The condition of values that a column takes as they are; NULL for NULL.

    Numbers come before texts and texts before blobs: comparing costs a tenth of `typeof`.
    """
    text = f"{name} >= '' AND {name} < x''"
    match kind:
        case ColumnType.TEXT:
            return text
        case ColumnType.BINARY:
            return f"{name} >= x''"
        case ColumnType.NULL:
            return f"{name} IS NULL"
        case ColumnType.FLOAT:
            return f"typeof({name}) IN ('real', 'null') AND {name} BETWEEN -{LARGEST} AND {LARGEST}"
        case ColumnType.BOOLEAN:
            return f"{name} IN (0, 1)"
        case ColumnType.DATETIME:
            # Another spelling of the same moment would be written as this one. (To add nothing looks at the calendar.)
            written = f"strftime('%Y-%m-%dT%H:%M:%fZ', {name}, '+0 days')"
            return f"{text} AND {name} >= '0001' AND {written} IS {name}"
        case ColumnType.JSON:
            return text
    return f"{name} < ''"
