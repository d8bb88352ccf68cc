"""`cast`: values turned into another type, and nothing lost: what cannot be kept whole is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any

from streamconsole.engines.migration.batch import Misfit, NotAlike
from streamconsole.engines.migration.columns import INT64, ColumnType
from streamconsole.engines.migration.json_lines import BadRow
from streamconsole.engines.migration.json_lines import parse as parse_json
from streamconsole.engines.migration.targets.json_rows import dump
from streamconsole.engines.migration.targets.table_rows import text_of
from streamconsole.engines.migration.transforms.fields import refuse_unknown_keys
from streamconsole.engines.migration.transforms.steps import Passage, Row, Rows
from streamconsole.engines.text import clean

SHOWN = 60
"""Characters of a value that a refusal shows."""

_INTEGER = re.compile(r"[+-]?[0-9]{1,400}(\.0*)?", re.ASCII)
_NUMBER = re.compile(r"[+-]?([0-9]{1,400}(\.[0-9]{0,400})?|\.[0-9]{1,400})([eE][+-]?[0-9]{1,3})?", re.ASCII)
_TOO_FINE = re.compile(r"[.,][0-9]{6}[0-9]*[1-9]")
_TRUTH = {
    **dict.fromkeys(("true", "t", "yes", "y", "on", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "off", "0"), False),
}


class _No(ValueError):
    """It cannot be; the text may say why."""


@dataclass(frozen=True, slots=True)
class Cast:
    """Casts some keys.

    Args:
        types: key → name of the type.
        asked_as: what it is called in messages.
    """

    types: Mapping[str, str]
    asked_as: str = "transform cast"

    @property
    def hidden(self) -> Sequence[str]:
        """Nothing."""
        return ()

    def check(self, sample: Sequence[Mapping[str, Any]]) -> None:
        """Whether the keys are there."""
        refuse_unknown_keys(self.asked_as, self.types, sample)

    def declared(self, columns: Mapping[str, ColumnType]) -> Mapping[str, ColumnType]:
        """The types that are asked for."""
        return {key: ColumnType(self.types.get(key, kind)) for key, kind in columns.items()}

    def alike(self, blocks: Iterator[list[Row]], passage: Passage) -> Iterator[list[Row]]:
        """Whole columns, as long as every value can be cast."""
        for rows in blocks:
            for name, kind in self.types.items():
                convert = CASTS[kind]
                try:
                    values = [None if row[name] is None else convert(row[name]) for row in rows]
                except (_No, KeyError, Misfit):
                    raise NotAlike from None
                for row, value in zip(rows, values, strict=True):
                    row[name] = value
            yield rows

    def rows(self, rows: Rows, passage: Passage) -> Rows:
        """Row by row; one with a value that cannot be cast is refused."""
        for index, row in rows:
            name = ""
            try:
                for name, kind in self.types.items():
                    if row.get(name) is not None:
                        row[name] = cast(row[name], kind)
            except Misfit as misfit:
                passage.refuse(index, name, str(misfit))
                continue
            yield index, row


def cast(value: Any, kind: str) -> Any:
    """A value as another type.

    Raises:
        Misfit: it cannot be, or not without losing something.
    """
    try:
        return CASTS[kind](value)
    except (_No, Misfit) as error:
        why = f" ({error})" if str(error) else ""
        raise Misfit(None, f"{clean(_shown(value), limit=SHOWN)} cannot be cast to {kind}{why}") from None


def _shown(value: Any) -> str:
    return repr(value[: 2 * SHOWN]) if type(value) is str else str(value)


def _integer(value: Any) -> int:
    number = _whole(value)
    if not -INT64 <= number < INT64:
        raise _No("beyond 64 bits: cast it to decimal")
    return number


def _whole(value: Any) -> int:
    if type(value) is str and _INTEGER.fullmatch(value.strip()):
        return int(value.strip().partition(".")[0])
    if type(value) in (int, bool):
        return int(value)
    if type(value) in (float, Decimal):
        number = Decimal(value)
        if number.is_finite() and abs(number) < 2 * INT64 and number == int(number):
            return int(number)
    raise _No


def _exact(value: Any) -> Decimal:
    """A number, or text that is one, with all its digits."""
    if type(value) is str:
        text = value.strip()
        if not _NUMBER.fullmatch(text):
            raise _No
        return Decimal(text)
    if type(value) is float and isfinite(value):
        return Decimal(repr(value))
    if type(value) is int:
        return Decimal(value)
    if type(value) is Decimal and value.is_finite():
        return value
    raise _No


def _float(value: Any) -> float:
    if type(value) is float and isfinite(value):
        return value
    exact = _exact(value)
    number = float(exact)
    # A sum of decimals is rounded, a comparison is not.
    if not isfinite(number) or (Decimal(repr(number)) != exact and Decimal(number) != exact):
        raise _No("a float does not hold all its digits: cast it to decimal")
    return number


def _boolean(value: Any) -> bool:
    if type(value) is bool:
        return value
    if type(value) is str:
        truth = _TRUTH.get(value.strip().casefold())
    else:
        truth = {0: False, 1: True}.get(value) if type(value) is int else None
    if truth is None:
        raise _No
    return truth


def _datetime(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    if type(value) is not str:
        raise _No
    text = value.strip()
    if _TOO_FINE.search(text):
        raise _No("finer than a microsecond")
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise _No("expected ISO 8601") from None


def _text(value: Any) -> str:
    return dump(value).decode() if type(value) in (dict, list) else text_of(value)


def _json(value: Any) -> Any:
    if type(value) in (dict, list):
        return value
    if type(value) is not str:
        raise _No
    try:
        # In an object, so that one function knows what is JSON and what only looks so.
        found = parse_json(b'{"value":' + value.encode() + b"}", careful=True)
    except (BadRow, UnicodeEncodeError):
        raise _No("no JSON") from None
    if set(found) != {"value"} or type(found["value"]) not in (dict, list):
        raise _No("neither an object nor an array")
    return found["value"]


def _decimal(value: Any) -> Decimal:
    try:
        return _exact(value)
    except InvalidOperation:
        raise _No from None


CASTS: Mapping[str, Callable[[Any], Any]] = {
    "integer": _integer,
    "float": _float,
    "decimal": _decimal,
    "boolean": _boolean,
    "datetime": _datetime,
    "text": _text,
    "json": _json,
}
