"""One line of JSON into one row, losing nothing on the way.

orjson is fast but keeps the last of two equal keys and rounds integers beyond 64 bits; both are
noticed cheaply here, and such a line is read again by the standard library, which can tell.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

import orjson
from orjson import loads

from streamconsole.engines.migration.batch import NotAlike

ROWS_AT_ONCE = 250
"""Rows held at once by the quick way: few enough for the processor's cache."""

_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER = b"0" * 19
_LOOSE_KEY = re.compile(rb'"[ \t\r]+:')
_ESCAPED_KEY_END = re.compile(rb"\\u00(?:22|3[aA])")


class BadRow(ValueError):
    """A line that is no row; the text says why."""


def has_long_number(text: bytes) -> bool:
    """Whether there are 19 digits in a row anywhere: a number that may not fit 64 bits."""
    return _LONG_NUMBER in text.translate(_DIGITS)


def has_loose_key(text: bytes) -> bool:
    """Whether keys may be miscounted: a blank before the colon, or text with a quote written as a number."""
    if b"\\u0022" in text:
        return True
    # Single bytes are found ten times faster than pairs, and tabs and CRs are seldom there at all.
    return (
        b" :" in text or (b"\t" in text and b"\t:" in text) or (b"\r" in text and b"\r:" in text)
    ) and _LOOSE_KEY.search(text) is not None


class LineParser:
    """Parses lines of one block; what is true of the whole block is looked for once.

    Args:
        block: the lines, and nothing else.
    """

    __slots__ = ("_long", "_loose", "_nested")

    def __init__(self, block: bytes) -> None:
        self._long = has_long_number(block)
        self._loose = has_loose_key(block)
        self._nested: tuple[str, ...] = ()

    def parse(self, line: bytes) -> dict[str, Any]:
        """The row of a line of the block, without its end.

        Raises:
            BadRow: not JSON, not an object, or a key stands twice in one object.
        """
        if self._long and has_long_number(line):
            return _parse_exactly(line)
        try:
            row = loads(line)
        except orjson.JSONDecodeError as error:
            raise BadRow(_why(line, error)) from None
        if type(row) is not dict:
            raise BadRow(f"expected an object, found {_kind(row)}")
        # Every key that is in the row was written. Once as many as were written are found, none stood twice.
        missing = line.count(b'":') - len(row)
        if missing:
            for key in self._nested:
                inner = row.get(key)
                if type(inner) is dict:
                    missing -= len(inner)
        if (missing and self._may_have_equal_keys(line, row)) or (self._loose and has_loose_key(line)):
            return _parse_exactly(line)
        return row

    def _may_have_equal_keys(self, line: bytes, row: dict[str, Any]) -> bool:
        """Whether keys are missing wherever they are nested; text with quotes and colons looks so, too."""
        if _ESCAPED_KEY_END.search(line):
            # Written again it has more quotes and colons than it has here.
            return True
        self._nested = tuple(key for key, value in row.items() if type(value) is dict)
        try:
            return line.count(b'":') != orjson.dumps(row).count(b'":')
        except TypeError:
            # Nested deeper than orjson writes.
            return True


def parse_all(block: bytes) -> Iterator[list[dict[str, Any]]]:
    """The rows of a block of lines, some at a time.

    Lines that come out byte for byte when their rows are written again hold nothing odd. Where they
    are written another way (a blank after the colon, say) the oddities are looked for one by one.

    Raises:
        NotAlike: a line needs a closer look: blank, broken, with a long number, or with what looks
            like two equal keys.
    """
    return parse_lines(block.removesuffix(b"\n").split(b"\n"))


def parse_lines(lines: list[bytes]) -> Iterator[list[dict[str, Any]]]:
    """The same for rows that stand by themselves already."""
    compact = True
    for at in range(0, len(lines), ROWS_AT_ONCE):
        some = lines[at : at + ROWS_AT_ONCE]
        rows = _parse_some(some)
        compact = compact and _written_again(rows) == b"[" + b",".join(some) + b"]"
        if not compact:
            _refuse_odd(b"\n".join(some), rows)
        yield rows


def _parse_some(lines: list[bytes]) -> list[dict[str, Any]]:
    try:
        rows: list[Any] = list(map(loads, lines))
    except orjson.JSONDecodeError:
        raise NotAlike from None
    if set(map(type, rows)) != {dict}:
        raise NotAlike
    return rows


def _written_again(rows: list[dict[str, Any]]) -> bytes:
    try:
        return orjson.dumps(rows)
    except TypeError:
        # Nested deeper than orjson writes.
        raise NotAlike from None


def _refuse_odd(text: bytes, rows: list[dict[str, Any]]) -> None:
    # Quotes and colons written as escapes would be counted only in what is written again.
    if has_long_number(text) or has_loose_key(text) or _ESCAPED_KEY_END.search(text):
        raise NotAlike
    if text.count(b'":') != _keys_of(rows):
        raise NotAlike


def _keys_of(rows: list[dict[str, Any]]) -> int:
    """How many keys there are in rows, in what is nested in them too (told from the first row)."""
    keys = sum(map(len, rows))
    for key in [key for key, value in rows[0].items() if type(value) in (dict, list)]:
        try:
            keys += orjson.dumps([row[key] for row in rows]).count(b'":')
        except (KeyError, TypeError):
            raise NotAlike from None
    return keys


def parse(line: bytes, *, careful: bool = False) -> dict[str, Any]:
    """The row of a single line, without its end.

    Args:
        line: the line.
        careful: read by the standard library in any case.

    Raises:
        BadRow: not JSON, not an object, or a key stands twice in one object.
    """
    return _parse_exactly(line) if careful else LineParser(line).parse(line)


def _parse_exactly(line: bytes) -> dict[str, Any]:
    try:
        # Decoded here: left to itself, json takes halves of surrogate pairs for UTF-8.
        row = json.loads(line.decode(), object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_finite)
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
