"""The columns of a live table: what they show, how wide they are, and which give way on a narrow screen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from streamconsole.engines.text import clean
from streamconsole.screens.widgets.states import Kind

__all__ = ["GAP", "Cell", "Column", "Row", "fit_columns", "fit_text"]

GAP: Final = 2
"""Cells between two columns."""

Cell = str | int | float | Text | None
"""What may stand in a row. Strings are plain text, never markup; they are cleaned when painted."""

Row = Sequence[Cell]


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        key: its name, for sorting and for messages.
        title: its heading.
        width: in cells; None shares what the others leave.
        min_width: the least a flexible column is worth showing with, in cells.
        align: where short text stands.
        priority: 1 is kept to the last; of those that do not fit, the highest number is dropped first.
        states: the column holds state words of this kind, shown as glyph, word and colour.
        style: theme variable for a cell's colour (`text-muted`, `state-failed`, …), or None for the row's.
        format: how a value is written; default `str`, None is empty.
        sort_key: what a cell is sorted by; default the cell itself (numbers, then text, then empty).
    """

    key: str
    title: str
    width: int | None = None
    min_width: int = 8
    align: Literal["left", "right"] = "left"
    priority: int = 1
    states: Kind | None = None
    style: Callable[[Cell], str | None] | None = None
    format: Callable[[Cell], str] | None = None
    sort_key: Callable[[Cell], Cell] | None = None

    def text(self, cell: Cell) -> str:
        """Return the cell as one line of inert text."""
        if self.format is not None:
            return clean(self.format(cell))
        return "" if cell is None else clean(cell)


def fit_columns(columns: Sequence[Column], available: int) -> list[tuple[int, int]]:
    """Return `(index, width)` of the columns that fit into `available` cells, in their order.

    Columns of low priority are dropped first, the rightmost among equals; one column always stays.
    """
    kept = list(range(len(columns)))
    while len(kept) > 1 and _needed(columns, kept) > available:
        kept.remove(max(kept, key=lambda index: (columns[index].priority, index)))
    spare = max(0, available - _needed(columns, kept))
    flexible = [index for index in kept if columns[index].width is None]
    shares = {index: _share(spare, len(flexible), turn) for turn, index in enumerate(flexible)}
    return [(index, min(_least(columns[index]) + shares.get(index, 0), available)) for index in kept]


def _share(spare: int, parts: int, turn: int) -> int:
    return spare // parts + (turn < spare % parts)


def _least(column: Column) -> int:
    return column.min_width if column.width is None else column.width


def _needed(columns: Sequence[Column], kept: Sequence[int]) -> int:
    return sum(_least(columns[index]) for index in kept) + GAP * (len(kept) - 1)


def fit_text(text: str, width: int, align: Literal["left", "right"] = "left", more: str = "…") -> str:
    """Return `text` exactly `width` cells wide: padded, or cut and ended with `more`."""
    length = len(text) if text.isascii() else cell_len(text)
    if length > width:
        return set_cell_size(text, width - 1) + more if width > 0 else ""
    blank = " " * (width - length)
    return blank + text if align == "right" else text + blank
