"""Printing lists: aligned columns for people, JSON Lines for scripts."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from streamconsole.engines.secrets import mask
from streamconsole.engines.text import clean
from streamconsole.json_line import json_line


def print_json(values: Iterable[Mapping[str, Any]]) -> None:
    """One object a line, on stdout."""
    for value in values:
        sys.stdout.write(json_line(value))
    sys.stdout.flush()


def print_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Aligned columns on stdout; what comes from outside is made inert."""
    cells = [[clean(mask(str("" if cell is None else cell)), limit=120) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    for line in (header, *cells):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())  # noqa: T201


def say(text: str) -> None:
    """One line for the operator, on stdout."""
    print(clean(mask(text), limit=2000))  # noqa: T201


def moment(millis: int | None) -> str:
    """A moment in local time, empty for none."""
    return datetime.fromtimestamp(millis / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S") if millis else ""
