"""The statements of the PostgreSQL target alone: widening in place, sequences, what hangs on a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from streamconsole.engines.migration.columns import EXACT, Column, ColumnType, Schema, shortened
from streamconsole.engines.migration.postgresql import placed, quote
from streamconsole.engines.migration.targets import sql_table

LONGEST_NAME = 63
"""Bytes of a name that the server keeps; it would cut off the rest and say nothing."""

TYPES: Mapping[ColumnType, sa.types.TypeEngine[Any]] = {
    **sql_table.TYPES,
    ColumnType.DECIMAL: sa.Numeric(),
    ColumnType.DATETIME: sa.DateTime(timezone=True),
    ColumnType.JSON: JSONB(),
}

NAMES: Mapping[ColumnType, str] = {
    ColumnType.BOOLEAN: "boolean",
    ColumnType.INTEGER: "bigint",
    ColumnType.FLOAT: "double precision",
    ColumnType.DECIMAL: "numeric",
    ColumnType.DATETIME: "timestamptz",
    ColumnType.BINARY: "bytea",
    ColumnType.JSON: "jsonb",
}
"""The same in the server's words; what is not here is text."""


def alter(connection: sa.Connection, place: str | None, name: str, old: Schema, new: Schema) -> None:
    """Bring a table from one schema to a wider one, in one statement: no value is changed by it."""
    before, present = old.by_key(), {column.name for column in old.spare}
    parts = []
    for column in new.columns:
        was, kind = before.get(column.key), NAMES.get(column.type, "text")
        if was is None and column.name not in present:
            parts.append(f"ADD COLUMN {quote(column.name)} {kind}")
        elif was is not None and was.type is not column.type:
            parts.append(f"ALTER COLUMN {quote(column.name)} TYPE {kind} USING {_carried(was, column, kind)}")
    if parts:
        execute(connection, f"ALTER TABLE {placed(place, name)} {', '.join(parts)}")


def execute(connection: sa.Connection, statement: str) -> Any:
    """A statement as it stands: a % in it is none of the driver's marks."""
    return connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


def advance_sequences(connection: sa.Connection, place: str | None, name: str, schema: Schema) -> None:
    """Numbers that the server gives to later rows come after those that were filled in."""
    table = placed(place, name)
    for column in schema.columns:
        if column.type is not ColumnType.INTEGER:
            continue
        asked = sa.text("SELECT pg_get_serial_sequence(:table, :column)")
        sequence = connection.execute(asked, {"table": table, "column": column.name}).scalar()
        if sequence is None:
            continue
        largest = f"SELECT max({quote(column.name)}) AS number FROM {table}"
        literal = sequence.replace("'", "''")
        execute(
            connection,
            f"SELECT setval('{literal}'::regclass, found.number) FROM ({largest}) AS found, {sequence} AS now "
            "WHERE found.number > now.last_value OR (found.number = now.last_value AND NOT now.is_called)",
        )


def declared(connection: sa.Connection, place: str | None, name: str) -> dict[str, str]:
    """The types of a table's columns, in the server's words."""
    asked = sa.text(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = to_regclass(:name) AND attnum > 0 AND NOT attisdropped"
    )
    return {row[0]: row[1] for row in connection.execute(asked, {"name": placed(place, name)})}


def dependents(connection: sa.Connection, place: str | None, name: str) -> list[str]:
    """Views over a table and tables that refer to it: they would be left without it."""
    asked = sa.text(
        "SELECT DISTINCT CAST(CAST(r.ev_class AS regclass) AS text) FROM pg_depend d JOIN pg_rewrite r "
        "ON r.oid = d.objid AND d.classid = CAST('pg_rewrite' AS regclass) "
        "WHERE d.refobjid = to_regclass(:name) AND r.ev_class <> d.refobjid "
        "UNION SELECT CAST(CAST(conrelid AS regclass) AS text) FROM pg_constraint "
        "WHERE confrelid = to_regclass(:name) AND conrelid <> confrelid ORDER BY 1"
    )
    return list(connection.execute(asked, {"name": placed(place, name)}).scalars())


def free_name(connection: sa.Connection, place: str | None, name: str, table: str) -> str:
    """A name for an index of a table: a schema has each name once."""
    asked = sa.text("SELECT to_regclass(:name)")
    if connection.execute(asked, {"name": placed(place, shortened(name, LONGEST_NAME))}).scalar() is None:
        return shortened(name, LONGEST_NAME)
    return shortened(f"{table}_{name}", LONGEST_NAME)


def name_key(connection: sa.Connection, place: str | None, name: str) -> None:
    """Call the primary key of a renamed table what it would have been called under its name."""
    asked = sa.text("SELECT conname FROM pg_constraint WHERE conrelid = to_regclass(:name) AND contype = 'p'")
    found = connection.execute(asked, {"name": placed(place, name)}).scalar()
    wanted = shortened(name, LONGEST_NAME - len("_pkey")) + "_pkey"
    if found is not None and found != wanted and free_name(connection, place, wanted, name) == wanted:
        execute(connection, f"ALTER TABLE {placed(place, name)} RENAME CONSTRAINT {quote(found)} TO {quote(wanted)}")


def _carried(before: Column, after: Column, kind: str) -> str:
    """The expression that brings a stored value into a wider column, as it would be written there now."""
    value = quote(before.name)
    if before.type is ColumnType.NULL:
        return f"NULL::{kind}"
    if before.type is ColumnType.FLOAT and after.type is ColumnType.DECIMAL:
        # Of a double itself only 15 digits would be taken.
        return f"{value}::text::numeric"
    if after.type is not ColumnType.TEXT:
        return f"{value}::{kind}"
    return TEXTS.get(before.type, "{0}::text").format(value)


TEXTS: Mapping[ColumnType, str] = {
    ColumnType.FLOAT: f"CASE WHEN {{0}} = trunc({{0}}) AND abs({{0}}) <= {EXACT} THEN {{0}}::bigint::text "
    "WHEN {0} IN ('NaN', 'Infinity', '-Infinity') THEN {0}::text ELSE {0}::text::numeric::text END",
    ColumnType.BINARY: r"replace(encode({0}, 'base64'), E'\n', '')",
    ColumnType.DATETIME: "CASE WHEN extract(microseconds FROM {0})::bigint % 1000 = 0 "
    """THEN to_char({0} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') """
    """ELSE to_char({0} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') END""",
}
"""How `text_of` of `postgresql_rows` would have written a value."""
