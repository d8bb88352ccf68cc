"""SQLite as a target: one table, with the ledger of windows beside it.

A window is one transaction (see `sqlite_window`): check the epoch, claim the ledger key, write the
rows, commit. So a crash leaves a window either wholly there or not at all, and a window done twice is
noticed by its claim. The database runs in write-ahead mode while it is loaded and is put back afterwards.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

from streamconsole.engines.errors import Refused, StaleEpoch
from streamconsole.engines.migration.columns import Column, ColumnType, Schema
from streamconsole.engines.migration.extras import Extras
from streamconsole.engines.migration.settings import Mode
from streamconsole.engines.migration.targets import sqlite_replacing as replacing
from streamconsole.engines.migration.targets import sqlite_table as table
from streamconsole.engines.migration.targets.checkpoints import Checkpoints
from streamconsole.engines.migration.targets.sqlite_window import (
    BUSY_TIMEOUT_S,
    SqliteWindows,
    check_epoch,
    connect,
    connect_for_windows,
    losing,
    refuse_another_file,
    transaction,
)
from streamconsole.engines.migration.targets.target import Owned, SchemaMoved, Settled, WindowWriter, Written

T = TypeVar("T")

LEDGER = """
CREATE TABLE IF NOT EXISTS _streamconsole_runs (
    run TEXT PRIMARY KEY, epoch INTEGER NOT NULL, table_name TEXT NOT NULL, schema TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS _streamconsole_windows (
    run TEXT NOT NULL, lo INTEGER NOT NULL, hi INTEGER NOT NULL, rows_read INTEGER NOT NULL,
    rows_written INTEGER NOT NULL, rejects INTEGER NOT NULL, at REAL NOT NULL, PRIMARY KEY (run, lo)) WITHOUT ROWID;
"""

# SQLite takes one writer: all runs of this process that write to one file take turns.
_turns: Final[defaultdict[Path, threading.Lock]] = defaultdict(threading.Lock)


class SqliteTarget:
    """One table of a SQLite file.

    Args:
        path: the file; made when it does not exist.
        name: the table.
        mode: what is done about rows that are there already.
        create: make the table, or columns it lacks; else it must be there with all of them.
    """

    def __init__(self, path: Path, name: str, mode: Mode = Mode.INSERT, *, create: bool = True) -> None:
        self.path = path
        self.name = name
        self._mode = mode
        self._create = create
        self._schema = Schema(())
        self._extras = Extras()
        self._filling = replacing.aside(name) if mode is Mode.REPLACE else name
        self._run = ""
        self._epoch = 0
        self._replay: str | None = None
        self._connection: sqlite3.Connection | None = None
        self._checkpoints: Checkpoints | None = None
        self._inode = 0
        self._journal_mode = "wal"
        self._turn = _turns[path]

    def carry(self, extras: Extras) -> None:
        """Make these with the table, and the indexes when it is filled."""
        self._extras = extras

    def inspect(self, needs: Mapping[str, ColumnType], key: tuple[str, ...]) -> dict[str, Any]:
        """Check, without writing, that the table suits the mode."""
        self._refuse_unwritable()
        if self._mode is Mode.UPSERT and not key:
            raise Refused("--mode upsert needs a key: name the keys that tell rows apart with --key")
        if len(needs) > table.MOST_COLUMNS:
            # The table cannot have them all; the key must be among those it has.
            needs = {**{name: needs[name] for name in key}, **needs}
        self._schema = Schema((), key, extras=self._extras).widened(needs, table.MOST_COLUMNS)
        if self.path.exists():
            with _refusing(self.path), closing(connect(self.path)) as connection:
                # Proves that it can be written, and writes nothing.
                connection.execute("BEGIN IMMEDIATE")
                try:
                    self._inspect_table(connection, needs, key)
                finally:
                    connection.execute("ROLLBACK")
        elif not self._create:
            raise Refused(f"target {self.path} does not exist, and --no-create says that it must")
        if not self._schema.columns:
            raise Refused(f"target table {self.name}: no row looked at has a key, so there is no column to make")
        return {"schema": table.to_json(self._schema)}

    def use(self, schema: Mapping[str, Any]) -> None:
        """Take the schema that was planned, before `open`."""
        self._schema = table.from_json(schema)

    async def open(self, run: str, epoch: int) -> list[Settled]:
        """Take the run over under an epoch: later windows of older epochs are refused."""
        return await asyncio.to_thread(self._open, run, epoch)

    def look_up(self, run: str) -> None:
        """Whether the ledger still knows a run, and its table is there."""
        gone = Refused(f"target {self.path} has no ledger of run {run}, or not its table, any more: move the rows anew")
        if not self.path.exists():
            raise Refused(f"target {self.path} does not exist any more: move the rows anew")
        url = f"file:{quote(str(self.path))}?mode=ro"
        with _refusing(self.path), closing(sqlite3.connect(url, uri=True, timeout=BUSY_TIMEOUT_S)) as connection:
            if table.reflect(connection, "_streamconsole_runs") is None:
                raise gone
            asked = "SELECT table_name FROM _streamconsole_runs WHERE run = ?"
            found = connection.execute(asked, (run,)).fetchone()
            if found is None or table.reflect(connection, found[0]) is None:
                raise gone

    async def reopen(self, of: Owned, replay: Owned) -> list[Settled]:
        """Take a run over, to write refused rows of it; its own schema goes on."""
        await asyncio.to_thread(self.look_up, of.run)
        self._replay = replay.run
        return await asyncio.to_thread(self._open, of.run, of.epoch)

    def writer(self) -> WindowWriter:
        """Writes windows into the table as it is now."""
        return self._windows()

    @contextmanager
    def turn(self, writer: WindowWriter) -> Iterator[None]:
        """The file for one window."""
        assert isinstance(writer, SqliteWindows)
        with self._turn:
            self._refuse_moved(writer)
            yield
        if self._checkpoints is not None:
            self._checkpoints.wrote()

    async def widen(self, needs: Mapping[str, ColumnType]) -> None:
        """Widen types and add columns, in a transaction of its own."""
        await asyncio.to_thread(self._alone, self._widen, needs)

    async def finish(self, *, whole: bool) -> None:
        """Bring all of it from the log into the file, on disk."""
        await asyncio.to_thread(self._alone, self._finish, whole)

    def forget_parts(self) -> None:
        """The ledger stays in the database: it costs a row a window and proves what was done."""

    async def close(self) -> None:
        """Close the connections; SQLite removes the log with the last one."""
        await asyncio.to_thread(self._close)

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
            if not self._create:
                raise Refused(f"target {self.path} has no table {self.name}, and --no-create says that it must")
            return
        if table.is_view(connection, self.name):
            raise Refused(f"target {self.name} in {self.path} is a view: name a table")
        if self._mode is Mode.REPLACE:
            return
        if self._mode is Mode.INSERT and table.has_rows(connection, self.name):
            raise Refused(
                f"target table {self.name} in {self.path} holds rows already: empty it, name another one, choose "
                "--mode append, upsert or replace, or resume the run that filled it (`streamconsole runs list`)"
            )
        if self._mode is Mode.UPSERT and not table.is_unique(connection, self.name, key):
            raise Refused(
                f"target table {self.name} in {self.path}: --mode upsert needs a primary key or a unique index "
                f"over just {', '.join(key)}"
            )
        self._schema = self._schema_for(found, needs, key)

    def _schema_for(self, found: tuple[Column, ...], needs: Mapping[str, ColumnType], key: tuple[str, ...]) -> Schema:
        """Columns of a present table that rows fill; the others keep their defaults until a row names them."""
        present = Schema((), key, fixed=True, closed=not self._create, spare=found)
        lacking = [name for name in needs if name not in {column.key for column in found}]
        if lacking and not self._create:
            raise Refused(
                f"target table {self.name} in {self.path} has no column {', '.join(lacking[:5])}, and --no-create "
                "says that none is made: add it, or drop the key on the way"
            )
        return present.widened(needs, table.MOST_COLUMNS)

    # In a thread -----------------------------------------------------------------------------

    def _open(self, run: str, epoch: int) -> list[Settled]:
        self._run, self._epoch = run, epoch
        existed = self.path.exists()
        with self._turn, _refusing(self.path):
            connection = self._connection = connect_for_windows(self.path)
            self._journal_mode = connection.execute("PRAGMA journal_mode").fetchone()[0] if existed else "delete"
            connection.execute("PRAGMA journal_mode = WAL")
            self._inode = self.path.stat().st_ino
            with transaction(connection):
                for statement in LEDGER.split(";\n"):
                    connection.execute(statement)
                self._take_over(connection)
                rows = connection.execute(
                    "SELECT lo, hi, rows_read, rows_written, rejects FROM _streamconsole_windows WHERE run = ?",
                    (self._replay or run,),
                ).fetchall()
            self._checkpoints = Checkpoints(connect(self.path))
        return [Settled(lo, hi, Written(*counts)) for lo, hi, *counts in rows]

    def _take_over(self, connection: sqlite3.Connection) -> None:
        row = connection.execute(
            "SELECT epoch, table_name, schema FROM _streamconsole_runs WHERE run = ?", (self._run,)
        ).fetchone()
        if row is None:
            if self._mode is Mode.REPLACE:
                connection.execute(f"DROP TABLE IF EXISTS {table.quote(self._filling)}")
            table.create(connection, self._filling, self._schema)
            connection.execute(
                "INSERT INTO _streamconsole_runs VALUES (?, ?, ?, ?)",
                (self._run, self._epoch, self._filling, table.dump(self._schema)),
            )
            return
        if row[0] > self._epoch:
            raise StaleEpoch(f"run {self._run} has been taken over by another process")
        self._filling, self._schema = row[1], table.load(row[2])
        connection.execute("UPDATE _streamconsole_runs SET epoch = ? WHERE run = ?", (self._epoch, self._run))

    def _windows(self) -> SqliteWindows:
        return SqliteWindows(
            self.path,
            self._inode,
            self._run,
            self._epoch,
            self._filling,
            self._schema,
            self._mode is Mode.UPSERT,
            self._replay,
        )

    def _widen(self, connection: sqlite3.Connection, needs: Mapping[str, ColumnType]) -> None:
        with transaction(connection):
            check_epoch(connection, self._run, self._epoch)
            wider = self._schema.widened(needs, table.MOST_COLUMNS)
            wider = table.change(connection, self._filling, self._schema, wider)
            connection.execute(
                "UPDATE _streamconsole_runs SET schema = ? WHERE run = ?", (table.dump(wider), self._run)
            )
        self._schema = wider

    def _refuse_moved(self, fitted: SqliteWindows) -> None:
        """Columns added since do no harm; a type changed since does, and so does another table."""
        if fitted.schema is self._schema:
            return
        now = self._schema.by_key()
        if fitted.table != self._filling or any(now[column.key] != column for column in fitted.schema.columns):
            raise SchemaMoved

    def _finish(self, connection: sqlite3.Connection, whole: bool) -> None:
        self._end_checkpoints()
        self._windows().let_go()
        # Another program may be reading, and the log cannot be emptied then: one more commit, fully
        # durable, brings all that is in it to disk before anybody is told that the run is completed.
        connection.execute("PRAGMA synchronous = FULL")
        with replacing.renaming(connection), transaction(connection):
            check_epoch(connection, self._run, self._epoch)
            if whole and self._filling != self.name:
                replacing.swap(connection, self._filling, self.name)
                self._filling = self.name
            if whole:
                table.add_indexes(connection, self.name, self._schema)
            connection.execute(
                "UPDATE _streamconsole_runs SET table_name = ? WHERE run = ?", (self._filling, self._run)
            )
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with suppress(sqlite3.OperationalError):
            connection.execute(f"PRAGMA journal_mode = {self._journal_mode}")

    def _alone(self, function: Callable[..., T], *args: Any) -> T:
        """Work on the file while no window is written."""
        assert self._connection is not None
        with self._turn, losing(self.path):
            refuse_another_file(self.path, self._inode)
            return function(self._connection, *args)

    def _close(self) -> None:
        self._end_checkpoints()
        with self._turn:
            self._windows().let_go()
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _end_checkpoints(self) -> None:
        if self._checkpoints is not None:
            self._checkpoints.close()
            self._checkpoints = None


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Turns what SQLite says before the first write into a refusal."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        hint = "another program holds it" if "locked" in str(error) else "is it a SQLite file, and writable?"
        raise Refused(f"target {path} cannot be opened ({error}): {hint}") from error
