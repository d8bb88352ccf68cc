"""The statements of the SQLite target: making, widening and filling one table.

Text never enters a column of numeric affinity ('007' would become 7): types that are kept as text
are declared under names with TEXT or CHAR in them, and a column that becomes wider is rebuilt.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import groupby
from typing import Any

import orjson

from streamconsole.engines.errors import SideLost
from streamconsole.engines.migration import extras
from streamconsole.engines.migration.columns import EXACT, Column, ColumnType, Schema
from streamconsole.engines.migration.extras import ForeignKey
from streamconsole.engines.migration.targets.table_rows import text_of

MOST_COLUMNS = 2_000
"""SQLite's own limit, as it is compiled everywhere."""

ACTIONS = frozenset({"CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT", "NO ACTION"})

DECLARED: Mapping[ColumnType, str] = {
    ColumnType.NULL: "TEXT",
    ColumnType.BOOLEAN: "BOOLEAN",
    ColumnType.INTEGER: "INTEGER",
    ColumnType.FLOAT: "REAL",
    ColumnType.DECIMAL: "DECIMAL_TEXT",
    ColumnType.DATETIME: "DATETIME_CHAR",
    ColumnType.BINARY: "BLOB",
    ColumnType.JSON: "JSON_TEXT",
    ColumnType.TEXT: "TEXT",
}


def quote(name: str) -> str:
    """A name as an identifier, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def create(connection: sqlite3.Connection, name: str, schema: Schema) -> None:
    """Make the table, or add the columns that a present one lacks."""
    present = reflect(connection, name)
    if present is None:
        connection.execute(_create_statement(name, schema))
        return
    have = {column.name.casefold() for column in present}
    for column in schema.columns:
        if column.name.casefold() not in have:
            _add_column(connection, name, column)


def change(connection: sqlite3.Connection, name: str, old: Schema, new: Schema) -> Schema:
    """Bring the table from one schema to a wider one; gives the one that is reached.

    A column that was to become float but holds integers no double can hold becomes decimal.
    """
    new = _spare_large_integers(connection, name, old, new)
    before = old.by_key()
    changed = [column for column in new.columns if column.key in before and before[column.key] != column]
    present = {column.name for column in new.spare}
    added = [column for column in new.columns if column.key not in before and column.name not in present]
    if not any(_needs_rebuild(before[column.key], column) for column in changed):
        for column in added:
            _add_column(connection, name, column)
        return new
    _rebuild(connection, name, old, new)
    return new


def insert(
    connection: sqlite3.Connection,
    name: str,
    schema: Schema,
    rows: Sequence[Sequence[Any]],
    *,
    replacing: bool = False,
) -> dict[int, tuple[str | None, str]]:
    """Write rows; gives those that were refused, by position, with column and reason.

    Args:
        connection: in a transaction.
        name: the table.
        schema: its columns, in the order of the values.
        rows: each holds the values of one row, or of several, one after the other.
        replacing: a row whose key is there already takes the place of that one.
    """
    width = len(schema.columns)
    end = on_conflict(schema) if replacing else ""
    connection.execute("SAVEPOINT rows")
    refused: dict[int, tuple[str | None, str]] = {}
    try:
        # One statement for many rows: a third less work for SQLite, and fewer waits for the interpreter lock.
        for size, alike in groupby(rows, len):
            connection.executemany(_insert_statement(name, schema, size // width) + end, alike)
    except (sqlite3.IntegrityError, sqlite3.DataError):
        connection.execute("ROLLBACK TO rows")
        single = [each[at : at + width] for each in rows for at in range(0, len(each), width)]
        refused = _insert_one_by_one(connection, _insert_statement(name, schema, 1) + end, schema, single)
    # Not after other errors: a full disk has ended the transaction, savepoints and all.
    connection.execute("RELEASE rows")
    return refused


def reflect(connection: sqlite3.Connection, name: str) -> tuple[Column, ...] | None:
    """The columns of a present table; None when there is none."""
    found = connection.execute("SELECT name, type FROM pragma_table_info(?)", (name,)).fetchall()
    return tuple(Column(name, name, type_declared(kind), makes_numbers(kind)) for name, kind in found) or None


def is_view(connection: sqlite3.Connection, name: str) -> bool:
    """Whether the name is a view's."""
    views = "SELECT 1 FROM sqlite_master WHERE type = 'view' AND name = ? COLLATE NOCASE"
    return connection.execute(views, (name,)).fetchone() is not None


def has_rows(connection: sqlite3.Connection, name: str) -> bool:
    """Whether there is a row in a table."""
    return connection.execute(f"SELECT 1 FROM {quote(name)} LIMIT 1").fetchone() is not None


