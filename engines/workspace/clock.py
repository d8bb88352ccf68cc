"""Time as the workspace keeps it."""

from __future__ import annotations

from time import time


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return int(time() * 1000)
