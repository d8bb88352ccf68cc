"""One row of a live table as a strip of styled cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.strip import Strip

from streamconsole.engines.text import clean
from streamconsole.screens.widgets.columns import GAP, Cell, Column, Row, fit_columns, fit_text
from streamconsole.screens.widgets.states import state

__all__ = ["RowPainter"]

_GUTTER: Final = 2


class RowPainter:
    """Writes rows and headings at a given width. Text from outside leaves it inert, whoever supplied it."""

    def __init__(self, columns: Sequence[Column], *, markable: bool, ascii: bool) -> None:  # noqa: A002
        """Args: columns: from left to right; markable: keep a gutter for marks; ascii: keep to ASCII."""
        self._columns = columns
        self._gutter = _GUTTER if markable else 0
        self._mark = "*" if ascii else "◆"
        self._more = "~" if ascii else "…"
        self._arrows = ("^", "v") if ascii else ("▲", "▼")
        self._ascii = ascii
        self._width = 0
        self._fitted: list[tuple[int, int]] = []

    def fit(self, width: int) -> None:
        """Share `width` cells among the columns."""
        if width != self._width:
            self._width = width
            self._fitted = fit_columns(self._columns, max(1, width - self._gutter))

    def header(self, style: Style, sorted_by: tuple[str, bool] | None) -> Strip:
        """Return the headings; the sorted one carries an arrow."""
        segments = [Segment(" " * self._gutter, style)]
        for index, width in self._fitted:
            column = self._columns[index]
            arrow = f" {self._arrows[sorted_by[1]]}" if sorted_by and sorted_by[0] == column.key else ""
            self._add(segments, fit_text(clean(column.title) + arrow, width, column.align, self._more), style)
        return self._strip(segments, style)

    def row(self, row: Row, style: Style, *, marked: bool, colour: Callable[[str], Style] | None) -> Strip:
        """Return a row.

        Args:
            row: one cell for each column; missing ones are empty.
            style: for text without a colour of its own, and for the blanks.
            marked: whether the gutter shows the mark.
            colour: turns a theme variable into a style; None paints all in `style`.
        """
        segments = [Segment(self._mark + " " if marked else " " * self._gutter, style)] if self._gutter else []
        for index, width in self._fitted:
            cell = row[index] if index < len(row) else None
            segments += self._cell(self._columns[index], cell, width, style, colour)
            segments.append(Segment(" " * GAP, style))
        return self._strip(segments, style)

    def _cell(
        self, column: Column, cell: Cell, width: int, style: Style, colour: Callable[[str], Style] | None
    ) -> list[Segment]:
        if isinstance(cell, Text) and column.format is None:
            return self._styled(cell, column, width, style, plain=colour is None)
        text = column.text(cell)
        variable = None if colour is None or column.style is None else column.style(cell)
        if column.states is not None and text:
            look = state(column.states, text)
            text = f"{look.sign(ascii=self._ascii)} {text}"
            variable = variable or look.variable
        if colour is not None and variable is not None:
            style += colour(variable)
        return [Segment(fit_text(text, width, column.align, self._more), style)]

    def _styled(self, cell: Text, column: Column, width: int, style: Style, *, plain: bool) -> list[Segment]:
        """Return a cell that brings its own styles; they hold only while its text needs no cleaning."""
        text = clean(cell.plain)
        if plain or text != cell.plain:
            return [Segment(fit_text(text, width, column.align, self._more), style)]
        if cell.cell_len > width:
            cell = cell.copy()
            cell.truncate(width - len(self._more), overflow="crop")
            cell.append(self._more)
        blank = Segment(" " * (width - cell.cell_len), style)
        spans = [Segment(part.text, style + part.style if part.style else style) for part in _parts(cell)]
        return [blank, *spans] if column.align == "right" else [*spans, blank]

    def _add(self, segments: list[Segment], text: str, style: Style) -> None:
        segments.append(Segment(text, style))
        segments.append(Segment(" " * GAP, style))

    def _strip(self, segments: list[Segment], style: Style) -> Strip:
        return Strip(segments).adjust_cell_length(self._width, style).simplify()


def _parts(text: Text) -> list[Segment]:
    """Split `text` where its style changes, leaving links and other meta out."""
    edges = sorted({0, len(text.plain), *(edge for span in text.spans for edge in (span.start, span.end))})
    base = text.style if isinstance(text.style, Style) else Style.null()
    parts: list[Segment] = []
    for start, end in pairwise(edges):
        inside = [span.style for span in text.spans if span.start <= start and end <= span.end]
        style = Style.combine([base, *(style for style in inside if isinstance(style, Style))])
        parts.append(Segment(text.plain[start:end], style.clear_meta_and_links()))
    return parts
