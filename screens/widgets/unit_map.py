"""A live map of the units of a run: one cell for each while they fit, else one for several."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from streamconsole.screens.widgets.palette import variable_style
from streamconsole.screens.widgets.states import LOUD, Kind, State, ascii_only
from streamconsole.screens.widgets.unit_states import UnitStates

__all__ = ["UnitMap"]


class UnitMap(Widget, can_focus=True):
    """Cells of units by state, the worst of a cell showing, and a legend with the counts in the last line.

    `failed` shows before `retrying`, `running`, `pending` and `completed`.
    """

    DEFAULT_CSS = """
    UnitMap {
        height: 6;
        & > .unit-map--legend { color: $text-muted; }
        & > .unit-map--cursor {
            color: $block-cursor-foreground;
            background: $block-cursor-background;
            text-style: $block-cursor-text-style;
        }
    }
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"unit-map--legend", "unit-map--cursor"}

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "move(-1, 0)", "Left", show=False, id="map.left"),
        Binding("right,l", "move(1, 0)", "Right", show=False, id="map.right"),
        Binding("up,k", "move(0, -1)", "Up", show=False, id="map.up"),
        Binding("down,j", "move(0, 1)", "Down", show=False, id="map.down"),
        Binding("home,g", "move_to(0)", "First", show=False, id="map.first"),
        Binding("end,G", "move_to(-1)", "Last", show=False, id="map.last"),
        Binding("enter", "select", "Open", show=False, id="map.select"),
    ]

    class _OfUnits(Message):
        def __init__(self, unit_map: UnitMap, first: int, last: int, state: State) -> None:
            super().__init__()
            self.unit_map = unit_map
            self.first = first
            self.last = last
            self.state = state

        @property
        def control(self) -> UnitMap:
            """The map it came from."""
            return self.unit_map

    class UnitHighlighted(_OfUnits):
        """The cursor came to another cell: units `first` to `last` (inclusive), the worst in `state`."""

    class UnitSelected(_OfUnits):
        """Enter was pressed on a cell: units `first` to `last` (inclusive), the worst in `state`."""

    def __init__(
        self,
        kind: Kind = "window",
        *,
        ascii: bool | None = None,  # noqa: A002
        name: str | None = None,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        """Create a map without units.

        Args:
            kind: whose states they have.
            ascii: whether to keep to ASCII; default as the locale demands.
            name: as in `Widget`.
            id: as in `Widget`.
            classes: as in `Widget`.
        """
        super().__init__(name=name, id=id, classes=classes)
        self._kind = kind
        self._units = UnitStates(kind)
        self._ascii = ascii_only() if ascii is None else ascii
        self._cursor = 0

    # -- units -------------------------------------------------------------------------------------

    @property
    def unit_count(self) -> int:
        """How many units there are."""
        return len(self._units)

    @property
    def counts(self) -> dict[str, int]:
        """How many units are in each state."""
        return {look.word: count for look, count in self._units.counts().items()}

    def set_units(self, states: Iterable[str]) -> None:
        """Replace all units by their states; KeyError for a state that does not exist."""
        self._units.set(states)
        self._cursor = min(self._cursor, max(0, len(self._units) - 1))
        self.refresh()

    def update_units(self, changes: Mapping[int, str]) -> None:
        """Change units by number, from 0; new numbers are added. Only lines that hold them are painted."""
        grain = self.grain
        changed = self._units.update(changes)
        if self.grain != grain:
            self.refresh()
        elif changed:
            width = self._width
            for line in {unit // grain // width for unit in changed}:
                self._refresh_line(line)
            self._refresh_line(self._map_lines)

    @property
    def _noun(self) -> str:
        plural = "es" if self._kind.endswith("s") else "s"
        return self._kind if len(self._units) == 1 else self._kind + plural

    @property
    def grain(self) -> int:
        """How many units one cell stands for, at least 1."""
        return max(1, -(-len(self._units) // (self._width * self._map_lines)))

    @property
    def _width(self) -> int:
        return max(1, self.size.width)

    @property
    def _map_lines(self) -> int:
        return max(1, self.size.height - 1)

    def _span(self, cell: int) -> tuple[int, int]:
        grain = self.grain
        return cell * grain, min((cell + 1) * grain, len(self._units))

    # -- cursor ------------------------------------------------------------------------------------

    @property
    def cursor_units(self) -> range:
        """The numbers of the units under the cursor."""
        return range(*self._span(self._cursor // self.grain))

    def move_cursor(self, unit: int) -> None:
        """Put the cursor on the cell of `unit`, as far as there is one."""
        if not len(self._units):
            return
        old = self._cursor // self.grain
        self._cursor = max(0, min(unit, len(self._units) - 1))
        new = self._cursor // self.grain
        if old != new:
            self._refresh_line(old // self._width)
            self._refresh_line(new // self._width)
            self._say(self.UnitHighlighted)

    def action_move(self, right: int, down: int) -> None:
        cell = self._cursor // self.grain + right + down * self._width
        if 0 <= cell * self.grain < len(self._units):
            self.move_cursor(cell * self.grain)

    def action_move_to(self, unit: int) -> None:
        self.move_cursor(len(self._units) - 1 if unit < 0 else unit)

    def action_select(self) -> None:
        if len(self._units):
            self._say(self.UnitSelected)

    def on_click(self, event: events.Click) -> None:
        place = event.get_content_offset_capture(self)
        unit = (place.y * self._width + place.x) * self.grain
        if place.y < self._map_lines and unit < len(self._units):
            self.move_cursor(unit)

    def on_focus(self) -> None:
        self._refresh_line(self._cursor // self.grain // self._width)

    def on_blur(self) -> None:
        self._refresh_line(self._cursor // self.grain // self._width)

    def _say(self, message: type[_OfUnits]) -> None:
        start, stop = self._span(self._cursor // self.grain)
        self.post_message(message(self, start, stop - 1, self._units.worst(start, stop)))

    # -- painting ----------------------------------------------------------------------------------

    def _refresh_line(self, line: int) -> None:
        self.refresh(Region(0, line, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        if y == self.size.height - 1:
            return self._legend()
        width, grain = self._width, self.grain
        last = -(-len(self._units) // grain)
        cells = [self._units.worst(*self._span(cell)) for cell in range(y * width, min((y + 1) * width, last))]
        segments = [
            Segment(look.cell(ascii=self._ascii) * sum(1 for _ in same), self._style(look))
            for look, same in groupby(cells)
        ]
        strip = Strip(segments).adjust_cell_length(width, self.rich_style)
        column = self._cursor // grain - y * width
        return self._with_cursor(strip, column) if self.has_focus and 0 <= column < len(cells) else strip

    def _with_cursor(self, strip: Strip, column: int) -> Strip:
        style = self.get_component_rich_style("unit-map--cursor")
        under = Segment(strip.crop(column, column + 1).text, style)
        return Strip.join([strip.crop(0, column), Strip([under]), strip.crop(column + 1, self._width)])

    def _legend(self) -> Strip:
        base = self.get_component_rich_style("unit-map--legend")
        counts = [(look, count) for look, count in self._units.counts().items() if count]
        segments: list[Segment] = []
        for text, look in self._legend_parts(counts):
            loud = look is not None and look.rank >= LOUD
            segments.append(Segment("  " if segments else "", base))
            if look is not None:
                segments.append(Segment(look.cell(ascii=self._ascii) + " ", self._style(look)))
            segments.append(Segment(text, self._style(look) if look is not None and loud else base))
        return Strip(segments).adjust_cell_length(self.size.width, self.rich_style)

    def _legend_parts(self, counts: list[tuple[State, int]]) -> list[tuple[str, State | None]]:
        """Return the longest legend that fits; the shortest when none does."""
        size = f"{len(self._units):,} {self._noun}"
        head = f"{size}, {self.grain:,} a cell" if self.grain > 1 else size
        words: list[tuple[str, State | None]] = [(f"{count:,} {look.word}", look) for look, count in counts]
        short: list[tuple[str, State | None]] = [(f"{count:,} {look.short}", look) for look, count in counts]
        for parts in ([(head, None), *words], words, short):
            if sum(len(text) + (2 if look else 0) + 2 for text, look in parts) - 2 <= self._width:
                return parts
        return short

    def _style(self, look: State) -> Style:
        return self.rich_style + variable_style(self, look.variable)
