"""Files that only their user may read: what failed, and why, may tell of the rows themselves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def append(path: Path, text: str) -> None:
    """Add to a file, made when it does not exist."""
    with open(path, "a", opener=_private) as file:
        file.write(text)


def write(path: Path, content: bytes) -> None:
    """Write a file anew."""
    with open(path, "wb", opener=_private) as file:
        file.write(content)


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Write a file beside, which takes the name in one moment when the block has ended well."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(beside, "wb", opener=_private) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.rename(path)
    finally:
        beside.unlink(missing_ok=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
