"""Writing one window into a SQLite table: ledger, rows, commit. Runs in a child process or in a thread."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import time
from typing import Final
from urllib.parse import quote

from streamconsole.engines import faults
from streamconsole.engines.errors import SideLost, StaleEpoch
from streamconsole.engines.migration.batch import Batch, NormalizerFactory, Reader, describe
from streamconsole.engines.migration.columns import Schema
from streamconsole.engines.migration.targets import sqlite_copy
from streamconsole.engines.migration.targets import sqlite_table as table
from streamconsole.engines.migration.targets.table_rows import TableRows
from streamconsole.engines.migration.targets.target import KeepRejects, Turn, Written
from streamconsole.engines.units import Window

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

MOST_UNSUITED = 3
"""Windows of a run that SQLite could not copy, before no more are tried: each try costs a look at its rows."""

_unsuited: Final[Counter[str]] = Counter()
"""Such windows of each run, in this process."""

_kept: dict[tuple[Path, int, str], sqlite3.Connection] = {}
"""This process's connections to the files it writes windows into, by path, inode and run."""


@dataclass(frozen=True, slots=True)
class SqliteWindows:
    """Writes windows into one table, under one owner's epoch.

    Args:
        path: the file.
        inode: tells the file from another one put in its place.
        run: id of the run.
        epoch: of its owner.
        table: where rows go.
        schema: its columns.
        replacing: rows whose key is there already take the place of those.
        replay: id of the run whose windows hold refused rows of settled windows of `run`; None when they are its own.
    """

    path: Path
    inode: int
    run: str
    epoch: int
    table: str
    schema: Schema
    replacing: bool = False
    replay: str | None = None

    @property
    def normalizer(self) -> NormalizerFactory:
        """Rows as tuples of the table."""
        return TableRows(self.schema, table.MOST_COLUMNS)

    def write(self, window: Window, batch: Batch, reader: Reader, keep_rejects: KeepRejects) -> Written:
        """Claim, write, commit."""

        def fill(connection: sqlite3.Connection) -> Written:
            refused = table.insert(connection, self.table, self.schema, batch.payload, replacing=self.replacing)
            rejects = batch.rejects + describe(
                reader, window, [(batch.indexes[n], column, why) for n, (column, why) in refused.items()]
            )
            keep_rejects(rejects)
            return Written(batch.rows_read, len(batch.indexes) - len(refused), len(rejects))

        return self._commit(window, self._connection(), fill)

    def copies(self, reader: Reader) -> bool:
        """Whether SQLite may copy the rows of this reader."""
        suits = sqlite_copy.fetch_of(reader, self.path, self.schema) is not None
        return suits and _unsuited[self.run] < MOST_UNSUITED

    def copy(self, window: Window, reader: Reader, turn: Turn, keep_rejects: KeepRejects) -> Written | None:
        """Have the rows copied; None, and nothing done, when one of them must be looked at."""
        fetch = sqlite_copy.fetch_of(reader, self.path, self.schema)
        assert fetch is not None
        try:
            with sqlite_copy.suited(fetch, window, self.schema) as suited, turn():

                def fill(connection: sqlite3.Connection) -> Written:
                    keep_rejects([])
                    suited.copy(connection, self.table, replacing=self.replacing)
                    return Written(suited.rows, suited.rows, 0)

                connection = self._connection()
                sqlite_copy.attach(connection, fetch.path)
                return self._commit(window, connection, fill)
        except sqlite_copy.Unsuited:
            _unsuited[self.run] += 1
            return None

    def let_go(self) -> None:
        """Close this process's connection, if there is one."""
        connection = _kept.pop((self.path, self.inode, self.run), None)
        if connection is not None:
            connection.close()

    def _connection(self) -> sqlite3.Connection:
        # Used in one turn at a time, whatever thread has it.
        place = (self.path, self.inode, self.run)
        if place not in _kept:
            _kept[place] = connect_for_windows(self.path)
        return _kept[place]

    def _commit(
        self, window: Window, connection: sqlite3.Connection, fill: Callable[[sqlite3.Connection], Written]
    ) -> Written:
        with losing(self.path):
            refuse_another_file(self.path, self.inode)
            with transaction(connection):
                written = self._write(connection, window, fill)
        faults.reach("window.after_commit", window.number)
        return written

    def _write(
        self, connection: sqlite3.Connection, window: Window, fill: Callable[[sqlite3.Connection], Written]
    ) -> Written:
        check_epoch(connection, self.run, self.epoch)
        faults.reach("window.before_claim", window.number)
        done = self._claim(connection, window)
        if done is not None:
            return done
        faults.reach("window.after_claim", window.number)
        written = fill(connection)
        faults.reach("window.after_write", window.number)
        connection.execute(
            "UPDATE _streamconsole_windows SET rows_read = ?, rows_written = ?, rejects = ? WHERE run = ? AND lo = ?",
            (written.rows_read, written.rows_written, written.rejects, self.replay or self.run, window.lo),
        )
        if self.replay is not None:
            self._count_again(connection, window, written)
        faults.reach("window.before_commit", window.number)
        return written

    def _count_again(self, connection: sqlite3.Connection, window: Window, written: Written) -> None:
        """What the window of the run itself comes to by that."""
        counted = connection.execute(
            "UPDATE _streamconsole_windows SET rows_written = rows_written + ?, rejects = ? WHERE run = ? AND lo = ?",
            (written.rows_written, written.rejects, self.run, window.lo),
        )
        if not counted.rowcount:
            raise not_settled(self.path, self.run, window)

    def _claim(self, connection: sqlite3.Connection, window: Window) -> Written | None:
        """Put the ledger's key in; what is known when it was there already."""
        claimed = connection.execute(
            "INSERT INTO _streamconsole_windows VALUES (?, ?, ?, 0, 0, 0, ?) ON CONFLICT DO NOTHING",
            (self.replay or self.run, window.lo, window.hi, time()),
        )
        if claimed.rowcount:
            return None
        hi, *counts = connection.execute(
            "SELECT hi, rows_read, rows_written, rejects FROM _streamconsole_windows WHERE run = ? AND lo = ?",
            (self.replay or self.run, window.lo),
        ).fetchone()
        if hi != window.hi:
            raise RuntimeError(f"window {window.number} was cut at {window.hi}, the target's ledger has {hi}")
        return Written(*counts)


