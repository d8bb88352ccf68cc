"""Constraints and indexes of a table that is read, and what of it cannot be carried over."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Inspector, inspect
from sqlalchemy.exc import SAWarning

from streamconsole.engines.migration.extras import Extras, ForeignKey, Index
from streamconsole.engines.migration.sources.sql_shape import SqlShape


def extras_of(connection: Connection, shape: SqlShape) -> tuple[Extras, tuple[str, ...]]:
    """What can be carried over, and a line about each thing that cannot."""
    with warnings.catch_warnings():
        # Expressions in an index, say: told to the operator below.
        warnings.simplefilter("ignore", SAWarning)
        inspector = inspect(connection)
        sqlite = connection.dialect.name == "sqlite"
        if shape.name not in inspector.get_table_names(shape.schema):
            return Extras(), ()
        indexes, odd = _indexes(inspector, shape)
        found = Extras(
            tuple(column.name for column in shape.columns if column.required),
            tuple(_foreign_keys_in_sqlite(connection, shape) if sqlite else _foreign_keys(inspector, shape)),
            tuple(indexes),
        )
        lost = [*odd, *_lost(inspector, shape), *(_lost_in_sqlite(connection, shape) if sqlite else ())]
    return found, tuple(f"{shape.name}: {each} is not carried over" for each in lost)


def _foreign_keys(inspector: Inspector, shape: SqlShape) -> Iterator[ForeignKey]:
    for each in inspector.get_foreign_keys(shape.name, shape.schema):
        options = {name: str(value) for name, value in each.get("options", {}).items() if name.startswith("on")}
        columns, referred = tuple(each["constrained_columns"]), tuple(each["referred_columns"])
        yield ForeignKey(columns, each["referred_table"], referred, options)


def _foreign_keys_in_sqlite(connection: Connection, shape: SqlShape) -> Iterator[ForeignKey]:
    """By SQLite's own account: reflection reads the statement, and not every way of writing one."""
    ask = connection.exec_driver_sql
    rows = ask(
        'SELECT id, "table", "from", "to", on_delete, on_update FROM pragma_foreign_key_list(?) ORDER BY id, seq',
        (shape.name,),
    ).all()
    for _, group in groupby(rows, itemgetter(0)):
        parts = list(group)
        table, _, _, ondelete, onupdate = parts[0][1:]
        referred = tuple(row[3] for row in parts)
        if not all(referred):
            # Without named columns the primary key of the other table is meant.
            referred = tuple(ask("SELECT name FROM pragma_table_info(?) WHERE pk ORDER BY pk", (table,)).scalars())
        options = {"ondelete": ondelete, "onupdate": onupdate}
        done = {name: what for name, what in options.items() if what != "NO ACTION"}
        yield ForeignKey(tuple(row[2] for row in parts), table, referred, done)


def _indexes(inspector: Inspector, shape: SqlShape) -> tuple[list[Index], list[str]]:
    found: list[Index] = []
    odd: list[str] = []
    for number, each in enumerate(inspector.get_unique_constraints(shape.name, shape.schema), 1):
        name = each["name"] or f"{shape.name}_unique_{number}"
        found.append(Index(name, tuple(each["column_names"]), True))
    for each_index in inspector.get_indexes(shape.name, shape.schema):
        columns = each_index["column_names"]
        partial = any(name.endswith("_where") for name in each_index.get("dialect_options", {}))
        if partial or not all(columns):
            odd.append(f"index {each_index['name']} (over an expression or a part of the rows)")
        elif not any(index.name == each_index["name"] for index in found):
            names = tuple(str(column) for column in columns)
            found.append(Index(str(each_index["name"]), names, bool(each_index["unique"])))
    return found, odd


def _lost(inspector: Inspector, shape: SqlShape) -> Iterator[str]:
    for check in inspector.get_check_constraints(shape.name, shape.schema):
        yield f"CHECK ({str(check['sqltext'])[:80]})"
    for column in inspector.get_columns(shape.name, shape.schema):
        if column.get("computed"):
            yield f"column {column['name']} being worked out by the database (its values are)"
        elif column.get("default") is not None:
            yield f"DEFAULT {str(column['default'])[:40]} of {column['name']}"


def _lost_in_sqlite(connection: Connection, shape: SqlShape) -> list[str]:
    found: Any = connection.exec_driver_sql(
        "SELECT name, sql FROM sqlite_master WHERE tbl_name = ? COLLATE NOCASE AND type IN ('table', 'trigger')"
        " ORDER BY type DESC, name",
        (shape.name,),
    ).all()
    lost = [f"trigger {name}" for name, statement in found if str(statement).upper().startswith("CREATE TRIGGER")]
    collated = any(" COLLATE " in f" {statement} ".upper().replace("\n", " ") for _, statement in found[-1:])
    return [*lost, "the collation of its columns"] if collated else lost
