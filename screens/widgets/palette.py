"""Theme variables as Rich styles, for widgets that paint their own lines."""

from __future__ import annotations

from functools import lru_cache

from rich.style import Style
from textual.color import Color, ColorParseError
from textual.widget import Widget

__all__ = ["variable_style"]


def variable_style(widget: Widget, variable: str) -> Style:
    """Return the foreground style of a theme variable such as `state-running`; empty when it has none."""
    return _style(widget.app.theme_variables.get(variable, ""))


@lru_cache(256)
def _style(css: str) -> Style:
    name, _, attribute = css.partition(" ")
    try:
        color = Color.parse(name).rich_color
    except ColorParseError:
        return Style.null()
    return Style(color=color, bold="bold" in attribute or None, dim="dim" in attribute or None)
