"""What a table or view of a database looks like: its columns, and the key that cuts it into windows."""

from __future__ import annotations

import difflib
import warnings
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Inspector, inspect, types
from sqlalchemy.exc import DatabaseError, SAWarning

from streamconsole.engines.errors import Refused
from streamconsole.engines.migration.columns import ColumnType
from streamconsole.engines.migration.targets.sqlite_table import makes_numbers, quote, type_declared

ROWID = ("rowid", "_rowid_", "oid")

TYPES: tuple[tuple[type[types.TypeEngine[Any]], ColumnType], ...] = (
    (types.Boolean, ColumnType.BOOLEAN),
    (types.Integer, ColumnType.INTEGER),
    (types.Float, ColumnType.FLOAT),
    (types.Numeric, ColumnType.DECIMAL),
    (types.LargeBinary, ColumnType.BINARY),
    (types.JSON, ColumnType.JSON),
    (types.ARRAY, ColumnType.JSON),
    (types.String, ColumnType.TEXT),
    (types.Date, ColumnType.TEXT),
    (types.Time, ColumnType.TEXT),
    (types.Interval, ColumnType.TEXT),
    (types.Uuid, ColumnType.TEXT),
)


@dataclass(frozen=True, slots=True)
class SqlColumn:
    """A column that is read.

    Args:
        name: as the database has it.
        declared: its type in the database's own words.
        type: what it is expected to hold; NULL when only the rows can tell.
        required: it holds no NULL.
        carried: SQLite only: the declaration whose values are turned back into what they stand for.
    """

    name: str
    declared: str
    type: ColumnType
    required: bool = False
    carried: ColumnType = ColumnType.NULL

    @property
    def holds_text(self) -> bool:
        """SQLite only: it turns numbers into text, and so holds none, and its text stands for nothing else."""
        upper = self.declared.upper()
        affine = "INT" not in upper and any(part in upper for part in ("CHAR", "CLOB", "TEXT"))
        return affine and self.carried is ColumnType.TEXT


@dataclass(frozen=True, slots=True)
class SqlShape:
    """A table or view as it was when it was looked at.

    Args:
        schema: where it is; None for the default one.
        name: its name.
        columns: in its own order.
        primary_key: columns of the primary key; empty when there is none.
        key: columns that windows are cut by; empty when there are none.
        by_rowid: the key is SQLite's hidden one, which VACUUM may number anew.
    """

    schema: str | None
    name: str
    columns: tuple[SqlColumn, ...]
    primary_key: tuple[str, ...]
    key: tuple[str, ...]
    by_rowid: bool = False

    def whole_number_key(self) -> bool:
        """Whether windows are cut by one column of integers."""
        kinds = {column.name: column.type for column in self.columns}
        return len(self.key) == 1 and (self.by_rowid or kinds[self.key[0]] is ColumnType.INTEGER)


def look(connection: Connection, fragment: str, where: str) -> SqlShape:
    """The table or view of that name.

    Args:
        connection: to the database.
        fragment: its name, or schema and name with a dot between.
        where: names the database in an error.

    Raises:
        Refused: there is none, or it has no column.
    """
    with warnings.catch_warnings():
        # Types that only an extension knows are read as the driver gives them.
        warnings.simplefilter("ignore", SAWarning)
        inspector = inspect(connection)
        schema, name = _find(inspector, fragment, where)
        shape = (
            _look_sqlite(connection, schema, name)
            if connection.dialect.name == "sqlite"
            else _look(inspector, schema, name)
        )
    if not shape.columns:
        raise Refused(f"source table {name} in {where} has no columns")
    return shape


def _find(inspector: Inspector, fragment: str, where: str) -> tuple[str | None, str]:
    if inspector.has_table(fragment):
        return None, fragment
    schema, dot, name = fragment.partition(".")
    if dot and schema in inspector.get_schema_names() and inspector.has_table(name, schema):
        return schema, name
    known = [*inspector.get_table_names(), *inspector.get_view_names()]
    close = difflib.get_close_matches(fragment, known, 3) or sorted(known)[:8]
    hint = f"; there are {', '.join(close)}" if known else "; it holds none at all"
    raise Refused(f"source {where} has no table or view {fragment}{hint}")


