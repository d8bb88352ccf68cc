"""What the crash tests move: real data, hostile data, generated data."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.program import DATA


@dataclass(frozen=True, slots=True)
class Case:
    """A migration to be interrupted.

    Args:
        source: what is moved; `hostile` and `large` for the files made by the functions below.
        target: file name of the target; the table in it is `t`.
        window_rows: rows in a window.
        windows: windows in all.
        code: exit status when nothing interrupts it.
        options: more of the command line.
        found: statements that fill the target first; for a file, what is in it.
        stays: rows that are there in the end beside the run's own; below 0 where rows overwrite each other.
    """

    source: str
    target: str
    window_rows: int
    windows: int
    code: int = 0
    options: tuple[str, ...] = ()
    found: str = ""
    stays: int = 0

    def arguments(self, folder: Path, workers: int = 4) -> tuple[str, ...]:
        """What the program is called with, in a folder."""
        source = self.source
        if source == "large":
            source = str(write_large(folder / "large.ndjson", self.window_rows * self.windows))
        if source == "hostile":
            source = str(write_hostile(folder / "hostile.ndjson", self.window_rows, self.windows))
        if source == "table":
            source = f"sqlite:///{write_table(folder / 'table.db', self.window_rows * self.windows)}#t"
        target = f"sqlite:///{self.target}#t" if self.target.endswith(".db") else self.target
        sizes = ("--window-rows", str(self.window_rows), "--workers", str(workers))
        return ("migrate", source, target, *sizes, *self.options, "--no-ui", "--workspace", "w.db")


CUSTOMERS = Case(str(DATA / "customers.json"), "target.db", 10, 50)
CUSTOMERS_IN_MANY = Case(str(DATA / "customers.json"), "target.db", 4, 125)
HOSTILE = Case("hostile", "target.db", 20, 120, code=1)
HOSTILE_TO_FILE = Case("hostile", "target.ndjson", 20, 120, code=1)
FILE_TO_FILE = Case(str(DATA / "customers.json"), "target.ndjson", 10, 50)
ORDERS = Case("generate://orders?count=9000&seed=7", "target.db", 75, 120)
APPENDED = Case(
    "generate://orders?count=9000&seed=7",
    "target.db",
    75,
    120,
    options=("--mode", "append"),
    found="CREATE TABLE t (id INTEGER PRIMARY KEY, status TEXT, note TEXT DEFAULT 'old');"
    "INSERT INTO t (id) VALUES (-1), (0), (1000000)",
    stays=3,
)
UPSERTED = Case(
    "hostile",
    "target.db",
    20,
    120,
    code=1,
    options=("--mode", "upsert"),
    found="CREATE TABLE t (_id TEXT PRIMARY KEY, flag, note TEXT); INSERT INTO t VALUES ('k000001', 'old', 'kept')",
    # As many of its rows have the key of another one, and overwrite it.
    stays=-60,
)
REPLACED = Case(
    "hostile",
    "target.db",
    20,
    120,
    code=1,
    options=("--mode", "replace"),
    found="CREATE TABLE t (_id TEXT PRIMARY KEY, note TEXT); INSERT INTO t VALUES ('old', 'gone');"
    "CREATE INDEX by_note ON t (_id)",
)
TO_CSV = Case("hostile", "target.csv.gz", 20, 120, code=1)
TO_ARRAY = Case("hostile", "target.json.zst", 20, 120, code=1, options=("--writers", "2"))
APPENDED_TO_FILE = Case(
    str(DATA / "customers.json"),
    "target.ndjson",
    10,
    50,
    options=("--mode", "append"),
    found='{"_id":"before"}\n',
    stays=1,
)
REPLACED_FILE = Case(
    str(DATA / "customers.json"), "target.ndjson.gz", 10, 50, options=("--mode", "replace"), found="old"
)
CLUSTER = Case("hostile", "target.db", 20, 120, code=1, options=("--writers", "3"))
TRANSFORMED = Case(
    str(DATA / "customers.json"),
    "target.db",
    10,
    50,
    options=("--transform", "hash:email", "--transform", "drop:active", "--transform", "exec:cat", "--writers", "2"),
)
"""Through a hash and a program, by a cluster."""
TABLE = Case("table", "target.db", 75, 120)
"""Rows that SQLite copies itself."""
LARGE = Case("large", "target.db", 25, 120)
"""More bytes than are moved without child processes."""


def write_hostile(path: Path, window_rows: int, windows: int) -> Path:
    """Lines that make a target change its mind: late columns, wider types, refused rows, odd text.

    A row that is refused for the sake of another one stands in the same window: which of two
    windows comes first is left to chance, and rightly so.
    """
    if not path.exists():
        random = Random(20)
        lines = [
            _line(number, number // window_rows / windows, window_rows, random)
            for number in range(window_rows * windows)
        ]
        path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def write_large(path: Path, rows: int) -> Path:
    """Few rows in many bytes."""
    if not path.exists():
        with path.open("wb") as file:
            for number in range(rows):
                row = {"_id": number, "text": f"{number:06d}" * 1_000, "half": number / 2}
                file.write(json.dumps(row).encode() + b"\n")
    return path


def write_table(path: Path, rows: int) -> Path:
    """A table of values that go from one SQLite file to another as they are."""
    if not path.exists():
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(
                "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, half REAL, is_even BOOLEAN, raw BLOB)"
            )
            values = ((n, f"żółw {n}" if n % 5 else None, n / 2, n % 2 == 0, bytes([n % 256])) for n in range(rows))
            connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?)", values)
    return path


def _line(number: int, share: float, window_rows: int, random: Random) -> bytes:
    place = number % (2 * window_rows)
    if place == 7:
        return (b'{"_id": "cut off', b"[1, 2]", b"\xff\xfe\xfd", b'{"_id":"x","a":1,"a":2}')[number % 4]
    key = f"k{number:06d}" if place != window_rows - 1 else f"k{number - 1:06d}"
    row: dict[str, object] = {
        "_id": key,
        "widens to float": random.randrange(100) if share < 0.3 else random.random() * 100,
        "widens to decimal": _decimal(share, number, random),
        "widens to text": _text(share, number, random),
        "late text": number if share < 0.7 else f"{number:07d}",
        "Ünïcode 🙂": random.choice(["żółw", "日本語", "\u202eabc", "a\u0000b", "", "'; DROP TABLE t; --", None]),
        "nested": {"list": [1, 2.5, None, {"deep": "ü" * random.randrange(5)}], "n": {"$numberLong": str(number)}},
        "when": {"$date": {"$numberLong": str(random.randrange(-(10**12), 10**12))}},
        "flag": random.random() < 0.5 if share < 0.6 else number,
        "select": random.choice([None, 1, 2]),
    }
    if share > 0.4:
        row[f"new {int(share * 10)}"] = random.choice([None, number, "seven"])
    if share > 0.5 and place == 3:
        row["SELECT"] = {"$numberDouble": random.choice(["NaN", "Infinity", "1.5"])}
    return json.dumps(row, ensure_ascii=number % 3 == 0).encode()


def _decimal(share: float, number: int, random: Random) -> object:
    if share > 0.8:
        return 2**70 + number
    return random.choice([number, number / 4, 5, 5.0])


def _text(share: float, number: int, random: Random) -> object:
    kinds: list[object] = [number, True, {"a": 1}] if share > 0.5 else [number]
    return random.choice([*kinds, number / 8, 3.0, 3]) if 0.2 < share < 0.9 else random.choice([number, None])
