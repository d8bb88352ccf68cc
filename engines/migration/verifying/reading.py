"""From a completed run to its target as it is read again, and to how its rows are fitted to it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from streamconsole.engines.errors import Refused, SideLost
from streamconsole.engines.migration.batch import NormalizerFactory
from streamconsole.engines.migration.columns import ColumnType, Schema
from streamconsole.engines.migration.compression import Compression
from streamconsole.engines.migration.locations import target_of
from streamconsole.engines.migration.settings import MigrationSettings, Mode
from streamconsole.engines.migration.sources.files import BOM, PlainFile
from streamconsole.engines.migration.sources.packed import PackedFile
from streamconsole.engines.migration.targets import sqlite_table
from streamconsole.engines.migration.targets.file_forms import Array, Csv
from streamconsole.engines.migration.targets.files import HEAD_BYTES, FileTarget
from streamconsole.engines.migration.targets.sql import SqlTarget
from streamconsole.engines.migration.targets.sql_window import ledger
from streamconsole.engines.migration.targets.sqlite import SqliteTarget
from streamconsole.engines.migration.targets.table_rows import TableRows
from streamconsole.engines.migration.verifying.canonical import Kind
from streamconsole.engines.migration.verifying.file import FileSide, FileStock, of_target
from streamconsole.engines.migration.verifying.records import CsvRecords, ElementRecords, LineRecords, Records
from streamconsole.engines.migration.verifying.side import Side, Stock
from streamconsole.engines.migration.verifying.sql import SqlSide, reflected
from streamconsole.engines.migration.verifying.table import TableSide, columns_and_key
from streamconsole.engines.workspace.runs import Run


@dataclass(frozen=True, slots=True)
class ReadTarget:
    """A target to be read again.

    Args:
        side: for whoever compares a window.
        stock: for the owner of the verification.
        normalizer: fits rows of the source as they were fitted.
        absent: columns that it has lost.
    """

    side: Side
    stock: Stock
    normalizer: NormalizerFactory
    absent: tuple[str, ...] = ()


def target_again(run: Run) -> ReadTarget:
    """The target of a run, as it is now (blocking).

    Raises:
        Refused: it cannot be read.
        SideLost: it is gone.
    """
    settings = MigrationSettings.model_validate(run.spec)
    target = target_of(settings)
    if isinstance(target, FileTarget):
        return _file(target, run)
    if isinstance(target, SqliteTarget):
        return _sqlite(target, settings, run)
    assert isinstance(target, SqlTarget)
    return _sql(target, settings, run)


# Files ----------------------------------------------------------------------------------------------


def _file(target: FileTarget, run: Run) -> ReadTarget:
    if not target.path.exists():
        raise SideLost("target", f"{target.path} does not exist any more")
    plain = target.compression is Compression.NONE
    file = PlainFile(target.path) if plain else PackedFile(target.path, target.compression)
    with of_target():
        try:
            with file.at(0) as opened:
                head = opened.read(HEAD_BYTES)
        except OSError as error:
            raise SideLost("target", f"{target.path} cannot be read: {error.strerror}") from error
    records, begin, absent = _records(target, run, head)
    side = FileSide(file.content, records)
    return ReadTarget(side, FileStock(side, file, begin), records.normalizer, absent)


def _records(target: FileTarget, run: Run, head: bytes) -> tuple[Records, int, tuple[str, ...]]:
    """What its rows are, where they begin, and which columns are not there any more."""
    mark = len(BOM) if head.startswith(BOM) else 0
    if isinstance(target.form, Csv):
        present = target.form.columns_of(head)
        absent = tuple(name for name in run.plan["schema"]["columns"] if name not in present)
        body = mark + target.form.head_length(head[mark:])
        return CsvRecords(present, absent, target.form.dialect, body), body, absent
    if isinstance(target.form, Array):
        bare = head[mark:].lstrip()
        return ElementRecords(), len(head) - len(bare) + 1 if bare.startswith(b"[") else 0, ()
    return LineRecords(), 0, ()


# Tables ---------------------------------------------------------------------------------------------


def _sqlite(target: SqliteTarget, settings: MigrationSettings, run: Run) -> ReadTarget:
    present, key = columns_and_key(target.path, target.name)
    schema = _sqlite_schema(target, run)
    there, absent = _there(schema, present)
    keyed = _key(settings, schema, there, key)
    by_value = (ColumnType.INTEGER, ColumnType.FLOAT, ColumnType.BOOLEAN)
    numbers = frozenset(each.name for each in schema.columns if each.makes_numbers and each.type not in by_value)
    side = TableSide(target.path, target.name, there, keyed, numbers)
    return ReadTarget(side, side, TableRows(schema, len(schema.columns)), absent)


def _sqlite_schema(target: SqliteTarget, run: Run) -> Schema:
    """The table's columns as the run left them: from the ledger in the target, else as they were planned."""
    found = None
    try:
        with closing(sqlite3.connect(f"file:{target.path}?mode=ro", uri=True)) as connection:
            found = connection.execute("SELECT schema FROM _streamconsole_runs WHERE run = ?", (run.id,)).fetchone()
    except sqlite3.Error:
        # The ledger was removed: what was planned is what is left to go by.
        found = None
    return _schema(found[0] if found else None, run)


