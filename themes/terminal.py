"""The terminal's own 16 colours and its own background; fewest bytes, and right under NO_COLOR.

White, black and bright colours are avoided, since each vanishes on one of the two backgrounds. What is
selected is shown in reverse, which any terminal can do without a colour.
"""

from __future__ import annotations

from typing import Final

from textual.theme import Theme

_REVERSED: Final = "reverse"

THEME: Final = Theme(
    name="terminal",
    ansi=True,
    primary="ansi_blue",
    secondary="ansi_cyan",
    accent="ansi_magenta",
    warning="ansi_yellow",
    error="ansi_red",
    success="ansi_green",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    boost="ansi_default",
    dark=True,
    variables={
        "ansi-background": "ansi_default",
        "ansi-foreground": "ansi_default",
        "state-pending": "ansi_default",
        "state-running": "ansi_blue",
        "state-paused": "ansi_magenta",
        "state-completed": "ansi_green",
        "state-failed": "ansi_red",
        "state-retrying": "ansi_yellow",
        "state-cancelled": "ansi_default",
        "block-cursor-background": "ansi_default",
        "block-cursor-foreground": "ansi_default",
        "block-cursor-text-style": _REVERSED,
        "block-cursor-blurred-background": "ansi_default",
        "block-cursor-blurred-foreground": "ansi_default",
        "block-cursor-blurred-text-style": "underline",
        "border": "ansi_cyan",
        "border-blurred": "ansi_default",
        "footer-key-foreground": "ansi_magenta",
        "input-cursor-text-style": _REVERSED,
        "input-selection-background": "ansi_default",
        "input-selection-foreground": "ansi_default",
        "screen-selection-background": "ansi_cyan",
        "screen-selection-foreground": "ansi_black",
        "scrollbar": "ansi_cyan",
        "scrollbar-hover": "ansi_cyan",
        "scrollbar-active": "ansi_cyan",
        "scrollbar-background": "ansi_default",
        "scrollbar-background-hover": "ansi_default",
        "scrollbar-background-active": "ansi_default",
        "scrollbar-corner-color": "ansi_default",
    },
)