def is_unique(connection: sqlite3.Connection, name: str, columns: Sequence[str]) -> bool:
    """Whether the primary key, or a unique index over all rows, has just these columns."""
    wanted = {column.casefold() for column in columns}
    keys = connection.execute("SELECT name FROM pragma_table_info(?) WHERE pk", (name,)).fetchall()
    if {key.casefold() for (key,) in keys} == wanted:
        return True
    indexes = connection.execute(
        'SELECT name FROM pragma_index_list(?) WHERE "unique" AND NOT partial', (name,)
    ).fetchall()
    return any(
        # An expression has no name.
        {str(column).casefold() for (column,) in connection.execute("SELECT name FROM pragma_index_info(?)", index)}
        == wanted
        for index in indexes
    )


def type_declared(declared: str) -> ColumnType:
    """The type that a declaration stands for, by the names used here, else by SQLite's affinity rules."""
    upper = declared.upper().split("(")[0].strip()
    for kind, name in DECLARED.items():
        if upper == name and kind is not ColumnType.NULL:
            return kind
    if "INT" in upper:
        return ColumnType.INTEGER
    if any(part in upper for part in ("CHAR", "CLOB", "TEXT", "JSON", "DATE", "TIME")):
        return ColumnType.TEXT
    if any(part in upper for part in ("REAL", "FLOA", "DOUB")):
        return ColumnType.FLOAT
    if "BOOL" in upper:
        return ColumnType.BOOLEAN
    return ColumnType.BINARY if "BLOB" in upper else ColumnType.TEXT


def makes_numbers(declared: str) -> bool:
    """Whether text that looks like a number becomes one in a column: by SQLite's rules of affinity."""
    upper = declared.upper()
    return bool(upper) and not any(part in upper for part in ("CHAR", "CLOB", "TEXT", "BLOB"))


def to_json(schema: Schema) -> dict[str, Any]:
    """A schema as plain data."""
    return {
        "columns": list(map(_column, schema.columns)),
        "primary_key": list(schema.primary_key),
        "fixed": schema.fixed,
        "closed": schema.closed,
        "spare": list(map(_column, schema.spare)),
        "extras": schema.extras.as_json(),
        **({"longest": schema.longest} if schema.longest is not None else {}),
    }


def _column(column: Column) -> dict[str, Any]:
    return {name: value for name, value in asdict(column).items() if name != "declared" or value}


def from_json(data: Mapping[str, Any]) -> Schema:
    """The schema of plain data."""
    return Schema(
        _columns(data["columns"]),
        tuple(data["primary_key"]),
        data["fixed"],
        data.get("closed", False),
        _columns(data.get("spare", ())),
        extras.from_json(data.get("extras", {})),
        data.get("longest"),
    )


def _columns(data: Sequence[Mapping[str, Any]]) -> tuple[Column, ...]:
    return tuple(Column(**{**each, "type": ColumnType(each["type"])}) for each in data)


def dump(schema: Schema) -> str:
    """A schema as JSON text, for the ledger."""
    return orjson.dumps(to_json(schema)).decode()


def load(text: str) -> Schema:
    """The schema of JSON text."""
    return from_json(orjson.loads(text))


def _insert_statement(name: str, schema: Schema, rows: int) -> str:
    columns = ", ".join(quote(column.name) for column in schema.columns)
    marks = f"({', '.join('?' * len(schema.columns))})"
    return f"INSERT INTO {quote(name)} ({columns}) VALUES {', '.join([marks] * rows)}"


def on_conflict(schema: Schema) -> str:
    """What makes a row whose key is there already take the place of that one."""
    names = {column.key: quote(column.name) for column in schema.columns}
    key = ", ".join(names[each] for each in schema.primary_key)
    others = [name for each, name in names.items() if each not in schema.primary_key]
    if not others:
        return f" ON CONFLICT ({key}) DO NOTHING"
    return f" ON CONFLICT ({key}) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in others)}"


def _create_statement(name: str, schema: Schema) -> str:
    parts = []
    for column in schema.columns:
        required = column.key in schema.primary_key or column.key in schema.extras.required
        parts.append(f"{quote(column.name)} {DECLARED[column.type]}{' NOT NULL' if required else ''}")
    names = {column.key: column.name for column in schema.columns}
    if schema.primary_key:
        parts.append(f"PRIMARY KEY ({_names(schema.primary_key, names)})")
    parts += [_foreign_key(each, names) for each in schema.extras.foreign_keys]
    return f"CREATE TABLE {quote(name)} ({', '.join(parts)})"


def _foreign_key(key: ForeignKey, names: Mapping[str, str]) -> str:
    # SQLite takes it only here, whether the other table is there yet or not.
    referred = f" ({', '.join(map(quote, key.referred))})" if key.referred else ""
    options = "".join(
        f" ON {name.removeprefix('on').upper()} {what}"
        for name, what in key.options.items()
        if name in ("ondelete", "onupdate") and what.upper() in ACTIONS
    )
    return f"FOREIGN KEY ({_names(key.columns, names)}) REFERENCES {quote(key.table)}{referred}{options}"