def connect(path: Path) -> sqlite3.Connection:
    """A connection whose transactions are begun and ended by hand."""
    # By its URI, so that another file can be attached for reading alone.
    uri = f"file:{quote(str(path))}"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)


def connect_for_windows(path: Path) -> sqlite3.Connection:
    """A connection that commits windows: the ledger makes up for a commit that a power cut takes back."""
    connection = connect(path)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    return connection


def check_epoch(connection: sqlite3.Connection, run: str, epoch: int) -> None:
    """Refuse to write for an owner that is no longer the newest.

    Raises:
        StaleEpoch: another process has taken the run over.
    """
    row = connection.execute("SELECT epoch FROM _streamconsole_runs WHERE run = ?", (run,)).fetchone()
    if row is None or row[0] != epoch:
        raise StaleEpoch(f"run {run} has been taken over by another process")


def not_settled(target: object, run: str, window: Window) -> SideLost:
    """The error that a target has lost a window whose refused rows were to be added to it."""
    return SideLost(
        "target", f"{target}: its ledger has no window {window.number} of run {run} any more: move the rows anew"
    )


def refuse_another_file(path: Path, inode: int) -> None:
    """SQLite would go on writing to a file without a name, and say nothing.

    Raises:
        SideLost: the file is gone, or is another one now.
    """
    try:
        present = path.stat().st_ino == inode
    except OSError:
        present = False
    if not present:
        raise SideLost("target", f"{path} was removed or replaced while it was written")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
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


@contextmanager
def losing(path: Path) -> Iterator[None]:
    """Turns the errors by which SQLite says that a file is lost into the loss of a side."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        lost = _side_lost(path, error)
        if lost is not None:
            raise lost from error
        raise


def _side_lost(path: Path, error: sqlite3.DatabaseError) -> SideLost | None:
    # By code: the text may hold the names of somebody's columns.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return SideLost("target", f"the disk that holds {path} is full: free some space, then resume")
    if code in UNUSABLE:
        return SideLost("target", f"{path} cannot be written any more ({error})")
    return None
