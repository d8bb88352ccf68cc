"""The statements of the generic SQL target: making, widening and filling one table by SQLAlchemy Core.

What databases do not all keep alike (decimals, moments, JSON) is kept as text, letter by letter.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.exc import DataError, IntegrityError, SAWarning

from streamconsole.engines.errors import SideLost
from streamconsole.engines.migration.columns import EXACT, Column, ColumnType, Schema
from streamconsole.engines.migration.sources.sql_shape import type_of
from streamconsole.engines.migration.targets.sqlite_table import makes_numbers, type_declared
from streamconsole.engines.migration.targets.table_rows import text_of

MOST_COLUMNS = 1_000
"""Columns that every database in use can hold in a table."""

ROWS_COPIED = 1_000

Refused = dict[int, tuple[str | None, str]]

TYPES: Mapping[ColumnType, sa.types.TypeEngine[Any]] = {
    ColumnType.BOOLEAN: sa.Boolean(),
    ColumnType.INTEGER: sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
    ColumnType.FLOAT: sa.Double(),
    ColumnType.BINARY: sa.LargeBinary(),
}
"""What is not here is text."""

UPSERTS = ("sqlite", "postgresql", "mysql", "mariadb")
"""Dialects that know how to put a row in the place of another."""


def table_of(
    name: str,
    schema: Schema,
    place: str | None,
    *,
    references: bool,
    types: Mapping[ColumnType, sa.types.TypeEngine[Any]] = TYPES,
) -> sa.Table:
    """The table as statements name it.

    Args:
        name: of the table.
        schema: its columns.
        place: schema of the database; None for the default one.
        references: with its foreign keys.
        types: what columns are declared as; those that are not among them are text.
    """
    known = sa.MetaData()
    required = {*schema.primary_key, *schema.extras.required}
    columns = [
        sa.Column(
            sa.quoted_name(column.name, True),
            types.get(column.type, sa.Text()),
            primary_key=column.key in schema.primary_key,
            nullable=column.key not in required,
            autoincrement=False,
        )
        for column in schema.columns
    ]
    found = sa.Table(sa.quoted_name(name, True), known, *columns, schema=place)
    if references:
        for constraint in foreign_keys(found, schema):
            found.append_constraint(constraint)
    return found


def foreign_keys(table: sa.Table, schema: Schema) -> Iterator[sa.ForeignKeyConstraint]:
    """The table's foreign keys, each with a stand-in for the other table."""
    names = {column.key: column.name for column in schema.columns}
    for number, each in enumerate(schema.extras.foreign_keys, 1):
        if each.table != str(table.name):
            stand_in = sa.Table(
                sa.quoted_name(each.table, True), table.metadata, schema=table.schema, extend_existing=True
            )
            for column in each.referred:
                if column not in stand_in.c:
                    stand_in.append_column(sa.Column(sa.quoted_name(column, True), sa.Text()))
            other = stand_in
        else:
            other = table
        yield sa.ForeignKeyConstraint(
            [table.c[names[key]] for key in each.columns],
            [other.c[column] for column in each.referred],
            name=f"{table.name}_refers_{number}",
            ondelete=each.options.get("ondelete"),
            onupdate=each.options.get("onupdate"),
        )


