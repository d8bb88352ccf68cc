"""Numbers in the few cells a terminal has."""

from __future__ import annotations

from rich.text import Text

from streamconsole.screens.views import RunView
from streamconsole.screens.widgets.states import ascii_only


def count(number: float) -> str:
    """A count in at most five cells: `999`, `12.3k`, `4.56M`."""
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= factor:
            scaled = number / factor
            return f"{scaled:.{2 if scaled < 10 else 1 if scaled < 100 else 0}f}{unit}"
    return f"{number:.0f}"


def size(number: float) -> str:
    """Bytes with a binary unit."""
    for factor, unit in ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if number >= factor:
            return f"{number / factor:.1f} {unit}"
    return f"{number:.0f} B"


def span(seconds: float | None) -> str:
    """A time span as `12s`, `3:20` or `1:02:03`; a dash when not known."""
    if seconds is None:
        return "-"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d}"
    return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"


def within(lines: list[str], most: int) -> Text:
    """As many lines as there is room for; the last one says how many more there are."""
    shown = lines if len(lines) <= most else lines[: max(1, most - 1)]
    more = len(lines) - len(shown)
    if more and most > 1:
        shown = [*shown, f"and {more:,} more"]
    elif more:
        shown = [f"{shown[0]}  (+{more:,} more)"]
    return Text("\n".join(shown), no_wrap=True, overflow="ellipsis")


def share(view: RunView) -> str:
    """How much of a run is done, in percent; what it did where the size is not known."""
    return f"{view.share * 100:.0f}%" if view.share is not None else f"{view.totals.completed}w"


def bar(done: float, width: int) -> str:
    """A bar of `width` cells, `done` (0..1) of it full."""
    full, empty = ("#", ".") if ascii_only() else ("━", "─")
    cells = round(done * width)
    return full * cells + empty * (width - cells)
