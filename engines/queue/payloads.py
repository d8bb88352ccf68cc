"""Values that go into the store as JSON and come out the same."""

from __future__ import annotations

import math
from typing import Any

import orjson

from streamconsole.engines.errors import Refused

_STRICT = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS


def to_text(value: Any, what: str) -> str:
    """A value as JSON text.

    Raises:
        Refused: it would not come out the same.
    """
    if value is None:
        return "null"
    try:
        text = orjson.dumps(value, option=_STRICT).decode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Refused(f"the {what} is not JSON: {error}") from None
    # What JSON has no word for is written as null without a warning.
    if "null" in text and _has_odd_number(value):
        raise Refused(f"the {what} is not JSON: it holds a number that is not finite")
    return text


def from_text(text: str | bytes, what: str) -> Any:
    """A value from JSON text.

    Raises:
        Refused: it is not JSON.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Refused(f"the {what} is not JSON: {error}") from None


def _has_odd_number(value: Any) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, dict):
        return any(map(_has_odd_number, value.values()))
    return isinstance(value, list | tuple) and any(map(_has_odd_number, value))
