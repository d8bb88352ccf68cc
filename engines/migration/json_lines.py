"""One line of JSON into one row, losing nothing on the way.

orjson is fast but keeps the last of two equal keys and rounds integers beyond 64 bits; both are
noticed cheaply here, and such a line is read again by the standard library, which can tell.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

import orjson

_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER = b"0" * 19


class BadRow(ValueError):
    """A line that is no row; the text says why."""


def has_long_number(text: bytes) -> bool:
    """Whether there are 19 digits in a row anywhere: a number that may not fit 64 bits."""
    return _LONG_NUMBER in text.translate(_DIGITS)


def parse(line: bytes, *, careful: bool = False) -> dict[str, Any]:
    """The row of a line.

    Args:
        line: one line, without its end.
        careful: read by the standard library, exact for integers of any length.

    Raises:
        BadRow: not JSON, not an object, or a key stands twice in one object.
    """
    if careful:
        return _parse_exactly(line)
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadRow(_why(line, error)) from None
    if type(row) is not dict:
        raise BadRow(f"expected an object, found {_kind(row)}")
    if b" :" in line or b"\t:" in line or _has_equal_keys(line, row):
        # Two equal keys, or just blanks before colons: the slow reader knows.
        return _parse_exactly(line)
    return row


def _has_equal_keys(line: bytes, row: dict[str, Any]) -> bool:
    keys = line.count(b'":')
    if keys == len(row):
        return False
    try:
        return keys != orjson.dumps(row).count(b'":')
    except TypeError:
        # Nested deeper than orjson writes.
        return True


def _parse_exactly(line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line, object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_finite)
    except BadRow:
        raise
    except UnicodeDecodeError as error:
        raise BadRow(f"invalid UTF-8 at byte {error.start + 1} of the line") from None
    except RecursionError:
        raise BadRow("nested too deep") from None
    except ValueError as error:
        raise BadRow(_why(line, error)) from None
    if type(row) is not dict:
        raise BadRow(f"expected an object, found {_kind(row)}")
    if b"\\u" in line:
        _refuse_halves(row)
    return row


def _refuse_halves(row: dict[str, Any]) -> None:
    """Half a surrogate pair is no character; the standard library lets it pass, and no target takes it."""
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise BadRow("half a surrogate pair is no character") from None
    except RecursionError:
        raise BadRow("nested too deep") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise BadRow(f"key {key!r} stands twice in one object")
            seen.add(key)
    return row


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise BadRow(f"{text[:40]} is beyond the range of a double")
    return number


def _no_constant(name: str) -> NoReturn:
    raise BadRow(f"{name} is not JSON")


def _why(line: bytes, error: Exception) -> str:
    try:
        line.decode()
    except UnicodeDecodeError as bad:
        return f"invalid UTF-8 at byte {bad.start + 1} of the line"
    if b"\0" in line:
        return f"NUL byte at byte {line.index(0) + 1} of the line"
    return f"not valid JSON: {error}"


def _kind(value: Any) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
