"""SQLite as a target: one table, with the ledger of windows beside it.

A window is one transaction: check the epoch, claim the ledger key, write the rows, commit. So a
crash leaves a window either wholly there or not at all, and a window done twice is noticed by its
claim. The database runs in write-ahead mode while it is loaded and is put back afterwards.
"""

from __future__ import annotations

import asyncio
import marshal
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from time import time
from typing import Any, TypeVar

from streamconsole.engines import faults
from streamconsole.engines.errors import Refused, SideLost, StaleEpoch
from streamconsole.engines.migration.batch import Batch, NormalizerFactory, Reader, describe
from streamconsole.engines.migration.columns import ColumnType, Schema
from streamconsole.engines.migration.targets import sqlite_table as table
from streamconsole.engines.migration.targets.checkpoints import Checkpoints
from streamconsole.engines.migration.targets.table_rows import TableRows
from streamconsole.engines.migration.targets.target import KeepRejects, SchemaMoved, Settled, Written
from streamconsole.engines.units import Window

T = TypeVar("T")

CHECKPOINT_PAGES = 4_000
"""Pages the log may have before the writer itself brings into the file what is not there yet."""

BUSY_TIMEOUT_S = 10.0

UNUSABLE = frozenset(
    {
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOTADB,
    }
)
"""Codes by which SQLite says that the file is lost to us."""

LEDGER = """
CREATE TABLE IF NOT EXISTS _streamconsole_runs (
    run TEXT PRIMARY KEY, epoch INTEGER NOT NULL, table_name TEXT NOT NULL, schema TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS _streamconsole_windows (
    run TEXT NOT NULL, lo INTEGER NOT NULL, hi INTEGER NOT NULL, rows_read INTEGER NOT NULL,
    rows_written INTEGER NOT NULL, rejects INTEGER NOT NULL, at REAL NOT NULL, PRIMARY KEY (run, lo)) WITHOUT ROWID;
"""


