"""A table for rows that never stop moving: only lines that changed are painted, at any number of rows."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import partial
from typing import ClassVar, Final

from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from streamconsole.engines.text import clean
from streamconsole.screens.widgets.columns import Cell, Column, Row
from streamconsole.screens.widgets.palette import variable_style
from streamconsole.screens.widgets.row_order import RowOrder
from streamconsole.screens.widgets.row_painter import RowPainter
from streamconsole.screens.widgets.states import ascii_only

__all__ = ["Cell", "Column", "LiveTable", "Row"]

_HEADER_LINES: Final = 1
_NOTHING: Final = object()


class LiveTable(ScrollView, can_focus=True):
    """A virtual table. Feed it from the screen's tick with what changed since the last one."""

    DEFAULT_CSS = """
    LiveTable {
        height: 1fr;
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size-vertical: 1;
        & > .live-table--header { color: $text-muted; text-style: bold; }
        & > .live-table--empty { color: $text-muted; }
        & > .live-table--marked { text-style: bold; }
        & > .live-table--cursor {
            color: $block-cursor-blurred-foreground;
            background: $block-cursor-blurred-background;
            text-style: $block-cursor-blurred-text-style;
        }
        &:focus > .live-table--cursor {
            color: $block-cursor-foreground;
            background: $block-cursor-background;
            text-style: $block-cursor-text-style;
        }
    }
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "live-table--header",
        "live-table--empty",
        "live-table--marked",
        "live-table--cursor",
    }

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False, id="table.up"),
        Binding("down,j", "move(1)", "Down", show=False, id="table.down"),
        Binding("pageup", "move_page(-1)", "Page up", show=False, id="table.page-up"),
        Binding("pagedown", "move_page(1)", "Page down", show=False, id="table.page-down"),
        Binding("home,g", "move_to(0)", "First", show=False, id="table.first"),
        Binding("end,G", "move_to(-1)", "Last", show=False, id="table.last"),
        Binding("space", "mark", "Mark", show=False, id="table.mark"),
        Binding("enter", "select", "Open", show=False, id="table.select"),
    ]

    class _OfRow(Message):
        def __init__(self, table: LiveTable, key: Hashable) -> None:
            super().__init__()
            self.table = table
            self.key = key

        @property
        def control(self) -> LiveTable:
            """The table it came from."""
            return self.table

    class RowHighlighted(_OfRow):
        """The cursor came to stand on another row. Attributes: `table`, `key`."""

    class RowSelected(_OfRow):
        """Enter was pressed on a row, or it was clicked under the cursor. Attributes: `table`, `key`."""

    class MarksChanged(Message):
        """Rows were marked or unmarked. Attribute: `table`."""

        def __init__(self, table: LiveTable) -> None:
            super().__init__()
            self.table = table

        @property
        def control(self) -> LiveTable:
            """The table it came from."""
            return self.table

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        empty: str = "Nothing here yet",
        empty_filtered: str = "Nothing matches the filter",
        markable: bool = False,
        ascii: bool | None = None,  # noqa: A002
        name: str | None = None,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        """Create the table without rows.

        Args:
            columns: from left to right; at least one.
            empty: what is said when there are no rows.
            empty_filtered: what is said when the filter hides all rows.
            markable: whether space marks rows.
            ascii: whether to keep to ASCII; default as the locale demands.
            name: as in `Widget`.
            id: as in `Widget`.
            classes: as in `Widget`.
        """
        super().__init__(name=name, id=id, classes=classes)
        self.columns = tuple(columns)
        self._empty = empty
        self._empty_filtered = empty_filtered
        self._markable = markable
        self._painter = RowPainter(self.columns, markable=markable, ascii=ascii_only() if ascii is None else ascii)
        self._rows = RowOrder()
        self._sorted: tuple[str, bool] | None = None
        self._filtered = False
        self._cursor = 0
        self._cursor_key: Hashable | None = None
        self._marks: set[Hashable] = set()
        self._painted: dict[int, Hashable] = {}

    # -- rows --------------------------------------------------------------------------------------

    @property
    def row_count(self) -> int:
        """How many rows are shown, after the filter."""
        return len(self._rows)

    @property
    def total_count(self) -> int:
        """How many rows there are, before the filter."""
        return self._rows.total

    def row(self, key: Hashable) -> Row:
        """Return the row of `key`; KeyError when there is none."""
        return self._rows.row(key)

    def shown_keys(self, start: int = 0, stop: int | None = None) -> list[Hashable]:
        """Return the keys of all rows that pass the filter, in their order: a frozen list for bulk verbs.

        Args:
            start: the first of them that is wanted.
            stop: the first that is not; None for all.
        """
        return self._rows.shown(start, stop)

    def set_rows(self, keys: Iterable[Hashable], rows: Iterable[Row]) -> None:
        """Replace all rows; `keys` and `rows` go in step (ValueError otherwise). Marks of lost rows go."""
        given = list(zip(keys, rows, strict=True))
        changed = {key for key, row in given if key not in self._rows or self._rows.row(key) != row}
        self._rows.set((key for key, _ in given), (row for _, row in given))
        self._drop_marks()
        self._reshape(changed)

    def update_rows(self, changes: Mapping[Hashable, Row]) -> None:
        """Change rows by key; unknown keys are added. Only lines in sight that differ are painted."""
        changes = {key: row for key, row in changes.items() if key not in self._rows or self._rows.row(key) != row}
        if not changes:
            return
        if self._rows.update(changes):
            self._reshape(changes)
        else:
            self._repaint(changes)

    def remove_rows(self, keys: Iterable[Hashable]) -> None:
        """Take rows away; unknown keys are ignored."""
        if self._rows.remove(keys):
            self._reshape()
        self._drop_marks()

    def say_when_empty(self, text: str) -> None:
        """What is said when there are no rows, from now on."""
        if text != self._empty:
            self._empty = text
            self._refresh_lines(_HEADER_LINES, 1)

    def clear(self) -> None:
        """Take all rows away."""
        self.set_rows((), ())

    # -- order and selection -----------------------------------------------------------------------

    @property
    def sorted_by(self) -> tuple[str, bool] | None:
        """The column's key and whether the order is descending; None when rows stand as they came."""
        return self._sorted

    def sort(self, column: str | None, *, reverse: bool = False) -> None:
        """Keep the rows sorted by a column (KeyError if unknown); None restores the order they came in."""
        self._sorted = None if column is None else (column, reverse)
        self._rows.sort(None if column is None else self._sort_value(column), reverse=reverse)
        self._reshape()
        self._refresh_lines(0, 1)

    def filter(self, wanted: Callable[[Hashable, Row], bool] | None) -> None:
        """Show only rows for which `wanted(key, row)` holds, now and after every update; None shows all."""
        self._filtered = wanted is not None
        self._rows.filter(wanted)
        self._reshape()

    def _sort_value(self, key: str) -> Callable[[Row], Cell]:
        index = next((index for index, column in enumerate(self.columns) if column.key == key), None)
        if index is None:
            raise KeyError(key)
        of = self.columns[index].sort_key
        if of is None:
            return lambda row: row[index]
        return lambda row: of(row[index])

    # -- cursor ------------------------------------------------------------------------------------

    @property
    def cursor_key(self) -> Hashable | None:
        """The key of the row under the cursor; None when there are no rows."""
        return self._cursor_key

    def move_cursor(self, key: Hashable) -> bool:
        """Put the cursor on a row and bring it into sight; False when it is not shown."""
        index = self._rows.index(key)
        if index is not None:
            self.action_move_to(index)
        return index is not None

    def action_move(self, step: int) -> None:
        self.action_move_to(max(0, self._cursor + step))

    def action_move_page(self, direction: int) -> None:
        self.action_move(direction * max(1, self._page - 1))

    def action_move_to(self, index: int) -> None:
        last = len(self._rows) - 1
        if last < 0:
            return
        old = self._cursor
        self._cursor = last if index < 0 else min(index, last)
        self._note_cursor()
        if old != self._cursor:
            self._refresh_row(old)
            self._refresh_row(self._cursor)
        self._into_sight()

    def action_select(self) -> None:
        if self._cursor_key is not None:
            self.post_message(self.RowSelected(self, self._cursor_key))

    def _note_cursor(self) -> None:
        key = self._rows.key_at(self._cursor) if len(self._rows) else None
        if key != self._cursor_key:
            self._cursor_key = key
            if key is not None:
                self.post_message(self.RowHighlighted(self, key))

    def _into_sight(self) -> None:
        top, page = self.scroll_offset.y, self._page
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False)
        elif self._cursor >= top + page:
            self.scroll_to(y=self._cursor - page + 1, animate=False)

    @property
    def _line_width(self) -> int:
        return self.scrollable_content_region.width

    @property
    def _page(self) -> int:
        return max(1, self.scrollable_content_region.height - _HEADER_LINES)

    def on_click(self, event: events.Click) -> None:
        line = event.get_content_offset_capture(self).y - _HEADER_LINES
        index = self.scroll_offset.y + line
        if line < 0 or index >= len(self._rows):
            return
        if index == self._cursor:
            self.action_select()
        self.action_move_to(index)

    # -- marks -------------------------------------------------------------------------------------

    @property
    def marked(self) -> list[Hashable]:
        """The keys of marked rows that are shown, in their order."""
        return [key for key in self._rows.shown() if key in self._marks] if self._marks else []

    def mark(self, keys: Iterable[Hashable], *, on: bool = True) -> None:
        """Mark rows, or unmark them."""
        self._set_marks(self._marks | set(keys) if on else self._marks - set(keys))

    def mark_all(self) -> None:
        """Mark every row that passes the filter."""
        self._set_marks(self._marks | set(self._rows.shown()))

    def clear_marks(self) -> None:
        """Unmark all rows."""
        self._set_marks(set())

    def action_mark(self) -> None:
        if self._markable and self._cursor_key is not None:
            self._set_marks(self._marks ^ {self._cursor_key})
            self.action_move(1)

    def _set_marks(self, marks: set[Hashable]) -> None:
        changed = {key for key in marks ^ self._marks if key in self._rows}
        self._marks = {key for key in marks if key in self._rows}
        if changed:
            self._repaint(changed)
            self.post_message(self.MarksChanged(self))

    def _drop_marks(self) -> None:
        if any(key not in self._rows for key in self._marks):
            self._marks = {key for key in self._marks if key in self._rows}
            self.post_message(self.MarksChanged(self))

    # -- what has to be painted --------------------------------------------------------------------

    def _reshape(self, changed: Iterable[Hashable] = ()) -> None:
        """Rows came, went or changed places: the cursor stays on its row, lines that differ are painted."""
        index = None if self._cursor_key is None else self._rows.index(self._cursor_key)
        self._cursor = min(self._cursor, max(0, len(self._rows) - 1)) if index is None else index
        self._note_cursor()
        height = len(self._rows) + _HEADER_LINES
        if height != self.virtual_size.height:
            self._resize_virtually(Size(self.size.width, height))
        self._repaint(changed)

    def _resize_virtually(self, size: Size) -> None:
        # Assigning virtual_size would lay out the whole screen; the scrollbar alone needs to know.
        self.set_reactive(Widget.virtual_size, size)
        if self.is_attached:
            self._scroll_update(size)

    def _repaint(self, changed: Iterable[Hashable]) -> None:
        """Paint the lines whose row changed, or that show another row than they did."""
        keys = changed if isinstance(changed, (set, Mapping)) else set(changed)
        top = self.scroll_offset.y
        for line, key in enumerate(self._rows.shown(top, top + self._page)):
            if key in keys or key != self._painted.get(line, _NOTHING):
                self._refresh_lines(line + _HEADER_LINES, 1)
        for line in range(max(0, len(self._rows) - top), len(self._painted)):
            self._refresh_lines(line + _HEADER_LINES, 1)

    def _refresh_row(self, index: int) -> None:
        line = index - self.scroll_offset.y
        if 0 <= line < self._page:
            self._refresh_lines(line + _HEADER_LINES, 1)

    def _refresh_lines(self, first: int, count: int) -> None:
        self.refresh(Region(0, first, self.size.width, count))

    # -- painting ----------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        self._painter.fit(self._line_width)
        if y < _HEADER_LINES:
            return self._painter.header(self.get_component_rich_style("live-table--header"), self._sorted)
        line = y - _HEADER_LINES
        index = self.scroll_offset.y + line
        if index < len(self._rows):
            return self._render_row(line, index)
        self._painted.pop(line, None)
        return self._render_empty() if line == 0 else Strip.blank(self._line_width, self.rich_style)

    def _render_row(self, line: int, index: int) -> Strip:
        key = self._painted[line] = self._rows.key_at(index)
        marked = key in self._marks
        if index == self._cursor:
            style = self.get_component_rich_style("live-table--cursor")
            return self._painter.row(self._rows.row(key), style, marked=marked, colour=None)
        style = self.get_component_rich_style("live-table--marked") if marked else self.rich_style
        colour = partial(variable_style, self)
        return self._painter.row(self._rows.row(key), style, marked=marked, colour=colour)

    def _render_empty(self) -> Strip:
        text = self._empty_filtered if self._filtered and self._rows.total else self._empty
        style = self.get_component_rich_style("live-table--empty")
        return Strip([Segment(clean(text), style)]).adjust_cell_length(self._line_width, style)