def _sql(target: SqlTarget, settings: MigrationSettings, run: Run) -> ReadTarget:
    path = target.database.path
    if path is not None and not path.exists():
        raise SideLost("target", f"{path} does not exist any more")
    database = target.database if path is None else replace(target.database, inode=path.stat().st_ino)
    found = reflected(database, target.place, target.name)
    schema = _sql_schema(target, run)
    there, absent = _there(schema, list(found.kinds))
    kinds = {name.casefold(): kind for name, kind in found.kinds.items()}
    side = SqlSide(
        database,
        target.place,
        target.name,
        there,
        tuple(kinds.get(name.casefold(), Kind.PLAIN) for name in there),
        _key(settings, schema, there, found.key),
    )
    return ReadTarget(side, side, target.rows(schema), absent)


def _sql_schema(target: SqlTarget, run: Run) -> Schema:
    runs = ledger(target.place)[0]
    with target.database.refusing(), target.database.connect() as connection:
        # The ledger may have been removed.
        known = sa.inspect(connection).has_table(str(runs.name), target.place)
        asked = sa.select(runs.c.schema).where(runs.c.run == run.id)
        return _schema(connection.execute(asked).scalar() if known else None, run)


def _schema(kept: str | None, run: Run) -> Schema:
    return sqlite_table.load(kept) if kept else sqlite_table.from_json(run.plan["schema"])


def _there(schema: Schema, present: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Columns of the run that the table has, and those that it has no more."""
    known = {name.casefold() for name in present}
    names = sorted(column.name for column in schema.columns)
    there = tuple(name for name in names if name.casefold() in known)
    return there, tuple(name for name in names if name not in set(there))


def _key(
    settings: MigrationSettings, schema: Schema, there: tuple[str, ...], primary: tuple[str, ...]
) -> tuple[str, ...]:
    """Columns by which rows are looked up: the table's own key; where rows took each other's place, that of the run.

    Raises:
        Refused: a column of it is gone.
    """
    of = {name.casefold(): name for name in there}
    wanted = primary
    if settings.mode is Mode.UPSERT:
        columns: dict[str, Any] = schema.by_key()
        wanted = tuple(columns[key].name for key in schema.primary_key)
        lost = [name for name in wanted if name.casefold() not in of]
        if lost:
            raise Refused(f"the target has no column {lost[0]} any more, by which its rows were overwritten")
    return tuple(of[name.casefold()] for name in wanted) if of.keys() >= {name.casefold() for name in wanted} else ()
