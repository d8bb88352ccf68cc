"""The console's themes, and which one suits a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from streamconsole.themes import console_dark, console_light, contrast, terminal

if TYPE_CHECKING:
    from textual.app import App
    from textual.theme import Theme

__all__ = ["DEFAULT", "STATE_DEFAULTS", "THEMES", "choose", "install"]

THEMES: Final[dict[str, Theme]] = {
    module.THEME.name: module.THEME for module in (console_dark, console_light, terminal, contrast)
}

DEFAULT: Final = console_dark.THEME.name

STATE_DEFAULTS: Final = {name: value for name, value in terminal.THEME.variables.items() if name.startswith("state-")}
"""State colours for themes that have none; an app returns them from `get_theme_variable_defaults()`."""

_LIGHT_BACKGROUNDS: Final = {"7", "15"}


def install(app: App[Any], name: str | None = None) -> None:
    """Register all themes with `app` and put one on; without `name` the default."""
    for theme in THEMES.values():
        app.register_theme(theme)
    app.theme = DEFAULT if name is None else name


def choose(environ: Mapping[str, str]) -> str:
    """Return the name of the theme for a terminal described by its environment.

    `STREAMCONSOLE_THEME` decides if it names one; `NO_COLOR`, and terminals of 16 colours, keep their own
    palette; a terminal known to be light (`COLORFGBG`) gets the light theme.
    """
    wish = environ.get("STREAMCONSOLE_THEME", "")
    if wish in THEMES:
        return wish
    if environ.get("NO_COLOR") or not _has_256_colours(environ):
        return terminal.THEME.name
    background = environ.get("COLORFGBG", "").rpartition(";")[2]
    return console_light.THEME.name if background in _LIGHT_BACKGROUNDS else DEFAULT


def _has_256_colours(environ: Mapping[str, str]) -> bool:
    if environ.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return True
    term = environ.get("TERM", "")
    return "256" in term or "direct" in term or term in ("xterm-kitty", "xterm-ghostty", "alacritty", "foot", "wezterm")
