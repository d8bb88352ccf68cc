"""Files that only their user may read: what failed, and why, may tell of the rows themselves."""

from __future__ import annotations

import os
from pathlib import Path


def append(path: Path, text: str) -> None:
    """Add to a file, made when it does not exist."""
    with open(path, "a", opener=_private) as file:
        file.write(text)


def write(path: Path, content: bytes) -> None:
    """Write a file anew."""
    with open(path, "wb", opener=_private) as file:
        file.write(content)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
