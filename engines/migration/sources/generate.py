"""Rows made on demand, from a seed: `generate://users?count=1000000&seed=1`.

A row depends on the seed and its number alone, so any window can be made again, in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import orjson

from streamconsole.engines.migration.batch import ROW_SHOWN, NotAlike, Refuse
from streamconsole.engines.migration.sources.source import SourceFacts
from streamconsole.engines.units import Window

BLOCK = 256
"""Rows made from one random generator; a window that starts inside a block makes its first rows in vain."""

FIRST = (
    "Ada",
    "Bruno",
    "Chiara",
    "Deniz",
    "Emeka",
    "Freya",
    "Goran",
    "Hana",
    "Ines",
    "Jonas",
    "Kaya",
    "Lucía",
)
LAST = (
    "Abe",
    "Brandt",
    "Costa",
    "Dubois",
    "Eriksen",
    "Fofana",
    "García",
    "Horvat",
    "Ito",
    "Janssen",
    "Kaya",
    "Łoś",
)
CITIES = ("Porto", "Gdańsk", "Osaka", "Lagos", "Quito", "Oslo", "İzmir", "Pune", "Lyon", "Perth")
PRODUCTS = ("cable", "router", "rack", "switch", "sensor", "battery", "antenna", "panel")
STATUSES = ("new", "paid", "packed", "shipped", "returned")
START = datetime(2020, 1, 1, tzinfo=UTC)


def user(number: int, random: Random) -> dict[str, Any]:
    """A user; `birthdate` may be before 1970, `email` may be missing (null)."""
    first, last = random.choice(FIRST), random.choice(LAST)
    return {
        "id": number + 1,
        "name": f"{first} {last}",
        "email": f"{first}.{last}.{number}@example.com".lower() if random.random() < 0.95 else None,
        "password": f"{random.getrandbits(64):016x}",
        "active": random.random() < 0.8,
        "city": random.choice(CITIES),
        "score": round(random.random() * 100, 3),
        "birthdate": START - timedelta(days=random.randrange(7_000, 30_000)),
        "created_at": START + timedelta(seconds=random.randrange(150_000_000)),
        "tags": random.sample(PRODUCTS, random.randrange(3)),
        "address": {
            "street": f"{random.randrange(1, 200)} {last} Street",
            "zip": f"{random.randrange(100_000):05d}",
        },
    }


def order(number: int, random: Random) -> dict[str, Any]:
    """An order with one to four lines."""
    lines = []
    total = 0
    for _ in range(random.randrange(1, 5)):
        quantity, price = random.randrange(1, 9), random.randrange(100, 90_000)
        lines.append({"product": random.choice(PRODUCTS), "quantity": quantity, "price": price})
        total += quantity * price
    return {
        "id": number + 1,
        "user_id": random.randrange(1, 100_000),
        "status": random.choice(STATUSES),
        "total": total / 100,
        "currency": "EUR",
        "placed_at": START + timedelta(seconds=random.randrange(150_000_000)),
        "express": random.random() < 0.1,
        "lines": lines,
    }


KINDS: dict[str, Callable[[int, Random], dict[str, Any]]] = {"users": user, "orders": order}


@dataclass(frozen=True, slots=True)
class GenerateReader:
    """Makes ranges of rows of one kind.

    Args:
        kind: `users` or `orders`.
        seed: rows of two seeds differ.
    """

    kind: str
    seed: int

    def rows(self, window: Window, refuse: Refuse) -> Iterator[tuple[int, dict[str, Any]]]:
        """The rows of a range of numbers."""
        make = KINDS[self.kind]
        for block in range(window.lo // BLOCK, (window.hi - 1) // BLOCK + 1):
            random = Random(f"{self.seed}/{block}")
            for number in range(block * BLOCK, min((block + 1) * BLOCK, window.hi)):
                row = make(number, random)
                if number >= window.lo:
                    yield number - window.lo, row

    def alike(self, window: Window) -> Iterator[list[dict[str, Any]]]:
        """Rows are made one by one."""
        raise NotAlike

    def locate(self, window: Window, indexes: set[int]) -> dict[int, tuple[int, str]]:
        """Number and JSON text of some rows of a range."""
        return {
            index: (window.lo + index, orjson.dumps(row).decode()[:ROW_SHOWN])
            for index, row in self.rows(window, lambda *_: None)
            if index in indexes
        }


class GenerateSource:
    """A source that makes its rows.

    Args:
        kind: `users` or `orders`.
        count: rows in all.
        seed: rows of two seeds differ.
        window_rows: rows in a window.
    """

    unit = "rows"

    def __init__(self, kind: str, count: int, seed: int, window_rows: int) -> None:
        self.reader = GenerateReader(kind, seed)
        self._count = count
        self._window_rows = window_rows

    def inspect(self) -> SourceFacts:
        """A sample of the rows to come."""
        head = Window(1, 0, min(self._count, 200), 0, 0)
        sample = [row for _, row in self.reader.rows(head, lambda *_: None)]
        return SourceFacts(size=self._count, fingerprint=self.fingerprint(), sample=sample)

    def fingerprint(self) -> dict[str, Any]:
        """What was asked for is what is made."""
        return {"kind": self.reader.kind, "seed": self.reader.seed, "count": self._count}

    def align(self, offset: int) -> int:
        """A window may begin at any row."""
        return max(0, offset)

    def cut(
        self,
        number: int,
        lo: int,
        first_row: int,
        most_rows: int | None = None,
        end: int | None = None,
        behind: str | None = None,
    ) -> Window | None:
        """The next window from a row; None past the last."""
        rows = min(self._window_rows, min(self._count, self._count if end is None else end) - lo)
        if most_rows is not None:
            rows = min(rows, most_rows)
        return Window(number, lo, lo + rows, first_row, rows) if rows > 0 else None
