"""Copying a live workspace."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from streamconsole.engines.errors import Refused


def backup(path: Path, copy: Path) -> int:
    """Copy a workspace that may be in use to a new file, whole and consistent; gives its bytes.

    Raises:
        Refused: the copy exists already or cannot be written.
    """
    if copy.exists():
        raise Refused(f"{copy} exists already: name a new file")
    unfinished = copy.with_name(f"{copy.name}.unfinished")
    try:
        os.close(os.open(unfinished, os.O_CREAT | os.O_TRUNC | os.O_RDWR, 0o600))
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(unfinished)) as target:
            source.backup(target)
        unfinished.rename(copy)
    except (OSError, sqlite3.Error) as error:
        unfinished.unlink(missing_ok=True)
        raise Refused(f"workspace {path} cannot be copied to {copy}: {error}") from error
    return copy.stat().st_size
