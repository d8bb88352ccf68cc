"""Columns whose texts are JSON, parsed at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson


class ParsedColumn(list[Any]):
    """Values of a column, each parsed from a text that would be written again just so.

    Args:
        values: parsed.
        texts: what they were parsed from.
    """

    def __init__(self, values: Sequence[Any], texts: Sequence[str]) -> None:
        super().__init__(values)
        self.texts = texts


def whole_json(texts: Sequence[str]) -> ParsedColumn | None:
    """All values of a column; None unless each is an object or array that would be written again as it is."""
    try:
        parsed = list(map(orjson.loads, texts))
        same = orjson.dumps(parsed) == f"[{','.join(texts)}]".encode()
    except (ValueError, TypeError, RecursionError):
        return None
    return ParsedColumn(parsed, texts) if same and set(map(type, parsed)) <= {dict, list} else None
