"""Keys of rows, and paths into what is nested in them: `address.zip`."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from streamconsole.engines.errors import Refused

Change = Callable[[dict[str, Any], str], None]


def visit(row: dict[str, Any], path: str, change: Change) -> None:
    """Call `change(object, key)` wherever a path leads; a key that has the dots in its name goes first."""
    if path in row:
        change(row, path)
        return
    head, dot, rest = path.partition(".")
    if not dot:
        return
    inner = row.get(head)
    for each in inner if type(inner) is list else (inner,):
        if type(each) is dict:
            visit(each, rest, change)


def leads_somewhere(sample: Iterable[Mapping[str, Any]], path: str) -> bool:
    """Whether a path is there in any of some rows."""
    found: list[str] = []
    for row in sample:
        visit(dict(row), path, lambda _, key: found.append(key))
        if found:
            return True
    return False


def refuse_unknown(what: str, paths: Iterable[str], sample: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a path that no row looked at has: a misspelt one would let through what was to be changed.

    Raises:
        Refused: names it, and what it may have meant.
    """
    for path in paths:
        if not leads_somewhere(sample, path):
            raise _unknown(what, path, sample)


def refuse_unknown_keys(what: str, names: Iterable[str], sample: Sequence[Mapping[str, Any]]) -> None:
    """The same for whole keys.

    Raises:
        Refused: names it, and what it may have meant.
    """
    for name in names:
        if not any(name in row for row in sample):
            raise _unknown(what, name, sample)


def _unknown(what: str, name: str, sample: Sequence[Mapping[str, Any]]) -> Refused:
    known = list(dict.fromkeys(key for row in sample for key in row))
    close = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known[:12])}"
    return Refused(f"{what}: no row looked at has {name!r}: {hint}")
