"""The bare loops beside PostgreSQL's routes: `python -m benchmarks.bare_postgresql NAME URL FILE`.

One process, one cursor, one transaction: the least that a script written for these rows would do.
"""

from __future__ import annotations

import csv
import sqlite3
import sys
from pathlib import Path

import orjson
import psycopg

from benchmarks.bare import INSERT, TABLE

QUERY = "SELECT * FROM rows"

MADE = (
    "CREATE TABLE rows (id bigint PRIMARY KEY, name text, email text, city text, note text, age bigint, points bigint, "
    "score double precision, active boolean, created_at text, address jsonb)"
)

AT_ONCE = 5_000


def make(url: str, file: Path) -> None:
    """The empty table; the file is not looked at."""
    with psycopg.connect(url) as connection:
        connection.execute("DROP TABLE IF EXISTS rows")
        connection.execute(MADE)


def from_sqlite(url: str, file: Path) -> None:
    """A cursor into the rows of a COPY."""
    make(url, file)
    with psycopg.connect(url) as connection, connection.cursor().copy("COPY rows FROM STDIN") as copy:
        for row in sqlite3.connect(file).execute(QUERY):
            copy.write_row(row)


def to_sqlite(url: str, file: Path) -> None:
    """A server-side cursor into `executemany`."""
    target = sqlite3.connect(file)
    target.execute(TABLE)
    with psycopg.connect(url) as connection, connection.cursor("rows") as cursor, target:
        cursor.itersize = AT_ONCE
        cursor.execute(QUERY)
        target.executemany(INSERT, ((*row[:-1], orjson.dumps(row[-1]).decode()) for row in cursor))


def to_ndjson(url: str, file: Path) -> None:
    """A server-side cursor into lines."""
    with psycopg.connect(url) as connection, connection.cursor("rows") as cursor, file.open("wb") as target:
        cursor.itersize = AT_ONCE
        cursor.execute(QUERY)
        names = [column.name for column in cursor.description or ()]
        for row in cursor:
            target.write(orjson.dumps(dict(zip(names, row, strict=True))) + b"\n")


def make_csv(source: str, file: Path) -> None:
    """The rows of a SQLite file as CSV, without a header."""
    with file.open("w", newline="") as target:
        csv.writer(target).writerows(
            (*row[:8], "t" if row[8] else "f", *row[9:]) for row in sqlite3.connect(source).execute(QUERY)
        )


if __name__ == "__main__":
    known = {
        "make": make,
        "from_sqlite": from_sqlite,
        "to_sqlite": to_sqlite,
        "to_ndjson": to_ndjson,
        "make_csv": make_csv,
    }
    known[sys.argv[1]](sys.argv[2], Path(sys.argv[3]))
