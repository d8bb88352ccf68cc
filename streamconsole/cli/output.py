"""Printing lists: aligned columns for people, JSON Lines for scripts."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from streamconsole.engines.secrets import mask
from streamconsole.engines.text import clean
from streamconsole.json_line import json_line

ROWS_ALIGNED = 1_000


def print_json(values: Iterable[Mapping[str, Any]]) -> None:
    """One object a line, on stdout."""
    for value in values:
        sys.stdout.write(json_line(value))
    sys.stdout.flush()


def print_table(
    header: Sequence[str] | None, rows: Iterable[Sequence[Any]], least: Sequence[int] | None = None
) -> list[int]:
    """Aligned columns on stdout, at least so wide; what comes from outside is made inert. Gives the widths."""
    cells = [[clean(mask(str("" if cell is None else cell)), limit=120) for cell in row] for row in rows]
    lines = cells if header is None else [[*header], *cells]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    widths = list(map(max, widths, least)) if least is not None else widths
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())  # noqa: T201
    return widths


def print_table_of(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """The same for any number of rows: columns are as wide as some of them need."""
    left = iter(rows)
    some = list(islice(left, ROWS_ALIGNED))
    widths = print_table(header, some)
    while some := list(islice(left, ROWS_ALIGNED)):
        widths = print_table(None, some, widths)


def say(text: str) -> None:
    """One line for the operator, on stdout."""
    print(clean(mask(text), limit=2000))  # noqa: T201


def moment(millis: int | None) -> str:
    """A moment in local time, empty for none."""
    return datetime.fromtimestamp(millis / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S") if millis else ""
