"""The bare loops beside the other routes: `python -m benchmarks.bare_routes NAME SOURCE TARGET`.

One process, one cursor, one transaction: the least that a script written for these rows would do.
"""

from __future__ import annotations

import csv
import sqlite3
import sys
from pathlib import Path

import orjson

from benchmarks.bare import INSERT, TABLE

QUERY = "SELECT * FROM rows"


def to_ndjson(source: Path, target: Path) -> None:
    """A cursor into lines; the nested object is one in the file, too."""
    cursor = sqlite3.connect(source).execute(QUERY)
    names = [column[0] for column in cursor.description]
    with target.open("wb") as file:
        for values in cursor:
            row = dict(zip(names, values, strict=True))
            row["address"] = orjson.loads(row["address"])
            file.write(orjson.dumps(row) + b"\n")


def to_sqlite(source: Path, target: Path) -> None:
    """A cursor into `executemany`."""
    connection = sqlite3.connect(target)
    connection.execute(TABLE)
    with connection:
        connection.executemany(INSERT, sqlite3.connect(source).execute(QUERY))


def from_csv(source: Path, target: Path) -> None:
    """`csv.reader` into `executemany`; the table's affinities turn text into numbers."""
    connection = sqlite3.connect(target)
    connection.execute(TABLE)
    with source.open(newline="") as file, connection:
        reader = csv.reader(file)
        next(reader)
        connection.executemany(INSERT, reader)


def make_csv(source: Path, target: Path) -> None:
    """The rows as CSV, with a header."""
    cursor = sqlite3.connect(source).execute(QUERY)
    with target.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([column[0] for column in cursor.description])
        writer.writerows(cursor)


if __name__ == "__main__":
    chosen = {"to_ndjson": to_ndjson, "to_sqlite": to_sqlite, "csv": from_csv, "make_csv": make_csv}[sys.argv[1]]
    chosen(Path(sys.argv[2]), Path(sys.argv[3]))
