"""PostgreSQL as a target: one table, with the ledger of windows beside it.

Made, changed and finished as any table of a database; its windows are written by COPY, many at the same time.
While it is widened, in place, no window is written.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, ClassVar

import sqlalchemy as sa

from streamconsole.engines.errors import Refused
from streamconsole.engines.migration.columns import Column, ColumnType, Schema, shortened
from streamconsole.engines.migration.postgresql import LOCK_TIMEOUT_MS, Server
from streamconsole.engines.migration.settings import Mode
from streamconsole.engines.migration.targets import postgresql_table as own
from streamconsole.engines.migration.targets import sql_table as table
from streamconsole.engines.migration.targets.postgresql_rows import FittedRows
from streamconsole.engines.migration.targets.postgresql_window import PostgresqlWindows
from streamconsole.engines.migration.targets.sql import SqlTarget
from streamconsole.engines.migration.targets.table_rows import TableRows
from streamconsole.engines.migration.targets.target import SchemaMoved, WindowWriter

LOCK = 0x5354_5243_4F4E  # of all locks that programs may agree on in a database: the one of our tables


class Turns:
    """Many may write at the same time, or one may change the table alone (`with`), whom new ones wait for."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._writing = 0
        self._alone = False

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write, at the same time as others."""
        with self._changed:
            self._changed.wait_for(lambda: not self._alone)
            self._writing += 1
        try:
            yield
        finally:
            with self._changed:
                self._writing -= 1
                self._changed.notify_all()

    def __enter__(self) -> None:
        """Be alone: waits for those who write."""
        with self._changed:
            self._changed.wait_for(lambda: not self._alone)
            self._alone = True
            self._changed.wait_for(lambda: not self._writing)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the others go on."""
        with self._changed:
            self._alone = False
            self._changed.notify_all()


class PostgresqlTarget(SqlTarget):
    """One table of a PostgreSQL database; arguments as of any database's."""

    types: ClassVar[Mapping[ColumnType, sa.types.TypeEngine[Any]]] = own.TYPES
    longest: ClassVar[int | None] = own.LONGEST_NAME

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._turn: Turns = Turns()
        self._declared: dict[str, str] = {}

    @property
    def server(self) -> Server:
        """The server that children write to."""
        server = self.database.server
        assert server is not None
        return server

    def rows(self, schema: Schema) -> TableRows:
        """Fits rows as they were fitted when they were written."""
        return FittedRows(schema, len(schema.columns))

    def writer(self) -> WindowWriter:
        """Writes windows into the table as it is now."""
        return PostgresqlWindows(
            self.server,
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
        """The table, beside other windows: not while it is widened."""
        assert isinstance(writer, PostgresqlWindows)
        with self._turn.together():
            now = self._schema.by_key()
            if writer.table != self._filling or any(now[each.key] != each for each in writer.schema.columns):
                raise SchemaMoved
            yield

    async def close(self) -> None:
        """Close this process's connections."""
        await super().close()
        self.server.let_go()

    def _aside(self) -> str:
        return shortened(super()._aside(), self.longest)

    def _refuse_unwritable(self) -> None:
        super()._refuse_unwritable()
        for name in filter(None, (self.name, self.place)):
            if len(name.encode()) > own.LONGEST_NAME:
                raise Refused(f"target {name}: PostgreSQL's names have {own.LONGEST_NAME} bytes at most")

    def _inspect_table(self, connection: sa.Connection, needs: Mapping[str, ColumnType], key: tuple[str, ...]) -> None:
        if self.place is not None and self.place not in sa.inspect(connection).get_schema_names():
            raise Refused(f"target {self.database} has no schema {self.place}: make it first")
        self._declared = own.declared(connection, self.place, self.name)
        super()._inspect_table(connection, needs, key)
        if self._mode is Mode.REPLACE and (others := own.dependents(connection, self.place, self.name)):
            raise Refused(
                f"target table {self.name} in {self.database} cannot be replaced: {', '.join(others[:5])} would be "
                "left without it; drop what depends on it, or choose --mode upsert"
            )

    def _schema_for(
        self, found: tuple[Column, ...], needs: Mapping[str, ColumnType], key: tuple[str, ...], where: str
    ) -> Schema:
        known = tuple(replace(column, declared=self._declared.get(column.name, "")) for column in found)
        return super()._schema_for(known, needs, key, where)

    def _before_ddl(self, connection: sa.Connection) -> None:
        # Two runs that begin at the same time would both find no ledger, and both make one.
        own.execute(connection, f"SELECT pg_advisory_xact_lock({LOCK})")

    def _make(self, connection: sa.Connection) -> None:
        self._wait_no_longer(connection)
        super()._make(connection)

    def _wait_no_longer(self, connection: sa.Connection) -> None:
        own.execute(connection, f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")

    def _widen(self, connection: sa.Connection, needs: Mapping[str, ColumnType]) -> Schema:
        self._wait_no_longer(connection)
        old = self._schema
        there = self._table(connection, self._filling, old)
        wider = table.spare_large_integers(connection, there, old, old.widened(needs, table.MOST_COLUMNS))
        own.alter(connection, self.place, self._filling, old, wider)
        return wider

    def _finish(self, connection: sa.Connection, whole: bool) -> Schema:
        aside = self._filling != self.name
        schema = super()._finish(connection, whole)
        if whole:
            own.advance_sequences(connection, self.place, self.name, schema)
        if whole and aside:
            own.name_key(connection, self.place, self.name)
        return schema

    def _add_indexes(self, connection: sa.Connection, schema: Schema) -> None:
        free = partial(own.free_name, connection, self.place, table=self.name)
        table.add_indexes(connection, self._table(connection, self.name, schema), schema, free)