class SqliteTarget:
    """One table of a SQLite file.

    Args:
        path: the file; made when it does not exist.
        name: the table.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        self._schema = Schema(())
        self._run = ""
        self._epoch = 0
        self._connection: sqlite3.Connection | None = None
        self._checkpoints: Checkpoints | None = None
        self._inode = 0
        self._journal_mode = "wal"
        # SQLite takes one writer: one thread that owns the connection keeps windows in line.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-target")

    def inspect(self, needs: Mapping[str, ColumnType], key: tuple[str, ...]) -> dict[str, Any]:
        """Check, without writing, that the table is new, or present and empty."""
        self._refuse_unwritable()
        if len(needs) > table.MOST_COLUMNS:
            # The table cannot have them all; the key must be among those it has.
            needs = {**{name: needs[name] for name in key}, **needs}
        self._schema = Schema((), key).widened(needs, table.MOST_COLUMNS)
        if self.path.exists():
            with _refusing(self.path), closing(self._connect()) as connection:
                # Proves that it can be written, and writes nothing.
                connection.execute("BEGIN IMMEDIATE")
                try:
                    self._inspect_table(connection, needs, key)
                finally:
                    connection.execute("ROLLBACK")
        if not self._schema.columns:
            raise Refused(f"target table {self.name}: no row looked at has a key, so there is no column to make")
        return {"schema": table.to_json(self._schema)}

    async def open(self, run: str, epoch: int) -> list[Settled]:
        """Take the run over under an epoch: later windows of older epochs are refused."""
        return await self._in_thread(self._open, run, epoch)

    @property
    def normalizer(self) -> NormalizerFactory:
        """How rows are fitted to the table as it is now."""
        return TableRows(self._schema, table.MOST_COLUMNS)

    async def widen(self, needs: Mapping[str, ColumnType]) -> None:
        """Widen types and add columns, in a transaction of its own."""
        await self._in_thread(self._widen, needs)

    async def write(
        self,
        window: Window,
        batch: Batch,
        fitted_by: NormalizerFactory,
        reader: Reader,
        keep_rejects: KeepRejects,
    ) -> Written:
        """Claim, write, commit."""
        return await self._in_thread(self._write, window, batch, fitted_by, reader, keep_rejects)

    async def finish(self) -> None:
        """Bring all of it from the log into the file, on disk."""
        await self._in_thread(self._finish)

    async def close(self) -> None:
        """Close the connection; SQLite removes the log with the last one."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    def use(self, schema: Mapping[str, Any]) -> None:
        """Take the schema that was planned, before `open`."""
        self._schema = table.from_json(schema)

    def forget_parts(self) -> None:
        """The ledger stays in the database: it costs a row a window and proves what was done."""

    # Before the run --------------------------------------------------------------------------

    def _refuse_unwritable(self) -> None:
        if self.path.is_dir():
            raise Refused(f"target {self.path} is a folder: name a file")
        if self.name.lower().startswith(("sqlite_", "_streamconsole")) or "\0" in self.name:
            raise Refused(f"target table {self.name!r}: SQLite and this program keep such names for themselves")
        place = self.path if self.path.exists() else self.path.parent
        if not place.exists():
            raise Refused(f"target {self.path}: the folder {self.path.parent} does not exist")
        # Root may write anywhere, but a mode without any write bit was set on purpose.
        if not os.access(place, os.W_OK) or not place.stat().st_mode & 0o222:
            raise Refused(f"target {self.path} cannot be written: {place} is read-only")

    def _inspect_table(
        self, connection: sqlite3.Connection, needs: Mapping[str, ColumnType], key: tuple[str, ...]
    ) -> None:
        found = table.reflect(connection, self.name)
        if found is None:
            return
        views = "SELECT 1 FROM sqlite_master WHERE type = 'view' AND name = ? COLLATE NOCASE"
        if connection.execute(views, (self.name,)).fetchone():
            raise Refused(f"target {self.name} in {self.path} is a view: name a table")
        if connection.execute(f"SELECT 1 FROM {table.quote(self.name)} LIMIT 1").fetchone():
            raise Refused(
                f"target table {self.name} in {self.path} holds rows already: empty it, name another one, "
                "or resume the run that filled it (`streamconsole runs list`)"
            )
        self._schema = Schema(found, key, fixed=True).widened(
            {name: kind for name, kind in needs.items() if name not in {column.key for column in found}},
            table.MOST_COLUMNS,
        )

    # In the thread ---------------------------------------------------------------------------

    def _open(self, run: str, epoch: int) -> list[Settled]:
        self._run, self._epoch = run, epoch
        existed = self.path.exists()
        with _refusing(self.path):
            connection = self._connection = self._connect()
            self._journal_mode = connection.execute("PRAGMA journal_mode").fetchone()[0] if existed else "delete"
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            self._inode = self.path.stat().st_ino
            with _transaction(connection):
                for statement in LEDGER.split(";\n"):
                    connection.execute(statement)
                self._take_over(connection)
                rows = connection.execute(
                    "SELECT lo, hi, rows_read, rows_written, rejects FROM _streamconsole_windows WHERE run = ?",
                    (run,),
                ).fetchall()
            self._checkpoints = Checkpoints(self._connect())
        return [Settled(lo, hi, Written(*counts)) for lo, hi, *counts in rows]

    def _take_over(self, connection: sqlite3.Connection) -> None:
        row = connection.execute("SELECT epoch, schema FROM _streamconsole_runs WHERE run = ?", (self._run,)).fetchone()
        if row is None:
            table.create(connection, self.name, self._schema)
            connection.execute(
                "INSERT INTO _streamconsole_runs VALUES (?, ?, ?, ?)",
                (self._run, self._epoch, self.name, table.dump(self._schema)),
            )
            return
        if row[0] > self._epoch:
            raise StaleEpoch(f"run {self._run} has been taken over by another process")
        self._schema = table.load(row[1])
        connection.execute("UPDATE _streamconsole_runs SET epoch = ? WHERE run = ?", (self._epoch, self._run))

    def _widen(self, needs: Mapping[str, ColumnType]) -> None:
        connection = self._ready()
        with _transaction(connection):
            self._check_epoch(connection)
            wider = self._schema.widened(needs, table.MOST_COLUMNS)
            wider = table.change(connection, self.name, self._schema, wider)
            connection.execute(
                "UPDATE _streamconsole_runs SET schema = ? WHERE run = ?", (table.dump(wider), self._run)
            )
        self._schema = wider

    def _write(
        self,
        window: Window,
        batch: Batch,
        fitted_by: NormalizerFactory,
        reader: Reader,
        keep_rejects: KeepRejects,
    ) -> Written:
        assert isinstance(fitted_by, TableRows)
        connection = self._ready()
        self._refuse_moved(fitted_by.schema)
        with _transaction(connection):
            self._check_epoch(connection)
            faults.reach("window.before_claim", window.number)
            done = self._claim(connection, window)
            if done is not None:
                return done
            faults.reach("window.after_claim", window.number)
            rows = marshal.loads(batch.payload)  # noqa: S302 - our own process made it
            refused = table.insert(connection, self.name, fitted_by.schema, rows)
            faults.reach("window.after_write", window.number)
            rejects = batch.rejects + describe(reader, window, {batch.indexes[n]: why for n, why in refused.items()})
            keep_rejects(rejects)
            written = Written(batch.rows_read, len(batch.indexes) - len(refused), len(rejects))
            connection.execute(
                "UPDATE _streamconsole_windows SET rows_read = ?, rows_written = ?, rejects = ? "
                "WHERE run = ? AND lo = ?",
                (written.rows_read, written.rows_written, written.rejects, self._run, window.lo),
            )
            faults.reach("window.before_commit", window.number)
        faults.reach("window.after_commit", window.number)
        if self._checkpoints is not None:
            self._checkpoints.wrote(len(batch.payload))
        return written

    def _claim(self, connection: sqlite3.Connection, window: Window) -> Written | None:
        """Put the ledger's key in; what is known when it was there already."""
        claimed = connection.execute(
            "INSERT INTO _streamconsole_windows VALUES (?, ?, ?, 0, 0, 0, ?) ON CONFLICT DO NOTHING",
            (self._run, window.lo, window.hi, time()),
        )
        if claimed.rowcount:
            return None
        hi, *counts = connection.execute(
            "SELECT hi, rows_read, rows_written, rejects FROM _streamconsole_windows WHERE run = ? AND lo = ?",
            (self._run, window.lo),
        ).fetchone()
        if hi != window.hi:
            raise RuntimeError(f"window {window.number} was cut at {window.hi}, the target's ledger has {hi}")
        return Written(*counts)

    def _refuse_moved(self, fitted: Schema) -> None:
        """Columns added since do no harm; a type changed since does."""
        now = self._schema.by_key()
        if any(now[column.key] != column for column in fitted.columns):
            raise SchemaMoved

    def _check_epoch(self, connection: sqlite3.Connection) -> None:
        row = connection.execute("SELECT epoch FROM _streamconsole_runs WHERE run = ?", (self._run,)).fetchone()
        if row is None or row[0] != self._epoch:
            raise StaleEpoch(f"run {self._run} has been taken over by another process")

    def _ready(self) -> sqlite3.Connection:
        assert self._connection is not None
        try:
            present = self.path.stat().st_ino == self._inode
        except OSError:
            present = False
        if not present:
            # SQLite would go on writing to a file without a name, and say nothing.
            raise SideLost("target", f"{self.path} was removed or replaced while it was written")
        return self._connection

    def _finish(self) -> None:
        connection = self._ready()
        self._end_checkpoints()
        # Another program may be reading, and the log cannot be emptied then: one more commit, fully
        # durable, brings all that is in it to disk before anybody is told that the run is completed.
        connection.execute("PRAGMA synchronous = FULL")
        with _transaction(connection):
            connection.execute("UPDATE _streamconsole_runs SET epoch = epoch WHERE run = ?", (self._run,))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with suppress(sqlite3.OperationalError):
            connection.execute(f"PRAGMA journal_mode = {self._journal_mode}")

    def _close(self) -> None:
        self._end_checkpoints()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _end_checkpoints(self) -> None:
        if self._checkpoints is not None:
            self._checkpoints.close()
            self._checkpoints = None

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)

    async def _in_thread(self, function: Callable[..., T], *args: Any) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)
        except sqlite3.DatabaseError as error:
            lost = _side_lost(self.path, error)
            if lost is not None:
                raise lost from error
            raise


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Turns what SQLite says before the first write into a refusal."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        hint = "another program holds it" if "locked" in str(error) else "is it a SQLite file, and writable?"
        raise Refused(f"target {path} cannot be opened ({error}): {hint}") from error


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """`BEGIN IMMEDIATE`, then `COMMIT` or `ROLLBACK`."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A full disk may have ended the transaction by itself.
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _side_lost(path: Path, error: sqlite3.DatabaseError) -> SideLost | None:
    # By code: the text may hold the names of somebody's columns.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return SideLost("target", f"the disk that holds {path} is full: free some space, then resume")
    if code in UNUSABLE:
        return SideLost("target", f"{path} cannot be written any more ({error})")
    return None
