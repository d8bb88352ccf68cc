"""Columns whose texts are JSON, parsed at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson


def whole_json(texts: Sequence[str]) -> list[Any] | None:
    """All values of a column; None unless each is an object or array that would be written again as it is."""
    try:
        parsed = list(map(orjson.loads, texts))
        same = orjson.dumps(parsed) == f"[{','.join(texts)}]".encode()
    except (ValueError, TypeError, RecursionError):
        return None
    return parsed if same and set(map(type, parsed)) <= {dict, list} else None
