"""Differences in the operator's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streamconsole.engines.secrets import mask
from streamconsole.engines.text import clean

VALUE_SHOWN = 48
"""Characters of a value that are told."""

COLUMNS_SHOWN = 4

NOTHING = object()

MISSING = "missing in the target"


def difference(source: Mapping[str, Any], target: Mapping[str, Any]) -> tuple[str, str]:
    """In which columns two rows differ, and how.

    Args:
        source: the row as it should be.
        target: the row as it is.
    """
    names = [
        name
        for name in dict.fromkeys([*source, *target])
        if source.get(name, NOTHING) != target.get(name, NOTHING) or type(source[name]) is not type(target[name])
    ]
    told = "; ".join(_told(name, source, target) for name in names[:COLUMNS_SHOWN])
    more = f"; and {len(names) - COLUMNS_SHOWN} more columns" if len(names) > COLUMNS_SHOWN else ""
    return ", ".join(names), told + more


def shown(name: str, value: Any) -> str:
    """A column with its value: one line, cut, no secret."""
    if value is NOTHING:
        return f"no {clean(name, limit=VALUE_SHOWN)}"
    if value is None:
        return f"{clean(name, limit=VALUE_SHOWN)}=null"
    # In quotes, by which values of columns that are named like secrets are recognised.
    return mask(f"{clean(name, limit=VALUE_SHOWN)}='{clean(value, limit=VALUE_SHOWN)}'")


def _told(name: str, source: Mapping[str, Any], target: Mapping[str, Any]) -> str:
    return f"source {shown(name, source.get(name, NOTHING))}, target {shown(name, target.get(name, NOTHING))}"
