"""One object as a line of JSON that is safe to show on any terminal, and means the same to any reader."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson


def json_line(value: Mapping[str, Any]) -> str:
    r"""The line, with its end.

    Text from outside may hold what steers a terminal or turns the reading direction: that is written
    by its number (`\u009b`), which is the same character to whoever parses the line.
    """
    text = orjson.dumps(value).decode()
    return (text if text.isprintable() else "".join(map(_inert, text))) + "\n"


def _inert(char: str) -> str:
    if char.isprintable():
        return char
    units = char.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
