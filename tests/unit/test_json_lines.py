"""Lines of JSON: whatever way they are read, nothing is lost unnoticed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from streamconsole.engines.migration.batch import NotAlike
from streamconsole.engines.migration.json_lines import BadRow, LineParser, parse_all

TRICKY = ("a", '":', 'x":y', '" :', "\\", " :", "\t:", ":", '":{"b":1}', "é")
NUMBERS = (1, -5, 2**63 - 1, 2**63, 2**64, 10**25, 1.5)


@pytest.mark.parametrize(
    "line",
    [
        rb'{"id":1,"id":2,"o":{"t":"a\u0022:b"}}',
        rb'{"id":1,"id":2,"t":"a\"\u003Ab"}',
        b'{"id" :1,"id":2}',
        b'{"id"\r:1,"id":2}',
        b'{"o":{"a":1,"a":1},"t":1}',
        b'{"id":1,"id":12345678901234567890123}',
    ],
)
def test_a_key_that_stands_twice_is_noticed(line: bytes) -> None:
    with pytest.raises(BadRow):
        LineParser(line).parse(line)
    with pytest.raises(NotAlike):
        list(parse_all(line))


@pytest.mark.parametrize("line", [b'{"a": 1.50, "b": {"c": "d"}}', b'{"a":1,"b":[{"c":2}]}', rb'{"a":"\u00e9"}'])
def test_plain_lines_are_alike(line: bytes) -> None:
    assert list(parse_all(line + b"\n" + line)) == [[json.loads(line)] * 2]


def test_what_is_read_is_what_is_written() -> None:
    random = Random(7)
    for _ in range(5_000):
        lines = [_object(random, 2) for _ in range(random.randrange(1, 4))]
        if random.random() < 0.5:
            lines = [re.sub(r"[ \t\r]+:", ":", line) for line in lines]
        true = [_truth(line) for line in lines]
        parser = LineParser("\n".join(lines).encode())
        assert [_parsed(parser, line) for line in lines] == true, lines
        try:
            found = [row for rows in parse_all("\n".join(lines).encode()) for row in rows]
        except NotAlike:
            continue
        assert repr(found) == repr(true), lines


def _truth(line: str) -> dict[str, Any] | None:
    """The row, by the standard library; None when a key stands twice."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError
        return dict(pairs)

    try:
        row: dict[str, Any] = json.loads(line, object_pairs_hook=once)
    except ValueError:
        return None
    return row


def _parsed(parser: LineParser, line: str) -> dict[str, Any] | None:
    try:
        return parser.parse(line.encode())
    except BadRow:
        return None


def _object(random: Random, depth: int) -> str:
    return "{" + ",".join(_pairs(random, depth)) + "}"


def _pairs(random: Random, depth: int) -> Iterator[str]:
    for _ in range(random.randrange(5)):
        key = _text(random, random.choice("abc") + random.choice(["", "", '":']))
        yield key + random.choice(["", "", "", " ", "  ", "\t", "\r"]) + ":" + _value(random, depth)


def _value(random: Random, depth: int) -> str:
    kind = random.randrange(6 if depth else 4)
    if kind == 5:
        return _object(random, depth - 1)
    if kind == 4:
        return "[" + ",".join(_value(random, depth - 1) for _ in range(random.randrange(3))) + "]"
    if kind == 3:
        return json.dumps(random.choice(NUMBERS))
    return "null" if kind == 2 else _text(random, random.choice(TRICKY) + random.choice(TRICKY))


def _text(random: Random, text: str) -> str:
    """A text as JSON, some of its quotes and colons as escapes."""
    written = json.dumps(text, ensure_ascii=random.random() < 0.5)
    if random.random() < 0.3:
        written = written.replace('\\"', r"\u0022")
    return written.replace(":", random.choice([":", ":", r"\u003a", r"\u003A"]))