def _look(inspector: Inspector, schema: str | None, name: str) -> SqlShape:
    columns = tuple(
        SqlColumn(each["name"], _declared(each["type"]), type_of(each["type"]), not each["nullable"])
        for each in inspector.get_columns(name, schema)
    )
    primary = tuple(inspector.get_pk_constraint(name, schema)["constrained_columns"])
    required = {column.name for column in columns if column.required}
    unique = [tuple(each["column_names"]) for each in inspector.get_unique_constraints(name, schema)]
    found = [each for each in unique if required.issuperset(each)]
    return SqlShape(schema, name, columns, primary, primary or min(found, key=len, default=()))


def _declared(kind: types.TypeEngine[Any]) -> str:
    return f"{kind.item_type}[]" if isinstance(kind, types.ARRAY) else str(kind)


def type_of(declared: types.TypeEngine[Any]) -> ColumnType:
    """The type that SQLAlchemy's stands for."""
    if isinstance(declared, types.DateTime):
        return ColumnType.DATETIME if declared.timezone else ColumnType.TEXT
    return next((kind for of, kind in TYPES if isinstance(declared, of)), ColumnType.NULL)


def _look_sqlite(connection: Connection, schema: str | None, name: str) -> SqlShape:
    place = "main" if schema is None else schema
    ask = connection.exec_driver_sql
    # Columns that are worked out (hidden 2 and 3) are read like any other; those of a virtual table are not.
    found = ask('SELECT name, type, "notnull", pk FROM pragma_table_xinfo(?, ?) WHERE hidden <> 1', (name, place)).all()
    columns = tuple(_sqlite_column(*row[:3]) for row in found)
    primary = tuple(row[0] for row in sorted((row for row in found if row[3]), key=lambda row: row[3]))
    required = {column.name for column in columns if column.required}
    rowid = _rowid(connection, place, name, {column.name.casefold() for column in columns})
    declared = {column.name: column.declared.upper() for column in columns}
    alias = len(primary) == 1 and declared[primary[0]] == "INTEGER"
    if primary and (rowid is None or alias or required.issuperset(primary)):
        # Without a rowid, or as its other name, a primary key holds no NULL whatever is declared.
        return SqlShape(schema, name, columns, primary, primary)
    unique = [each for each in _sqlite_unique(connection, place, name) if required.issuperset(each)]
    if unique:
        return SqlShape(schema, name, columns, primary, min(unique, key=len))
    return SqlShape(schema, name, columns, primary, (rowid,) if rowid else (), rowid is not None)


def _sqlite_column(name: str, declared: str, notnull: int) -> SqlColumn:
    kind = type_declared(declared) if declared else ColumnType.NULL
    if declared.upper() in ("JSON", "JSONB"):
        kind = ColumnType.JSON
    elif makes_numbers(declared) and kind in (ColumnType.TEXT, ColumnType.BINARY):
        # NUMERIC, DATE and the like: they hold numbers or text, as it comes.
        kind = ColumnType.NULL
    return SqlColumn(name, declared, kind, bool(notnull), kind)


def _sqlite_unique(connection: Connection, place: str, name: str) -> list[tuple[str, ...]]:
    ask = connection.exec_driver_sql
    indexes = ask('SELECT name FROM pragma_index_list(?, ?) WHERE "unique" AND NOT partial', (name, place)).scalars()
    found = [
        tuple(ask("SELECT name FROM pragma_index_info(?, ?) ORDER BY seqno", (index, place)).scalars())
        for index in indexes.all()
    ]
    # An expression has no name.
    return [names for names in found if all(names)]


def _rowid(connection: Connection, place: str, name: str, taken: set[str]) -> str | None:
    """The hidden key of an ordinary table, under a name that no column has; None for views and tables without."""
    kind = connection.exec_driver_sql(
        f"SELECT type, sql FROM {quote(place)}.sqlite_master WHERE name = ? COLLATE NOCASE", (name,)
    ).first()
    free = next((each for each in ROWID if each not in taken), None)
    if kind is None or kind[0] != "table" or free is None or str(kind[1]).upper().startswith("CREATE VIRTUAL"):
        return None
    try:
        connection.exec_driver_sql(f"SELECT {free} FROM {quote(place)}.{quote(name)} LIMIT 0")
    except DatabaseError:
        return None
    return free