def reflect(connection: sa.Connection, name: str, place: str | None) -> tuple[Column, ...] | None:
    """The columns of a present table; None when there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)
        inspector = sa.inspect(connection)
        if not inspector.has_table(name, place):
            return None
        found = inspector.get_columns(name, place)
    if connection.dialect.name != "sqlite":
        return tuple(Column(each["name"], each["name"], _lasting(type_of(each["type"]))) for each in found)
    declared = connection.exec_driver_sql("SELECT name, type FROM pragma_table_info(?)", (name,)).all()
    return tuple(Column(key, key, type_declared(kind), makes_numbers(kind)) for key, kind in declared)


def _lasting(kind: ColumnType) -> ColumnType:
    return ColumnType.TEXT if kind is ColumnType.NULL else kind


def is_unique(connection: sa.Connection, name: str, place: str | None, columns: Sequence[str]) -> bool:
    """Whether the primary key, or a unique constraint or index, has just these columns."""
    inspector = sa.inspect(connection)
    wanted = set(columns)
    keys: list[Sequence[str | None]] = [inspector.get_pk_constraint(name, place)["constrained_columns"]]
    keys += [each["column_names"] for each in inspector.get_unique_constraints(name, place)]
    keys += [
        each["column_names"]
        for each in inspector.get_indexes(name, place)
        if each["unique"] and not any(option.endswith("_where") for option in each.get("dialect_options", {}))
    ]
    return any(set(key) == wanted for key in keys if key)


def add_column(connection: sa.Connection, table: sa.Table, name: str) -> None:
    """Add one of the table's columns to it."""
    prepare = connection.dialect.identifier_preparer
    kind = table.c[name].type.compile(connection.dialect)
    _alter(connection, f"{prepare.format_table(table)} ADD COLUMN {prepare.quote(name)} {kind}")


def rename(connection: sa.Connection, table: sa.Table, name: str) -> None:
    """Give a table another name."""
    prepare = connection.dialect.identifier_preparer
    to = prepare.quote_identifier(name)
    if connection.dialect.name in ("mysql", "mariadb") and table.schema:
        to = f"{prepare.quote_schema(table.schema)}.{to}"
    _alter(connection, f"{prepare.format_table(table)} RENAME TO {to}")


def _alter(connection: sa.Connection, what: str) -> None:
    # Names are quoted already; those who look for marks of parameters find none without parameters.
    connection.exec_driver_sql(f"ALTER TABLE {what}")


def insert(
    connection: sa.Connection, table: sa.Table, schema: Schema, rows: Sequence[Sequence[Any]], *, upsert: bool
) -> Refused:
    """Write rows; gives those that were refused, by position, with column and reason.

    Args:
        connection: in a transaction.
        table: as `table_of` gives it.
        schema: its columns, in the order of the values.
        rows: each holds the values of one row, or of several, one after the other.
        upsert: a row whose key is there already takes the place of that one.
    """
    width = len(schema.columns)
    single = [tuple(each[at : at + width]) for each in rows for at in range(0, len(each), width)]
    if not single:
        return {}
    statement, order = _compiled(connection, table, schema, upsert=upsert)
    given = [_parameters(row, order) for row in single]
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(statement, given)
        return {}
    except (IntegrityError, DataError):
        return _one_by_one(connection, statement, given, single, schema)


def _compiled(
    connection: sa.Connection, table: sa.Table, schema: Schema, *, upsert: bool
) -> tuple[str, tuple[list[int], list[str] | None]]:
    """The statement in the driver's own words, and where it wants each value: Core itself takes three times as long."""
    marks: dict[str, Any] = {column.name: sa.bindparam(f"v{at}") for at, column in enumerate(schema.columns)}
    built: Any = _upsert(connection.dialect.name, table, marks, schema) if upsert else table.insert().values(marks)
    compiled = built.compile(dialect=connection.dialect)
    names = compiled.positiontup if compiled.positional else list(compiled.params)
    return str(compiled), ([int(name[1:]) for name in names], None if compiled.positional else names)


def _parameters(row: Sequence[Any], order: tuple[list[int], list[str] | None]) -> Any:
    places, names = order
    if names is None:
        return tuple(row[place] for place in places)
    return {name: row[place] for name, place in zip(names, places, strict=True)}


def _upsert(dialect: str, table: sa.Table, marks: Mapping[str, Any], schema: Schema) -> Any:
    key = [column.name for column in schema.columns if column.key in schema.primary_key]
    others = [name for name in marks if name not in key]
    if dialect in ("mysql", "mariadb"):
        made = mysql.insert(table).values(marks)
        # Something must be said to be done: a key put in its own place changes nothing.
        return made.on_duplicate_key_update({name: made.inserted[name] for name in others or key[:1]})
    made_here: Any = (sqlite if dialect == "sqlite" else postgresql).insert(table).values(marks)
    if not others:
        return made_here.on_conflict_do_nothing(index_elements=key)
    return made_here.on_conflict_do_update(index_elements=key, set_={name: made_here.excluded[name] for name in others})


