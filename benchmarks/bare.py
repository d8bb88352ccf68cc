"""The bare loop that migrations are measured against: `python -m benchmarks.bare SOURCE TARGET`.

One process, orjson, one `executemany`, one transaction, SQLite's defaults: the least that a script
written for this one file would do, without windows, ledger, type inference or checks.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

TABLE = (
    "CREATE TABLE rows (id INTEGER NOT NULL, name TEXT, email TEXT, city TEXT, note TEXT, age INTEGER, "
    "points INTEGER, score REAL, active BOOLEAN, created_at TEXT, address JSON_TEXT, PRIMARY KEY (id))"
)
INSERT = "INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def _rows(source: Path) -> Iterator[list[Any]]:
    with source.open("rb") as file:
        for line in file:
            values = list(orjson.loads(line).values())
            values[10] = orjson.dumps(values[10]).decode()
            yield values


def main(source: Path, target: Path) -> None:
    connection = sqlite3.connect(target)
    connection.execute(TABLE)
    with connection:
        connection.executemany(INSERT, _rows(source))
    connection.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
