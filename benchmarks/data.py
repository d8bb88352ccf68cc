"""The file that migrations are measured on: made once, kept in the cache folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import orjson

CACHE = Path(__file__).parent.parent / ".cache" / "benchmarks"

CITIES = ("Porto", "Gdańsk", "Osaka", "Lagos", "Quito", "Oslo", "İzmir", "Pune", "Lyon", "Perth")
WORDS = ("cable", "router", "rack", "switch", "sensor", "battery", "antenna", "panel", "bracket", "fuse")

COLUMNS = ("id", "name", "email", "city", "note", "age", "points", "score", "active", "created_at", "address")
NESTED = COLUMNS.index("address")


def row(number: int, random: Random) -> dict[str, Any]:
    """A row of eleven columns: integers, texts, a float, a boolean, a date as text, a nested object."""
    city = random.choice(CITIES)
    return {
        "id": number + 1,
        "name": f"{random.choice(WORDS)} {random.choice(WORDS)} {number}",
        "email": f"user.{number}@{random.choice(WORDS)}.example.com",
        "city": city,
        "note": " ".join(random.choices(WORDS, k=12)),
        "age": random.randrange(18, 90),
        "points": random.randrange(1_000_000_000),
        "score": round(random.random() * 100, 4),
        "active": random.random() < 0.8,
        "created_at": f"20{random.randrange(10, 26)}-0{random.randrange(1, 10)}-1{random.randrange(10)}T12:30:00Z",
        "address": {"street": f"{random.randrange(200)} {city} Street", "zip": f"{random.randrange(100_000):05d}"},
    }


def rows_file(rows: int) -> Path:
    """The NDJSON file of so many rows; made when it is not there."""
    path = CACHE / f"rows-{rows}.ndjson"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        with unfinished.open("wb") as file:
            file.writelines(_lines(rows))
        unfinished.rename(path)
    return path


def _lines(rows: int) -> Iterator[bytes]:
    random = Random(1)
    for number in range(rows):
        yield orjson.dumps(row(number, random), option=orjson.OPT_APPEND_NEWLINE)