def _one_by_one(
    connection: sa.Connection, statement: str, given: Sequence[Any], rows: Sequence[Sequence[Any]], schema: Schema
) -> Refused:
    refused: Refused = {}
    for position, each in enumerate(given):
        try:
            with connection.begin_nested():
                connection.exec_driver_sql(statement, each)
        except (IntegrityError, DataError) as error:
            refused[position] = _why(schema, rows[position], str(error.orig))
    return refused


def _why(schema: Schema, row: Sequence[Any], said: str) -> tuple[str | None, str]:
    if not schema.primary_key or not any(word in said.lower() for word in ("unique", "duplicate")):
        return None, " ".join(said.split())[:300]
    values = {column.key: value for column, value in zip(schema.columns, row, strict=True)}
    shown = ", ".join(str(values[key]) for key in schema.primary_key)
    return ", ".join(schema.primary_key), f"duplicate key {shown[:200]}"


def spare_large_integers(connection: sa.Connection, table: sa.Table, old: Schema, new: Schema) -> Schema:
    """A column that was to become float but holds integers no double can hold becomes decimal."""
    before = old.by_key()
    columns = list(new.columns)
    for position, column in enumerate(columns):
        was = before.get(column.key)
        if was is None or was.type is not ColumnType.INTEGER or column.type is not ColumnType.FLOAT:
            continue
        large = sa.select(sa.literal(1)).where(sa.not_(table.c[was.name].between(-EXACT, EXACT))).limit(1)
        if connection.execute(large).first() is not None:
            columns[position] = replace(column, type=ColumnType.DECIMAL)
    return replace(new, columns=tuple(columns))


def copy(connection: sa.Connection, old: tuple[sa.Table, Schema], new: tuple[sa.Table, Schema]) -> None:
    """Bring all rows of a table into one with wider columns, unchanged."""
    source, before = old
    target, after = new
    kept = [(before.by_key()[column.key], column) for column in after.columns if column.key in before.by_key()]
    statement = target.insert().values({column.name: sa.bindparam(f"v{at}") for at, (_, column) in enumerate(kept)})
    result = connection.execute(sa.select(*(source.c[was.name] for was, _ in kept)))
    for some in result.partitions(ROWS_COPIED):
        connection.execute(
            statement,
            [{f"v{at}": carried(*kept[at], value) for at, value in enumerate(row)} for row in some],
        )


def carried(before: Column, after: Column, value: Any) -> Any:
    """A stored value as the wider column takes it."""
    if value is None or before.type is after.type or after.type not in (ColumnType.TEXT, ColumnType.DECIMAL):
        return value
    return text_of(bool(value) if before.type is ColumnType.BOOLEAN else value)


def add_indexes(connection: sa.Connection, table: sa.Table, schema: Schema, free: Callable[[str], str] = str) -> None:
    """Make the indexes that a filled table is to have; those that are there stay.

    Args:
        connection: in a transaction.
        table: the table.
        schema: names them.
        free: from the name of an index to one that nothing else has.

    Raises:
        SideLost: one cannot be made on these rows.
    """
    names = {column.key: column.name for column in schema.columns}
    inspector = sa.inspect(connection)
    present = {each["name"] for each in inspector.get_indexes(str(table.name), table.schema)}
    for each in schema.extras.indexes:
        if each.name in present:
            continue
        index = sa.Index(free(each.name), *(table.c[names[key]] for key in each.columns), unique=each.unique)
        try:
            with connection.begin_nested():
                index.create(connection)
        except IntegrityError as error:
            raise SideLost(
                "target",
                f"table {table.name} is filled, but its unique index {each.name} cannot be made ({error.orig}): "
                "mend the rows, then resume",
            ) from error
