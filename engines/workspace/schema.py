"""Bringing a workspace's schema up to this program's revision."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from streamconsole.engines.errors import Refused
from streamconsole.engines.workspace.tables import HEAD, metadata

MIGRATIONS = Path(__file__).parent / "migrations"


def bring_up_to_date(readers: Engine, writers: Engine, where: str) -> None:
    """Upgrade a workspace that needs it.

    Raises:
        Refused: it was made by a newer program.
    """
    # Looked at by a reader: a workspace that another process is writing to opens at once.
    with readers.connect() as connection:
        current = revision(connection)
    if current != HEAD:
        with writers.begin() as connection:
            upgrade(connection, where)


def upgrade(connection: Connection, where: str) -> None:
    """Run the missing revisions in the connection's open transaction.

    Raises:
        Refused: the workspace was made by a newer program.
    """
    current = revision(connection)
    if current == HEAD:
        return
    if current is not None and current > HEAD:
        raise Refused(
            f"workspace {where} was made by a newer streamconsole: its schema is {current}, "
            f"this program knows {HEAD}; upgrade this program"
        )
    if current is None and connection.dialect.name == "sqlite":
        _make(connection)
    else:
        _run_alembic(connection)


def revision(connection: Connection) -> str | None:
    """The revision the workspace stands at; None for a new one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _make(connection: Connection) -> None:
    """A new file as the revisions would leave it, without the third of a second that loading them takes."""
    metadata.create_all(connection, checkfirst=False)
    connection.exec_driver_sql(
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
        "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
    )
    connection.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (HEAD,))


def _run_alembic(connection: Connection) -> None:
    # Imported only when there is something to do: it costs a fifth of a second.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
