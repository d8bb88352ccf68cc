"""Any database that SQLAlchemy knows as a target: one table, with the ledger of windows beside it.

A window is one transaction (see `sql_window`), without DDL: to widen, a table with wider columns is
filled beside the old one and put in its place, while no window is written.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any, ClassVar, TypeVar

import sqlalchemy as sa

from streamconsole.engines import faults
from streamconsole.engines.errors import Refused, StaleEpoch
from streamconsole.engines.migration.columns import Column, ColumnType, Schema
from streamconsole.engines.migration.extras import Extras
from streamconsole.engines.migration.settings import Mode
from streamconsole.engines.migration.sources.databases import Database
from streamconsole.engines.migration.sources.sql_extras import extras_of
from streamconsole.engines.migration.sources.sql_shape import look
from streamconsole.engines.migration.targets import sql_table as table
from streamconsole.engines.migration.targets.sql_window import (
    SqlWindows,
    check_epoch,
    engine_for,
    ledger,
    transaction,
)
from streamconsole.engines.migration.targets.sqlite_table import dump, from_json, load, to_json
from streamconsole.engines.migration.targets.table_rows import TableRows
from streamconsole.engines.migration.targets.target import Owned, SchemaMoved, Settled, WindowWriter, Written

T = TypeVar("T")


class SqlTarget:
    """One table of a database.

    Args:
        database: where it is.
        place: schema of the database; None for the default one.
        name: the table.
        mode: what is done about rows that are there already.
        create: make the table, or columns it lacks; else it must be there with all of them.
    """

    types: ClassVar[Mapping[ColumnType, sa.types.TypeEngine[Any]]] = table.TYPES
    """What columns are declared as; those that are not among them are text."""

    longest: ClassVar[int | None] = None
    """Bytes that a name can have; None for any number."""

    def __init__(
        self, database: Database, place: str | None, name: str, mode: Mode = Mode.INSERT, *, create: bool = True
    ) -> None:
        self.database = database
        self.path = database.path
        self.name = name
        self.place = place
        self._mode = mode
        self._create = create
        self._schema = Schema(())
        self._extras = Extras()
        self._filling = self._aside() if mode is Mode.REPLACE else name
        self._run = ""
        self._epoch = 0
        self._replay: str | None = None
        self._turn: AbstractContextManager[Any] = threading.Lock()

    def carry(self, extras: Extras) -> None:
        """Make these with the table, or when it is filled."""
        self._extras = extras

    def inspect(self, needs: Mapping[str, ColumnType], key: tuple[str, ...]) -> dict[str, Any]:
        """Check, without writing, that the table suits the mode."""
        self._refuse_unwritable()
        if self._mode is Mode.UPSERT and not key:
            raise Refused("--mode upsert needs a key: name the keys that tell rows apart with --key")
        if len(needs) > table.MOST_COLUMNS:
            needs = {**{name: needs[name] for name in key}, **needs}
        self._schema = Schema((), key, extras=self._extras, longest=self.longest).widened(needs, table.MOST_COLUMNS)
        if self.path is None or self.path.exists():
            with self.database.refusing(), engine_for(self.database.url, self.path).begin() as connection:
                self._inspect_table(connection, needs, key)
        elif not self._create:
            raise Refused(f"target {self.database} does not exist, and --no-create says that it must")
        if not self._schema.columns:
            raise Refused(f"target table {self.name}: no row looked at has a key, so there is no column to make")
        return {"schema": to_json(self._schema)}

    def use(self, schema: Mapping[str, Any]) -> None:
        """Take the schema that was planned, before `open`."""
        self._schema = from_json(schema)

    async def open(self, run: str, epoch: int) -> list[Settled]:
        """Take the run over under an epoch: later windows of older epochs are refused."""
        return await asyncio.to_thread(self._open, run, epoch)

    def look_up(self, run: str) -> None:
        """Whether the ledger still knows a run, and its table is there."""
        if self.path is not None and not self.path.exists():
            raise Refused(f"target {self.path} does not exist any more: move the rows anew")
        runs = ledger(self.place)[0]
        with self.database.refusing(), engine_for(self.database.url, self.path).connect() as connection:
            known = sa.inspect(connection).has_table
            found = None
            if known(runs.name, self.place):
                found = connection.execute(sa.select(runs.c.table_name).where(runs.c.run == run)).scalar()
            if found is None or not known(found, self.place):
                raise Refused(
                    f"target {self.database} has no ledger of run {run}, or not its table, any more: move the rows anew"
                )

    async def reopen(self, of: Owned, replay: Owned) -> list[Settled]:
        """Take a run over, to write refused rows of it; its own schema goes on."""
        await asyncio.to_thread(self.look_up, of.run)
        self._replay = replay.run
        return await asyncio.to_thread(self._open, of.run, of.epoch)

    def rows(self, schema: Schema) -> TableRows:
        """Fits rows as they were fitted when they were written."""
        return TableRows(schema, len(schema.columns))

    def writer(self) -> WindowWriter:
        """Writes windows into the table as it is now."""
        return SqlWindows(
            self.database,
            self.place,
            self._run,
            self._epoch,
            self._filling,
            self._schema,
            self._mode is Mode.UPSERT,
            self._replay,
        )

    @contextmanager
    def turn(self, writer: WindowWriter) -> Iterator[None]:
        """The table for one window: not while it is widened."""
        assert isinstance(writer, SqlWindows)
        with self._turn:
            now = self._schema.by_key()
            if writer.table != self._filling or any(now[each.key] != each for each in writer.schema.columns):
                raise SchemaMoved
            yield

    async def widen(self, needs: Mapping[str, ColumnType]) -> None:
        """Widen types and add columns, in a transaction of its own."""
        await asyncio.to_thread(self._alone, self._widen, needs)

    async def finish(self, *, whole: bool) -> None:
        """Put a table that was filled aside in its place; make the indexes and references it lacks."""
        await asyncio.to_thread(self._alone, self._finish, whole)

    def forget_parts(self) -> None:
        """The ledger stays in the database: it costs a row a window and proves what was done."""

    async def close(self) -> None:
        """Close this process's connections."""
        if self._run:
            await asyncio.to_thread(engine_for(self.database.url, self.path).dispose)

    # Before the run --------------------------------------------------------------------------

    def _refuse_unwritable(self) -> None:
        if self.name.lower().startswith(("sqlite_", "_streamconsole")) or "\0" in self.name:
            raise Refused(f"target table {self.name!r}: databases and this program keep such names for themselves")
        if self.path is None:
            return
        if self.path.is_dir():
            raise Refused(f"target {self.path} is a folder: name a file")
        place = self.path if self.path.exists() else self.path.parent
        if not place.exists():
            raise Refused(f"target {self.path}: the folder {self.path.parent} does not exist")
        if not os.access(place, os.W_OK) or not place.stat().st_mode & 0o222:
            raise Refused(f"target {self.path} cannot be written: {place} is read-only")

    def _inspect_table(self, connection: sa.Connection, needs: Mapping[str, ColumnType], key: tuple[str, ...]) -> None:
        if self._mode is Mode.UPSERT and connection.dialect.name not in table.UPSERTS:
            raise Refused(f"--mode upsert is not known for {connection.dialect.name}: choose another mode")
        found = table.reflect(connection, self.name, self.place)
        where = f"target table {self.name} in {self.database}"
        if found is None:
            if not self._create:
                raise Refused(f"{where} does not exist, and --no-create says that it must")
            return
        if self.name in sa.inspect(connection).get_view_names(self.place):
            raise Refused(f"{where} is a view: name a table")
        if self._mode is Mode.REPLACE:
            return
        there = sa.table(sa.quoted_name(self.name, True), schema=self.place)
        has_rows = connection.execute(sa.select(sa.literal(1)).select_from(there).limit(1)).first() is not None
        if self._mode is Mode.INSERT and has_rows:
            raise Refused(
                f"{where} holds rows already: empty it, name another one, choose --mode append, upsert or replace, "
                "or resume the run that filled it (`streamconsole runs list`)"
            )
        if self._mode is Mode.UPSERT and not table.is_unique(connection, self.name, self.place, key):
            raise Refused(f"{where}: --mode upsert needs a unique key over just {', '.join(key)}")
        self._schema = self._schema_for(found, needs, key, where)

    def _schema_for(
        self, found: tuple[Column, ...], needs: Mapping[str, ColumnType], key: tuple[str, ...], where: str
    ) -> Schema:
        lacking = [name for name in needs if name not in {column.key for column in found}]
        if lacking and not self._create:
            raise Refused(f"{where} has no column {', '.join(lacking[:5])}, and --no-create says that none is made")
        present = Schema((), key, True, not self._create, found, longest=self.longest)
        return present.widened(needs, table.MOST_COLUMNS)

    # In a thread -----------------------------------------------------------------------------

    def _open(self, run: str, epoch: int) -> list[Settled]:
        self._run, self._epoch = run, epoch
        runs, windows = ledger(self.place)
        with self._turn, self.database.refusing(), transaction(self.database) as connection:
            self._before_ddl(connection)
            for each in (runs, windows):
                each.create(connection, checkfirst=True)
        with self._turn, self.database.refusing(), transaction(self.database) as connection:
            self._take_over(connection, runs)
            counts = (windows.c.rows_read, windows.c.rows_written, windows.c.rejects)
            asked = sa.select(windows.c.lo, windows.c.hi, *counts).where(windows.c.run == (self._replay or run))
            found = connection.execute(asked).all()
        if self.path is not None:
            self.database = replace(self.database, inode=self.path.stat().st_ino)
        return [Settled(lo, hi, Written(*counts)) for lo, hi, *counts in found]

    def _before_ddl(self, connection: sa.Connection) -> None:
        """What a database needs before tables are looked for and made."""

    def _take_over(self, connection: sa.Connection, runs: sa.Table) -> None:
        asked = sa.select(runs.c.epoch, runs.c.table_name, runs.c.schema).where(runs.c.run == self._run)
        known = connection.execute(asked.with_for_update()).first()
        if known is None:
            if self._mode is Mode.REPLACE:
                self._table(connection, self._filling, self._schema).drop(connection, checkfirst=True)
            self._make(connection)
            kept = {"table_name": self._filling, "schema": dump(self._schema)}
            connection.execute(runs.insert().values(run=self._run, epoch=self._epoch, **kept))
            return
        if known[0] > self._epoch:
            raise StaleEpoch(f"run {self._run} has been taken over by another process")
        self._filling, self._schema = known[1], load(known[2])
        connection.execute(runs.update().where(runs.c.run == self._run).values(epoch=self._epoch))

    def _make(self, connection: sa.Connection) -> None:
        """Make the table, or add the columns that a present one lacks."""
        made = self._table(connection, self._filling, self._schema)
        present = table.reflect(connection, self._filling, self.place)
        if present is None:
            made.create(connection)
            return
        have = {column.name.casefold() for column in present}
        for column in self._schema.columns:
            if column.name.casefold() not in have:
                table.add_column(connection, made, column.name)

    def _widen(self, connection: sa.Connection, needs: Mapping[str, ColumnType]) -> Schema:
        old = self._schema
        there = self._table(connection, self._filling, old)
        wider = table.spare_large_integers(connection, there, old, old.widened(needs, table.MOST_COLUMNS))
        before, present = old.by_key(), {column.name for column in old.spare}
        changed = [each for each in wider.columns if each.key in before and before[each.key].type != each.type]
        if changed:
            self._rebuild(connection, there, old, wider)
        else:
            made = self._table(connection, self._filling, wider)
            for column in wider.columns:
                if column.key not in before and column.name not in present:
                    table.add_column(connection, made, column.name)
        return wider

    def _rebuild(self, connection: sa.Connection, there: sa.Table, old: Schema, wider: Schema) -> None:
        building = self._table(connection, f"_streamconsole_building_{self.name}", wider)
        building.drop(connection, checkfirst=True)
        building.create(connection)
        table.copy(connection, (there, old), (building, wider))
        there.drop(connection)
        table.rename(connection, building, self._filling)

    def _finish(self, connection: sa.Connection, whole: bool) -> Schema:
        if whole and self._filling != self.name:
            kept = self._indexes_of_old(connection)
            self._table(connection, self.name, self._schema).drop(connection, checkfirst=True)
            table.rename(connection, self._table(connection, self._filling, self._schema), self.name)
            faults.reach("target.before_swap")
            self._filling = self.name
            self._add_indexes(connection, kept)
        if whole:
            self._add_indexes(connection, self._schema)
            self._add_references(connection)
        return self._schema

    def _add_indexes(self, connection: sa.Connection, schema: Schema) -> None:
        table.add_indexes(connection, self._table(connection, self.name, schema), schema)

    def _indexes_of_old(self, connection: sa.Connection) -> Schema:
        """The new table's schema with the indexes of the one that it takes the place of."""
        if not sa.inspect(connection).has_table(self.name, self.place):
            return replace(self._schema, extras=Extras())
        where = f"{self.place}.{self.name}" if self.place else self.name
        found, _ = extras_of(connection, look(connection, where, str(self.database)))
        keys = {column.name: column.key for column in self._schema.columns}
        return replace(self._schema, extras=Extras(indexes=found.indexes).renamed(keys))

    def _add_references(self, connection: sa.Connection) -> None:
        """Where references can be added to a table that is there, they are, once the other table is there, too."""
        if connection.dialect.name == "sqlite":
            return
        inspector = sa.inspect(connection)
        bare = table.table_of(self.name, self._schema, self.place, references=False, types=self.types)
        present = {tuple(each["constrained_columns"]) for each in inspector.get_foreign_keys(self.name, self.place)}
        for each in table.foreign_keys(bare, self._schema):
            other = each.referred_table
            if tuple(each.column_keys) not in present and inspector.has_table(str(other.name), other.schema):
                bare.append_constraint(each)
                connection.execute(sa.schema.AddConstraint(each))

    def _table(self, connection: sa.Connection, name: str, schema: Schema) -> sa.Table:
        references = connection.dialect.name == "sqlite"
        return table.table_of(name, schema, self.place, references=references, types=self.types)

    def _aside(self) -> str:
        """Where a table is filled that is to take the place of another one."""
        return f"_streamconsole_new_{self.name}"

    def _alone(self, function: Callable[..., Schema], *args: Any) -> None:
        """Change the table while no window is written, and keep its schema in the same transaction."""
        runs = ledger(self.place)[0]
        with self._turn, transaction(self.database) as connection:
            check_epoch(connection, self.place, self._run, self._epoch)
            schema = function(connection, *args)
            kept = {"table_name": self._filling, "schema": dump(schema)}
            connection.execute(runs.update().where(runs.c.run == self._run).values(**kept))
        self._schema = schema
