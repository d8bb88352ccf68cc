"""One line that shows how a rate went lately, and what it is now."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import ClassVar, Final

from rich.cells import cell_len
from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from streamconsole.engines.text import clean
from streamconsole.screens.widgets.columns import fit_text
from streamconsole.screens.widgets.palette import variable_style
from streamconsole.screens.widgets.states import ascii_only

__all__ = ["Spark", "bars"]

_BARS: Final = "▁▂▃▄▅▆▇█"
_ASCII_BARS: Final = "_.:-=+*#"


def bars(values: Sequence[float], signs: str | None = None) -> str:
    """Values as bars from 0 to the highest of them; `signs` are the bars, the lowest first."""
    signs = signs or (_ASCII_BARS if ascii_only() else _BARS)
    top, last = max(values, default=0.0), len(signs) - 1
    return "".join(signs[round(value / top * last) if top > 0 else 0] for value in values)


class Spark(Widget):
    """A sparkline: label, bars of the last samples (0 to the highest among them), the current value.

    It has no timer and paints only when `push` changes what is seen.
    """

    DEFAULT_CSS = """
    Spark {
        height: 1;
        width: 1fr;
        & > .spark--label { color: $text-muted; }
        & > .spark--value { text-style: bold; }
    }
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"spark--label", "spark--value"}

    def __init__(
        self,
        label: str = "",
        *,
        label_width: int = 0,
        samples: int = 60,
        value_width: int = 12,
        ascii: bool | None = None,  # noqa: A002
        name: str | None = None,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        """Create it without samples.

        Args:
            label: what is measured; stands on the left.
            label_width: cells kept for the label, so that several stand in line.
            samples: how many are kept; older ones are forgotten.
            value_width: cells kept for the current value, so that the line never jumps.
            ascii: whether to keep to ASCII; default as the locale demands.
            name: as in `Widget`.
            id: as in `Widget`.
            classes: as in `Widget`.
        """
        super().__init__(name=name, id=id, classes=classes)
        self._label = clean(label).ljust(label_width)
        self._samples: deque[float] = deque(maxlen=samples)
        self._text = ""
        self._value_width = value_width
        self._bars = _ASCII_BARS if (ascii_only() if ascii is None else ascii) else _BARS

    @property
    def samples(self) -> list[float]:
        """The samples kept, oldest first."""
        return list(self._samples)

    def push(self, value: float, text: str | None = None) -> None:
        """Add a sample; `text` says it with its unit, default is the rounded number."""
        before = self._shape(self._samples), self._text
        self._samples.append(max(0.0, value))
        self._text = clean(f"{value:,.0f}" if text is None else text)
        if before != (self._shape(self._samples), self._text):
            self.refresh(layout=False)

    def show(self, values: Iterable[float], text: str) -> None:
        """Replace all samples; `text` says the current value."""
        before = self._shape(self._samples), self._text
        self._samples.clear()
        self._samples.extend(values)
        self._text = clean(text)
        if before != (self._shape(self._samples), self._text):
            self.refresh(layout=False)

    def clear(self) -> None:
        """Forget all samples."""
        self._samples.clear()
        self._text = ""
        self.refresh(layout=False)

    def _shape(self, samples: Iterable[float]) -> str:
        return bars(list(samples), self._bars)

    def render_line(self, y: int) -> Strip:
        base = self.rich_style
        if y > 0:
            return Strip.blank(self.size.width, base)
        label = f"{self._label} " if self._label else ""
        room = max(0, self.size.width - cell_len(label) - self._value_width - 1)
        shape = self._shape(self._samples)[-room:] if room else ""
        segments = [
            Segment(label, self.get_component_rich_style("spark--label")),
            Segment(
                fit_text(shape, min(room, self._samples.maxlen or room)),
                base + variable_style(self, "state-running"),
            ),
            Segment(" ", base),
            Segment(
                fit_text(self._text, self._value_width, "right"),
                self.get_component_rich_style("spark--value"),
            ),
        ]
        return Strip(segments).adjust_cell_length(self.size.width, base)