def _names(keys: Sequence[str], names: Mapping[str, str]) -> str:
    return ", ".join(quote(names[key]) for key in keys)


def add_indexes(connection: sqlite3.Connection, name: str, schema: Schema) -> None:
    """Make the indexes that a filled table is to have; those that are there stay.

    Raises:
        SideLost: one cannot be made on these rows.
    """
    names = {column.key: column.name for column in schema.columns}
    for index in schema.extras.indexes:
        taken = connection.execute(
            "SELECT tbl_name FROM sqlite_master WHERE name = ? COLLATE NOCASE", (index.name,)
        ).fetchone()
        if taken is not None and taken[0].casefold() == name.casefold():
            continue
        called = index.name if taken is None else f"{name}_{index.name}"
        unique = "UNIQUE " if index.unique else ""
        try:
            connection.execute(
                f"CREATE {unique}INDEX IF NOT EXISTS {quote(called)} ON {quote(name)} ({_names(index.columns, names)})"
            )
        except sqlite3.IntegrityError as error:
            raise SideLost(
                "target",
                f"table {name} is filled, but its unique index {called} cannot be made ({error}): mend the rows, "
                "then resume",
            ) from error


def _add_column(connection: sqlite3.Connection, name: str, column: Column) -> None:
    connection.execute(f"ALTER TABLE {quote(name)} ADD COLUMN {quote(column.name)} {DECLARED[column.type]}")


def _needs_rebuild(before: Column, after: Column) -> bool:
    return DECLARED[before.type] != DECLARED[after.type]


def _spare_large_integers(connection: sqlite3.Connection, name: str, old: Schema, new: Schema) -> Schema:
    before = old.by_key()
    columns = list(new.columns)
    for position, column in enumerate(columns):
        was = before.get(column.key)
        if was is None or was.type is not ColumnType.INTEGER or column.type is not ColumnType.FLOAT:
            continue
        large = f"{quote(column.name)} NOT BETWEEN {-EXACT} AND {EXACT}"
        if connection.execute(f"SELECT 1 FROM {quote(name)} WHERE {large} LIMIT 1").fetchone():
            columns[position] = replace(column, type=ColumnType.DECIMAL)
    return replace(new, columns=tuple(columns))


def _rebuild(connection: sqlite3.Connection, name: str, old: Schema, new: Schema) -> None:
    connection.create_function("streamconsole_text", 1, text_of, deterministic=True)
    before = old.by_key()
    building = f"_streamconsole_building_{name}"
    kept = [column for column in new.columns if column.key in before]
    values = [_carried(before[column.key], column) for column in kept]
    names = ", ".join(quote(column.name) for column in kept)
    connection.execute(f"DROP TABLE IF EXISTS {quote(building)}")
    connection.execute(_create_statement(building, new))
    connection.execute(f"INSERT INTO {quote(building)} ({names}) SELECT {', '.join(values)} FROM {quote(name)}")
    connection.execute(f"DROP TABLE {quote(name)}")
    connection.execute(f"ALTER TABLE {quote(building)} RENAME TO {quote(name)}")


def _carried(before: Column, after: Column) -> str:
    """The expression that brings a stored value into a wider column unchanged."""
    value = quote(before.name)
    if before.type is after.type or after.type not in (ColumnType.TEXT, ColumnType.DECIMAL):
        return value
    if before.type is ColumnType.BOOLEAN:
        return f"CASE {value} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END"
    if before.type in (ColumnType.FLOAT, ColumnType.BINARY):
        # SQLite's own CAST keeps 15 digits of a float: not the value that was written.
        return f"CASE WHEN {value} IS NOT NULL THEN streamconsole_text({value}) END"
    return f"CAST({value} AS TEXT)"


def _insert_one_by_one(
    connection: sqlite3.Connection, statement: str, schema: Schema, rows: Sequence[Sequence[Any]]
) -> dict[int, tuple[str | None, str]]:
    refused: dict[int, tuple[str | None, str]] = {}
    for position, row in enumerate(rows):
        try:
            connection.execute(statement, row)
        except (sqlite3.IntegrityError, sqlite3.DataError) as error:
            refused[position] = _why(schema, row, error)
    return refused


def _why(schema: Schema, row: Sequence[Any], error: sqlite3.Error) -> tuple[str | None, str]:
    if "UNIQUE" not in str(error) or not schema.primary_key:
        return None, str(error)
    values = {column.key: value for column, value in zip(schema.columns, row, strict=True)}
    shown = ", ".join(str(values[key]) for key in schema.primary_key)
    return ", ".join(schema.primary_key), f"duplicate key {shown[:200]}"
