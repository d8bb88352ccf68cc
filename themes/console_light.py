"""For terminals with a light background; every text colour has at least 4.5:1 against it."""

from __future__ import annotations

from typing import Final

from textual.theme import Theme

THEME: Final = Theme(
    name="console-light",
    primary="#1f6f9f",
    secondary="#56657a",
    accent="#8a5a00",
    warning="#8a5a00",
    error="#b3202c",
    success="#2b7a2b",
    foreground="#1d232b",
    background="#fbfbf9",
    surface="#f1f2f0",
    panel="#e5e8e8",
    dark=False,
    variables={
        "state-pending": "#5d6876",
        "state-running": "#1465a0",
        "state-paused": "#6b3fa0",
        "state-completed": "#23702a",
        "state-failed": "#b3202c",
        "state-retrying": "#8a5a00",
        "state-cancelled": "#6a616c",
        "block-cursor-background": "#c7dff0",
        "block-cursor-foreground": "#10151b",
        "block-cursor-blurred-background": "#e3e8ec",
        "block-cursor-blurred-foreground": "#1d232b",
        "border-blurred": "#c9ced3",
        "footer-key-foreground": "#8a5a00",
    },
)
