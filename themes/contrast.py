"""High contrast on black, in colours that colour-blind eyes keep apart (after Okabe and Ito)."""

from __future__ import annotations

from typing import Final

from textual.theme import Theme

THEME: Final = Theme(
    name="contrast",
    primary="#56b4e9",
    secondary="#ffffff",
    accent="#f0e442",
    warning="#f0e442",
    error="#ff8c3a",
    success="#00d0a0",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#1a1a1a",
    dark=True,
    variables={
        "state-pending": "#c8c8c8",
        "state-running": "#56b4e9",
        "state-paused": "#e0a0d0",
        "state-completed": "#00d0a0",
        "state-failed": "#ff8c3a",
        "state-retrying": "#f0e442",
        "state-cancelled": "#b0b0b0",
        "block-cursor-background": "#ffffff",
        "block-cursor-foreground": "#000000",
        "block-cursor-blurred-background": "#4a4a4a",
        "block-cursor-blurred-foreground": "#ffffff",
        "border": "#ffffff",
        "border-blurred": "#9a9a9a",
        "footer-key-foreground": "#f0e442",
        "text-muted": "#d0d0d0",
    },
)
