"""What PostgreSQL's values are in Python: exact, even where the driver's own choice is not.

The driver makes 30 days of a month, and knows neither infinite dates nor years before 1 or after 9999: such
values stay text, in the server's own spelling. JSON is parsed without losing a digit.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import orjson

from streamconsole.engines.migration.postgresql import SPELLING

if TYPE_CHECKING:
    import psycopg
    from psycopg.abc import AdaptContext, Buffer, Loader

LONG_NUMBER = re.compile(r"[0-9.]{16}")
"""Digits that a double may not hold, or an integer of 64 bits."""

AS_TEXT = ("uuid", "interval", "inet", "cidr")
RANGES = ("int4range", "int8range", "numrange", "daterange", "tsrange", "tstzrange")
"""Types that the driver would make objects of, only for us to make text of them again."""

OUT_OF_CALENDAR = ("date", "time", "timetz", "timestamp", "timestamptz")
"""Types with values that Python's calendar and clock do not have."""


def as_texts(context: psycopg.abc.AdaptContext) -> None:
    """Have a cursor or connection give JSON, and what has no place among a row's values, as text."""
    from psycopg.types.string import TextLoader

    for name in ("json", "jsonb", *AS_TEXT, *RANGES, *(name.replace("range", "multirange") for name in RANGES)):
        context.adapters.register_loader(name, TextLoader)


def tolerantly(context: psycopg.abc.AdaptContext) -> None:
    """Have moments that Python does not know given as text, too; this takes longer."""
    for name in OUT_OF_CALENDAR:
        context.adapters.register_loader(name, _tolerant(name))


def exactly(connection: psycopg.Connection[Any]) -> None:
    """Have a connection give all values exactly, and JSON parsed."""
    as_texts(connection)
    tolerantly(connection)
    for name, loader in _parsing().items():
        connection.adapters.register_loader(name, loader)
    connection.execute(SPELLING)
    connection.commit()


def whole_column(texts: list[str | None]) -> list[Any]:
    """A column of `jsonb` as what it stands for."""
    present = [text for text in texts if text is not None]
    joined = ",".join(present)
    if LONG_NUMBER.search(joined) is not None:
        return [None if text is None else parsed(text) for text in texts]
    try:
        found = iter(orjson.loads(f"[{joined}]"))
    except ValueError:
        # Deeper than the quick parser goes.
        return [None if text is None else parsed(text) for text in texts]
    return [None if text is None else next(found) for text in texts]


def parsed(text: str) -> Any:
    """A `jsonb` value as what it stands for; text that is too deep stays text."""
    try:
        return json.loads(text, parse_float=_number) if LONG_NUMBER.search(text) is not None else orjson.loads(text)
    except (ValueError, RecursionError):
        return text


def parsed_as_written(text: str) -> Any:
    """A `json` value as what it stands for; text that says something twice stays text."""
    try:
        return json.loads(text, parse_float=_number, object_pairs_hook=_without_equal_keys)
    except (ValueError, RecursionError):
        return text


def _number(text: str) -> float | Decimal:
    number = float(text)
    return number if Decimal(repr(number)) == Decimal(text) else Decimal(text)


def _without_equal_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


@lru_cache
def _tolerant(name: str) -> type[Loader]:
    import psycopg
    from psycopg import adapt, adapters

    own = cast("type[Loader]", adapters.get_loader(adapters.types[name].oid, psycopg.pq.Format.TEXT))

    class Tolerant(adapt.Loader):
        def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
            super().__init__(oid, context)
            self._own = own(oid, context)

        def load(self, data: Buffer) -> Any:
            try:
                return self._own.load(data)
            except (psycopg.DataError, ValueError):
                return bytes(data).decode()

    return Tolerant


@lru_cache
def _parsing() -> dict[str, type[Loader]]:
    from psycopg import adapt

    class Jsonb(adapt.Loader):
        def load(self, data: Buffer) -> Any:
            return parsed(bytes(data).decode())

    class Json(adapt.Loader):
        def load(self, data: Buffer) -> Any:
            return parsed_as_written(bytes(data).decode())

    return {"jsonb": Jsonb, "json": Json}
