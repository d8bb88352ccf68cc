"""`--mode replace` in SQLite: the new table is filled aside and takes the old one's place in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from streamconsole.engines import faults
from streamconsole.engines.errors import SideLost
from streamconsole.engines.migration.targets.sqlite_table import quote


def aside(name: str) -> str:
    """Where the new table is filled."""
    return f"_streamconsole_new_{name}"


@contextmanager
def renaming(connection: sqlite3.Connection) -> Iterator[None]:
    """Lets a table be renamed although views and triggers name one that is gone for the moment."""
    # Outside a transaction: inside one these do nothing.
    keys = connection.execute("PRAGMA foreign_keys").fetchone()[0]
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("PRAGMA legacy_alter_table = ON")
    try:
        yield
    finally:
        connection.execute("PRAGMA legacy_alter_table = OFF")
        connection.execute(f"PRAGMA foreign_keys = {keys}")


def swap(connection: sqlite3.Connection, new: str, old: str) -> None:
    """Put a table in the place of another; the other's indexes and triggers are made anew on it.

    Args:
        connection: in a transaction, under `renaming`.
        new: the table that was filled; its name is gone afterwards.
        old: the name it gets; a table of that name is dropped.

    Raises:
        SideLost: an index or trigger of the old table cannot be made on the new one.
    """
    belongings = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE tbl_name = ? COLLATE NOCASE AND type IN ('index', 'trigger') "
        "AND sql IS NOT NULL ORDER BY type",
        (old,),
    ).fetchall()
    connection.execute(f"DROP TABLE IF EXISTS {quote(old)}")
    connection.execute(f"ALTER TABLE {quote(new)} RENAME TO {quote(old)}")
    for name, statement in belongings:
        try:
            connection.execute(statement)
        except sqlite3.Error as error:
            raise SideLost(
                "target",
                f"table {old} was not replaced: its {name} cannot be made on the new rows ({error}); "
                f"they wait in {new}: drop {name} from {old}, or mend the rows, then resume",
            ) from error
    faults.reach("target.before_swap")
