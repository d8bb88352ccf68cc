"""Opening a workspace: what is made, upgraded, shared and refused."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine

from streamconsole.engines.errors import Refused
from streamconsole.engines.units import Window
from streamconsole.engines.workspace import Workspace, schema, sqlite, windows
from streamconsole.engines.workspace.sqlite import filesystem_of
from streamconsole.engines.workspace.tables import HEAD, metadata
from streamconsole.engines.workspace.workspace import path_of


def pragma(connection: Connection, name: str) -> object:
    return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


def test_the_program_writes_the_newest_revision() -> None:
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def by_revisions(path: Path) -> None:
    """A workspace as the revisions make it, one after the other."""
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    config.set_main_option("path_separator", "os")
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    engine.dispose()


def test_the_revisions_make_the_tables_that_the_program_uses(tmp_path: Path) -> None:
    by_revisions(tmp_path / "w.db")
    engine = create_engine(f"sqlite:///{tmp_path / 'w.db'}")
    with engine.connect() as connection:
        assert schema.revision(connection) == HEAD
        assert list(compare_metadata(MigrationContext.configure(connection), metadata)) == []
    engine.dispose()


def shape_of(path: Path) -> dict[str, object]:
    """Everything SQLite knows of the tables and indexes of a file, but the spelling."""
    with closing(sqlite3.connect(path)) as connection:
        shape: dict[str, object] = {}
        for kind, name, text in connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall():
            about = "table_xinfo" if kind == "table" else "index_xinfo"
            columns = connection.execute(f"SELECT * FROM pragma_{about}(?)", (name,)).fetchall()
            # Columns that were added later stand at the end.
            named = sorted(columns, key=lambda row: str(row[1])) if kind == "table" else columns
            rest = [row[1:] if kind == "table" else (row[0], row[2:]) for row in named]
            condition = " ".join(str(text).partition(" WHERE ")[2].split()) if kind == "index" else ""
            shape[name] = (kind, rest, "AUTOINCREMENT" in str(text).upper(), condition)
        return shape


async def test_a_new_file_is_made_as_the_revisions_would_leave_it(workspace: Workspace, tmp_path: Path) -> None:
    by_revisions(tmp_path / "other.db")
    assert shape_of(workspace.path) == shape_of(tmp_path / "other.db")
    assert await workspace.read(schema.revision) == HEAD


async def test_a_workspace_of_the_first_revision_keeps_its_windows(tmp_path: Path) -> None:
    path = tmp_path / "workspace.db"
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    config.set_main_option("path_separator", "os")
    with create_engine(f"sqlite:///{path}").begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        names = "run, number, lo, hi, first_row, rows, state, attempt, rows_read, rows_written, rejects"
        connection.exec_driver_sql(
            f"INSERT INTO windows ({names}) VALUES ('old', 1, 0, 9, 0, 3, 'completed', 1, 3, 3, 0)"
        )
        connection.engine.dispose()
    opened = await Workspace.open(str(path))
    found = await opened.read(windows.listing, "old")
    await opened.close()
    assert [record.window for record in found] == [Window(1, 0, 9, 0, 3)]


async def test_a_workspace_is_durable_and_private(workspace: Workspace) -> None:
    assert await workspace.read(pragma, "journal_mode") == "wal"
    assert await workspace.write(pragma, "synchronous") == 2
    assert stat.S_IMODE(workspace.path.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["a?mode=ro", "50%41", "hash#tag", "with space", "ünï"])
async def test_any_name_of_a_folder_will_do(tmp_path: Path, name: str) -> None:
    path = tmp_path / name / "workspace.db"
    workspace = await Workspace.open(str(path))
    await workspace.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (HEAD,)


async def test_many_open_a_new_workspace_at_once(tmp_path: Path) -> None:
    program = "import asyncio, sys; from streamconsole.engines.workspace import Workspace\n"
    program += "async def main(): await (await Workspace.open(sys.argv[1])).close()\nasyncio.run(main())"
    started = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, str(tmp_path / "new" / "w.db"), stderr=asyncio.subprocess.PIPE
        )
        for _ in range(4)
    ]
    ends = await asyncio.gather(*(process.communicate() for process in started))
    assert [(process.returncode, error) for process, (_, error) in zip(started, ends, strict=True)] == [(0, b"")] * 4


async def test_a_workspace_that_another_writes_to_can_be_opened(workspace: Workspace) -> None:
    with closing(sqlite3.connect(workspace.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        second = await Workspace.open(workspace.url)
        other.execute("ROLLBACK")
    await second.close()


async def refusal(path: Path | str) -> str:
    with pytest.raises(Refused) as caught:
        await Workspace.open(str(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def test_a_newer_workspace_is_refused(workspace: Workspace) -> None:
    def make_newer(connection: Connection) -> None:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")

    await workspace.write(make_newer)
    text = await refusal(workspace.path)
    assert "newer" in text
    assert "9999" in text


@pytest.mark.parametrize("revision", ["0000", "ae1027a6acf", "00zz"])
async def test_a_workspace_of_another_program_with_revisions_is_refused(tmp_path: Path, revision: str) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("CREATE TABLE alembic_version (version_num TEXT)")
        other.execute("CREATE TABLE theirs (a TEXT)")
        other.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
    assert "other tables" in await refusal(path)


async def test_a_foreign_sqlite_file_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("CREATE TABLE theirs (a TEXT)")
    before = path.read_bytes()
    assert "other tables" in await refusal(path)
    assert path.read_bytes() == before


async def test_what_is_no_sqlite_file_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but longer than a header")
    assert "not a SQLite file" in await refusal(text)
    assert text.read_text().startswith("not a database")


async def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    damaged = tmp_path / "w.db"
    damaged.write_bytes(b"SQLite format 3\x00" + b"\xff" * 5000)
    assert "damaged" in await refusal(damaged)


async def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert "is a folder" in await refusal(tmp_path)


async def test_a_file_where_the_folder_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be opened" in await refusal(tmp_path / "file" / "w.db")


async def test_a_network_mount_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "filesystem_of", lambda path: "nfs4")
    text = await refusal(tmp_path / "w.db")
    assert "network mount (nfs4)" in text
    assert not (tmp_path / "w.db").exists()


@pytest.mark.parametrize(
    "url", ["postgresql://u:hunter2@h/db", "sqlite://", "sqlite:///:memory:", "nonsense://", "://"]
)
async def test_a_url_that_names_no_file_is_refused_without_its_password(url: str) -> None:
    assert "hunter2" not in await refusal(url)


def test_a_url_or_a_path_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert path_of("w.db") == path_of("sqlite:///w.db") == tmp_path / "w.db"
    assert path_of("sqlite:////abs/w.db") == Path("/abs/w.db")


MOUNTS = r"""
/dev/sda1 / ext4 rw 0 0
server:/export /mnt/nfs nfs4 rw 0 0
/dev/sdb1 /mnt/nfs/local xfs rw 0 0
server:/two /mnt/with\040space cifs rw 0 0
server:/three /mnt/données fuse.sshfs rw 0 0
tmpfs /mnt/nfs-not tmpfs rw 0 0
overlay /later ext4 rw 0 0
server:/late /later nfs rw 0 0
odd
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/w.db", "ext4"),
        ("/mnt/nfs/w.db", "nfs4"),
        ("/mnt/nfs", "nfs4"),
        ("/mnt/nfs/local/w.db", "xfs"),
        ("/mnt/with space/w.db", "cifs"),
        ("/mnt/données/w.db", "fuse.sshfs"),
        ("/mnt/nfs-not/w.db", "tmpfs"),
        ("/mnt/nfsx/w.db", "ext4"),
        ("/later/w.db", "nfs"),
    ],
)
def test_the_file_system_is_that_of_the_innermost_mount(tmp_path: Path, path: str, kind: str) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)
    assert filesystem_of(Path(path), str(mounts)) == kind


def test_without_a_list_of_mounts_nothing_is_known(tmp_path: Path) -> None:
    assert filesystem_of(tmp_path, str(tmp_path / "none")) == ""
