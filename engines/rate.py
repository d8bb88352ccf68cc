"""A limit to how fast something goes: rows or bytes a second, as operators write it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

NO_LIMIT = "none"
"""How operators say that there is no limit."""

LEAST, MOST = 0.001, 1e15

_WRITTEN = re.compile(
    r"(?P<number>\d[\d_,]*(?:\.\d+)?)\s*(?P<factor>[kmg]?)(?P<binary>i?)\s*(?P<unit>b|bytes?|rows?|)\s*(?:/\s*s(?:ec)?)?",
    re.ASCII | re.IGNORECASE,
)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3}


class Unit(StrEnum):
    """What a rate counts."""

    ROWS = "rows"
    BYTES = "bytes"


@dataclass(frozen=True, slots=True)
class Rate:
    """So much a second.

    Args:
        amount: rows or bytes a second.
        unit: which of them.
    """

    amount: float
    unit: Unit

    def __str__(self) -> str:
        """The rate as `parse` reads it."""
        if self.unit is Unit.ROWS:
            return f"{_plain(self.amount)} rows/s"
        for factor, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
            if self.amount >= factor and (self.amount / factor * 100).is_integer():
                return f"{_plain(self.amount / factor)} {name}/s"
        return f"{_plain(self.amount)} B/s"


def parse(text: Any) -> Rate | None:
    """The rate that is written; None for `none`.

    `5000`, `5000rows/s` and `5k rows/s` are rows; `20MB/s`, `20MiB` and `512kB/s` are bytes, in powers of 1,024.

    Raises:
        ValueError: it is no rate; the message says how to write one.
    """
    written = str(text).strip()
    if written.lower() == NO_LIMIT:
        return None
    found = _WRITTEN.fullmatch(written)
    if isinstance(text, bool) or found is None:
        raise ValueError("must be a rate like 5000rows/s or 20MB/s, or none")
    factor, unit = found["factor"].lower(), found["unit"].lower()
    if factor and not unit and not found["binary"]:
        raise ValueError(f"must say {written} of what: {written}B/s or {written} rows/s")
    of_bytes = unit.startswith("b") or bool(found["binary"])
    if of_bytes and unit.startswith("r"):
        raise ValueError("must be a rate like 5000rows/s or 20MB/s, or none")
    amount = float(re.sub("[_,]", "", found["number"])) * (1024 if of_bytes else 1000) ** _POWERS[factor]
    if not LEAST <= amount <= MOST:
        raise ValueError("must be more than nothing and less than the impossible: write none for no limit")
    return Rate(amount, Unit.BYTES if of_bytes else Unit.ROWS)


def canonical(text: Any) -> str | None:
    """A rate in the one form that is kept; None for no limit.

    Raises:
        ValueError: it is no rate.
    """
    rate = None if text is None else parse(text)
    return None if rate is None else str(rate)


def told(rate: str | None) -> str:
    """A kept rate, or that there is none, for people: `20,000 rows/s`."""
    if rate is None:
        return "no limit"
    found = parse(rate)
    if found is None or found.unit is Unit.BYTES:
        return rate
    return f"{found.amount:,.0f} rows/s" if found.amount.is_integer() else rate


def _plain(number: float) -> str:
    return str(int(number)) if float(number).is_integer() else repr(number)
