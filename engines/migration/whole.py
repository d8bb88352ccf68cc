"""Whole databases: one migration a table, in the order in which their foreign keys allow them to be filled."""

from __future__ import annotations

import difflib
import sqlite3
import warnings
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import inspect
from sqlalchemy.exc import SAWarning

from streamconsole.engines.errors import Refused
from streamconsole.engines.migration.locations import database_of, is_database
from streamconsole.engines.migration.settings import MigrationSettings
from streamconsole.engines.secrets import mask

OURS = ("_streamconsole", "sqlite_", "alembic_version")


def expand(settings: MigrationSettings, name: str | None = None) -> list[tuple[str, MigrationSettings]]:
    """One migration for each table that `tables` names; the migration itself when it names none (blocking).

    Args:
        settings: of a migration between databases, without fragments.
        name: what it is called; its tables are called NAME.TABLE.

    Raises:
        Refused: a side is no database, or a table does not exist.
    """
    assert settings.tables is not None
    check_sides(settings)
    return _expand_in_order(settings, name)


def check_sides(settings: MigrationSettings) -> None:
    """Look at the addresses alone.

    Raises:
        Refused: a side is no database.
    """
    for side, url in (("source", settings.source), ("target", settings.target)):
        location, _, table = url.partition("#")
        if table:
            raise Refused(f"{side} {mask(url)}: --tables names the tables, so write {mask(location)} without #{table}")
        if not is_database(url):
            raise Refused(f"{side} {mask(url)} is no database, and --tables moves tables of one to another")


def _expand_in_order(settings: MigrationSettings, name: str | None) -> list[tuple[str, MigrationSettings]]:
    return [
        (
            f"{name}.{table}" if name else table,
            settings.model_copy(
                update={
                    "source": f"{settings.source}#{quote(table, safe='')}",
                    "target": f"{settings.target}#{quote(table, safe='')}",
                    "tables": None,
                    "constraints": True,
                }
            ),
        )
        for table in _in_order(settings)
    ]


def _in_order(settings: MigrationSettings) -> list[str]:
    database = database_of(settings.source)
    if database.path is not None and not database.path.exists():
        raise Refused(f"source {database} does not exist")
    with database.refusing(), database.connect() as connection, warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)
        # Where foreign keys go round in a circle the order is any: they are looked at when all is there.
        sorted_names = inspect(connection).get_sorted_table_and_fkc_names()
    known = [table for table, _ in sorted_names if table is not None and not table.lower().startswith(OURS)]
    if settings.tables == "all":
        if not known:
            raise Refused(f"source {database} has no table")
        return known
    wanted = set(settings.tables or ())
    for missing in sorted(wanted.difference(known)):
        close = difflib.get_close_matches(missing, known, 3) or known[:8]
        raise Refused(f"--tables {missing}: {database} has no such table; there are {', '.join(close)}")
    return [table for table in known if table in wanted]


def broken_references(migrations: Iterable[MigrationSettings]) -> list[str]:
    """Rows of whole databases that were filled here whose foreign keys lead nowhere, in words (blocking)."""
    paths: dict[Path, None] = {}
    for settings in migrations:
        location = settings.target.partition("#")[0]
        if settings.constraints and is_database(location):
            path = database_of(location).path
            if path is not None and path.exists():
                paths[path] = None
    return [line for path in paths for line in _broken_in(path)]


def _broken_in(path: Path) -> list[str]:
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
        try:
            found = connection.execute(
                'SELECT "table", parent, count(*) FROM pragma_foreign_key_check GROUP BY 1, 2 ORDER BY 1, 2'
            ).fetchall()
        except sqlite3.DatabaseError as error:
            # A parent that is not there, or has no unique key over what is named.
            return [f"{path}: foreign keys cannot be checked: {error}"]
    return [
        f"{path}: {count:,} rows of {table} refer to rows of {parent} that are not there"
        for table, parent, count in found
    ]
