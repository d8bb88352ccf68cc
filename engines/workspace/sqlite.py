"""SQLite connections as the workspace wants them: WAL, full durability, explicit transactions."""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from streamconsole.engines.errors import Refused, StreamConsoleError
from streamconsole.engines.workspace import schema

BUSY_TIMEOUT_MS = 5_000

WRITER_TIMEOUT_MS = 5
"""Milliseconds after which the writer, which waits in its own way, is told that the file is held."""

OURS = frozenset({"alembic_version", "nodes", "runs"})
"""Tables by which a workspace is known: other programs have an alembic_version, too."""

OCTAL = re.compile(r"\\([0-7]{3})")
"""How blanks and backslashes are written in the list of mounts."""

NETWORK_FILESYSTEMS = (
    "nfs",
    "cifs",
    "smb",
    "9p",
    "fuse.sshfs",
    "afs",
    "ceph",
    "glusterfs",
    "lustre",
    "fuse.s3fs",
)


UNUSABLE = frozenset(
    {
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOTADB,
    }
)
"""Codes by which SQLite says that a file is lost to us, whatever its text says."""


class SqliteStore:
    """A workspace in one file.

    Args:
        path: the file; made when it is not there.

    Raises:
        Refused: it cannot hold a workspace, or is newer than this program.
    """

    def __init__(self, path: Path) -> None:
        prepare_file(path)
        set_wal(path)
        self.place = path
        self.readers = connect(path, begin="BEGIN")
        self.writers = connect(path, begin="BEGIN IMMEDIATE")
        self._seen_version = -1
        try:
            schema.bring_up_to_date(self.readers, self.writers, str(path))
        except StreamConsoleError:
            self.close()
            raise
        except DBAPIError as error:
            self.close()
            hint = ": another program holds it, try again when it has let go" if "locked" in str(error.orig) else ""
            raise Refused(f"workspace {path} cannot be opened ({error.orig}){hint}") from error

    def __str__(self) -> str:
        return str(self.place)

    def found_on(self, connection: Connection) -> AbstractContextManager[None]:
        """They are where anybody finds them."""
        return nullcontext()

    def prepare(self, connection: Connection) -> None:
        """SQLite itself would look at the file every tenth of a second only, after a while."""
        # By the driver: SQLAlchemy would begin a transaction first.
        _raw(connection).execute(f"PRAGMA busy_timeout = {WRITER_TIMEOUT_MS}")

    def wrote(self) -> None:
        """SQLite tells others by itself."""

    def changed_elsewhere(self, connection: Connection) -> bool:
        """By a number that moves, on the writer's own connection, only by what others committed."""
        try:
            version = _raw(connection).execute("PRAGMA data_version").fetchone()[0]
        except sqlite3.Error:
            # Whoever writes next is told what is the matter with the file.
            return False
        changed = self._seen_version not in (-1, version)
        self._seen_version = version
        return changed

    def after_failed_commit(self, connection: Connection) -> None:
        """SQLAlchemy takes a commit that failed for the end; SQLite may keep the transaction open."""
        _raw(connection).rollback()

    def is_busy(self, error: DBAPIError) -> bool:
        """Whether another connection holds the file."""
        return _primary_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

    def loss(self, error: DBAPIError) -> str | None:
        """Full disks and files that cannot be written any more."""
        code = _primary_code(error)
        if code == sqlite3.SQLITE_FULL:
            return f"the disk that holds workspace {self} is full: free some space, then resume"
        return f"workspace {self} cannot be written ({error.orig})" if code in UNUSABLE else None

    def close(self) -> None:
        """Close all connections."""
        self.readers.dispose()
        self.writers.dispose()


def _primary_code(error: DBAPIError) -> int:
    # A driver's own errors carry no code.
    return int(getattr(error.orig, "sqlite_errorcode", 0)) & 0xFF


def _raw(connection: Connection) -> sqlite3.Connection:
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    return raw


def connect(path: Path, *, begin: str) -> Engine:
    """An engine over one file whose transactions start with `begin` (`BEGIN` or `BEGIN IMMEDIATE`)."""
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=QueuePool,
        pool_size=4,
        max_overflow=16,
        connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT_MS / 1000},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _: Any) -> None:
        # The driver's own implicit BEGIN would come too late and in the wrong kind.
        connection.isolation_level = None
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def prepare_file(path: Path) -> None:
    """Make the folder and the file, private to the user; refuse what cannot hold a workspace.

    Raises:
        Refused: a folder, a network mount, no permission, or not a SQLite file.
    """
    if path.is_dir():
        raise Refused(f"workspace {path} is a folder: name a file, for example {path / 'workspace.db'}")
    _refuse_network_mount(path)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise Refused(f"workspace {path} cannot be opened: {error.strerror}") from error
    if head and head != b"SQLite format 3\x00":
        raise Refused(f"workspace {path} is not a SQLite file: name another one with --workspace")


def set_wal(path: Path) -> None:
    """Switch the file to write-ahead logging, unless it is somebody else's.

    Raises:
        Refused: it holds other tables, another program keeps it locked, or it is damaged.
    """
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_MS / 1000)
    try:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if tables and not tables >= OURS:
            raise Refused(f"workspace {path} holds other tables already: name an empty file with --workspace")
        connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        raise Refused(f"workspace {path} cannot be used now ({error}): another program holds it") from error
    except sqlite3.DatabaseError as error:
        raise Refused(f"workspace {path} is damaged ({error}): restore a backup of it") from error
    finally:
        connection.close()


def _refuse_network_mount(path: Path) -> None:
    kind = filesystem_of(path)
    if kind.startswith(NETWORK_FILESYSTEMS):
        raise Refused(
            f"workspace {path} is on a network mount ({kind}), where file locks cannot be trusted: "
            "name a file on a local disk with --workspace"
        )


def filesystem_of(path: Path, mounts: str = "/proc/self/mounts") -> str:
    """Kind of the file system a path is on (`ext4`), or an empty string where it is not known."""
    resolved = str(path.absolute().resolve())
    best, kind = "", ""
    try:
        lines = Path(mounts).read_text(errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        _, point, found, *_ = [*line.split(" "), "", ""]
        point = OCTAL.sub(lambda escape: chr(int(escape[1], 8)), point)
        inside = resolved == point or resolved.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, found
    return kind
