"""Rows as lines of JSON: how the NDJSON target normalizes."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from itertools import repeat
from math import isfinite
from typing import Any

import orjson

from streamconsole.engines.migration.batch import Misfit, NotAlike
from streamconsole.engines.migration.columns import ColumnType
from streamconsole.engines.migration.extended_json import iso

ODD_FLOATS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


@dataclass(frozen=True, slots=True)
class JsonRows:
    """Makes the normalizer of NDJSON targets."""

    def __call__(self) -> JsonNormalizer:
        """A fresh normalizer."""
        return JsonNormalizer()


class JsonNormalizer:
    """Writes each row as one line; what JSON has no form for becomes relaxed Extended JSON."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._indexes: list[int] = []

    def add(self, index: int, row: dict[str, Any]) -> None:
        """Fit one row."""
        self._lines.append(dump(_with_extended_floats(row)))
        self._indexes.append(index)

    def add_alike(self, rows: list[dict[str, Any]]) -> None:
        """Fit many rows."""
        first = len(self._lines)
        try:
            self._lines.extend(dump_all(rows))
        except Misfit:
            raise NotAlike from None
        self._indexes.extend(range(first, first + len(rows)))

    def add_block(self, keys: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
        """Fit many rows."""
        first = len(self._lines)
        try:
            # One dict at a time: its memory is still at hand for the next one.
            self._lines.extend(list(map(_dumps, map(dict, map(zip, repeat(keys), rows)))))
        except (TypeError, ValueError):
            self.add_alike(list(map(dict, map(zip, repeat(keys), rows))))
            return
        self._indexes.extend(range(first, first + len(rows)))

    def add_columns(self, keys: tuple[str, ...], columns: list[Sequence[Any]]) -> None:
        """Fit many rows."""
        self.add_block(keys, list(zip(*columns, strict=True)))

    def needs(self) -> Mapping[str, ColumnType]:
        """Never anything: a line takes any row."""
        return {}

    def payload(self) -> tuple[bytes, list[int]]:
        """The lines, each with its end."""
        lines, indexes = self.lines()
        return b"\n".join([*lines, b""]), indexes

    def lines(self) -> tuple[list[bytes], list[int]]:
        """The lines without their ends; just once."""
        lines, self._lines = self._lines, []
        return lines, self._indexes


def _with_extended_floats(row: dict[str, Any]) -> dict[str, Any]:
    """The row with what JSON has no number for as Extended JSON; left alone it would become null."""
    odd = {key: value for key, value in row.items() if type(value) is float and not isfinite(value)}
    return row | {key: {"$numberDouble": ODD_FLOATS[repr(value)]} for key, value in odd.items()} if odd else row


def dump_all(values: Iterable[Any]) -> list[bytes]:
    """Many values as JSON.

    Raises:
        Misfit: one of them has no JSON form.
    """
    values = list(values)
    try:
        return list(map(_dumps, values))
    except (TypeError, ValueError):
        return list(map(dump, values))


def dump(value: Any) -> bytes:
    """A value as JSON.

    Raises:
        Misfit: it has no JSON form.
    """
    try:
        return _dumps(value)
    except (TypeError, ValueError):
        # Integers beyond 64 bits, which only the standard library writes.
        try:
            return json.dumps(value, default=_extended, ensure_ascii=False, separators=(",", ":")).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise Misfit(None, f"has no JSON form: {error}") from None


def _extended(value: Any) -> Any:
    if isinstance(value, datetime):
        return {"$date": iso(value)}
    if isinstance(value, Decimal):
        return {"$numberDecimal": str(value)}
    if isinstance(value, bytes):
        return {"$binary": {"base64": base64.b64encode(value).decode(), "subType": "00"}}
    raise TypeError(f"no JSON form for {type(value).__name__}")


_dumps = partial(orjson.dumps, default=_extended, option=orjson.OPT_PASSTHROUGH_DATETIME)
