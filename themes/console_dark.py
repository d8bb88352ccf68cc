"""The default: calm on a dark background, so that only what needs attention stands out."""

from __future__ import annotations

from typing import Final

from textual.theme import Theme

THEME: Final = Theme(
    name="console-dark",
    primary="#5fa8d3",
    secondary="#7d8fa9",
    accent="#d7a65f",
    warning="#e5b567",
    error="#e8707a",
    success="#7fbf7f",
    foreground="#d6dbe3",
    background="#12161c",
    surface="#191f27",
    panel="#212934",
    dark=True,
    variables={
        "state-pending": "#8792a2",
        "state-running": "#62b2ea",
        "state-paused": "#c4a7e7",
        "state-completed": "#7fbf7f",
        "state-failed": "#f27983",
        "state-retrying": "#e8b765",
        "state-cancelled": "#8f8791",
        "block-cursor-background": "#2f5573",
        "block-cursor-foreground": "#ffffff",
        "block-cursor-blurred-background": "#26303c",
        "block-cursor-blurred-foreground": "#d6dbe3",
        "border-blurred": "#2b3542",
        "footer-key-foreground": "#d7a65f",
    },
)
