"""Writing one window by SQLAlchemy Core: ledger, rows, commit. Runs in a child process or in a thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from time import time
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.pool import NullPool

from streamconsole.engines import faults
from streamconsole.engines.errors import StaleEpoch
from streamconsole.engines.migration.batch import Batch, NormalizerFactory, Reader, describe
from streamconsole.engines.migration.columns import Schema
from streamconsole.engines.migration.sources.databases import Database, server_engine
from streamconsole.engines.migration.sources.sqlite_fetch import BUSY_TIMEOUT_S
from streamconsole.engines.migration.targets import sql_table
from streamconsole.engines.migration.targets.sqlite_window import not_settled, refuse_another_file
from streamconsole.engines.migration.targets.table_rows import TableRows
from streamconsole.engines.migration.targets.target import KeepRejects, Written
from streamconsole.engines.units import Window


@lru_cache(maxsize=16)
def ledger(place: str | None) -> tuple[sa.Table, sa.Table]:
    """The tables of runs and of their windows."""
    known = sa.MetaData(schema=place)
    number = sa.BigInteger()
    runs = sa.Table(
        "_streamconsole_runs",
        known,
        sa.Column("run", sa.String(80), primary_key=True),
        sa.Column("epoch", number, nullable=False),
        sa.Column("table_name", sa.Text, nullable=False),
        sa.Column("schema", sa.Text, nullable=False),
    )
    counts = [sa.Column(name, number, nullable=False) for name in ("hi", "rows_read", "rows_written", "rejects")]
    windows = sa.Table(
        "_streamconsole_windows",
        known,
        sa.Column("run", sa.String(80), primary_key=True),
        sa.Column("lo", number, primary_key=True, autoincrement=False),
        *counts,
        sa.Column("at", sa.Double, nullable=False),
    )
    return runs, windows


@dataclass(frozen=True, slots=True)
class SqlWindows:
    """Writes windows into one table, under one owner's epoch.

    Args:
        database: where it is.
        place: schema of the database; None for the default one.
        run: id of the run.
        epoch: of its owner.
        table: where rows go.
        schema: its columns.
        replacing: rows whose key is there already take the place of those.
        replay: id of the run whose windows hold refused rows of settled windows of `run`; None when they are its own.
    """

    database: Database
    place: str | None
    run: str
    epoch: int
    table: str
    schema: Schema
    replacing: bool = False
    replay: str | None = None

    @property
    def normalizer(self) -> NormalizerFactory:
        """Rows as tuples of the table."""
        return TableRows(self.schema, sql_table.MOST_COLUMNS)

    def write(self, window: Window, batch: Batch, reader: Reader, keep_rejects: KeepRejects) -> Written:
        """Claim, write, commit."""
        with transaction(self.database) as connection:
            written = self._write(connection, window, batch, reader, keep_rejects)
        faults.reach("window.after_commit", window.number)
        return written

    def _write(
        self, connection: sa.Connection, window: Window, batch: Batch, reader: Reader, keep_rejects: KeepRejects
    ) -> Written:
        check_epoch(connection, self.place, self.run, self.epoch)
        faults.reach("window.before_claim", window.number)
        done = self._claim(connection, window)
        if done is not None:
            return done
        faults.reach("window.after_claim", window.number)
        table = sql_table.table_of(self.table, self.schema, self.place, references=False)
        refused = sql_table.insert(connection, table, self.schema, batch.payload or (), upsert=self.replacing)
        faults.reach("window.after_write", window.number)
        rejects = batch.rejects + describe(
            reader, window, [(batch.indexes[n], column, why) for n, (column, why) in refused.items()]
        )
        keep_rejects(rejects)
        written = Written(batch.rows_read, len(batch.indexes) - len(refused), len(rejects))
        windows = ledger(self.place)[1]
        connection.execute(
            windows.update()
            .where(windows.c.run == (self.replay or self.run), windows.c.lo == window.lo)
            .values(rows_read=written.rows_read, rows_written=written.rows_written, rejects=written.rejects)
        )
        if self.replay is not None:
            self._count_again(connection, window, written)
        faults.reach("window.before_commit", window.number)
        return written

    def _count_again(self, connection: sa.Connection, window: Window, written: Written) -> None:
        """What the window of the run itself comes to by that."""
        windows = ledger(self.place)[1]
        counted = connection.execute(
            windows.update()
            .where(windows.c.run == self.run, windows.c.lo == window.lo)
            .values(rows_written=windows.c.rows_written + written.rows_written, rejects=written.rejects)
        )
        if not counted.rowcount:
            raise not_settled(self.database, self.run, window)

    def _claim(self, connection: sa.Connection, window: Window) -> Written | None:
        """Put the ledger's key in; what is known when it was there already."""
        windows = ledger(self.place)[1]
        run = self.replay or self.run
        claim = {"run": run, "lo": window.lo, "hi": window.hi, "at": time()}
        try:
            with connection.begin_nested():
                connection.execute(windows.insert().values(**claim, rows_read=0, rows_written=0, rejects=0))
            return None
        except sa.exc.IntegrityError:
            asked = sa.select(windows.c.hi, windows.c.rows_read, windows.c.rows_written, windows.c.rejects)
            found = connection.execute(asked.where(windows.c.run == run, windows.c.lo == window.lo)).one()
        if found[0] != window.hi:
            text = f"window {window.number} was cut at {window.hi}, the target's ledger has {found[0]}"
            raise RuntimeError(text) from None
        return Written(*found[1:])


def check_epoch(connection: sa.Connection, place: str | None, run: str, epoch: int) -> None:
    """Refuse to write for an owner that is no longer the newest; a newer one waits until this is committed.

    Raises:
        StaleEpoch: another process has taken the run over.
    """
    runs = ledger(place)[0]
    asked = sa.select(runs.c.epoch).where(runs.c.run == run).with_for_update(read=True)
    if connection.execute(asked).scalar() != epoch:
        raise StaleEpoch(f"run {run} has been taken over by another process")


@contextmanager
def transaction(database: Database) -> Iterator[sa.Connection]:
    """A connection in a transaction that commits at the end of the block.

    Raises:
        SideLost: the target is gone or full.
        OSError: it may pass.
    """
    if database.path is not None and database.inode:
        refuse_another_file(database.path, database.inode)
    with database.losing(), engine_for(database.url, database.path).begin() as connection:
        yield connection


@lru_cache(maxsize=64)
def engine_for(url: str, path: Path | None) -> sa.Engine:
    """This process's engine for a target."""
    if path is None:
        return server_engine(url)
    timeout = {"timeout": BUSY_TIMEOUT_S, "check_same_thread": False}
    found = sa.create_engine(sa.URL.create("sqlite", database=str(path)), connect_args=timeout, poolclass=NullPool)

    @event.listens_for(found, "connect")
    def _by_hand(driver: Any, _: Any) -> None:
        # The driver's own way begins no transaction for DDL, and ends one for a savepoint.
        driver.isolation_level = None

    @event.listens_for(found, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return found
