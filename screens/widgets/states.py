"""Every state of every engine, as it is shown: a glyph, a word and a colour, never a colour alone.

All glyphs are one cell wide, exist in DejaVu Sans Mono and have no emoji form that a terminal could widen.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["STATES", "Kind", "State", "ascii_only", "state"]

Kind = Literal["run", "window", "job", "chunk", "process"]


@dataclass(frozen=True, slots=True)
class State:
    """How one state looks.

    Attributes:
        word: the state's name, as the engines say it.
        glyph: one cell, for lists.
        ascii: the same where the terminal's locale is not UTF-8.
        block: one cell, for maps, where hundreds stand side by side.
        ascii_block: the same in ASCII.
        variable: the theme variable of its colour, without `$`.
        rank: how much it deserves to be seen; among many the highest wins.
    """

    word: str
    glyph: str
    ascii: str
    block: str
    ascii_block: str
    variable: str
    rank: int

    def sign(self, *, ascii: bool) -> str:  # noqa: A002
        """Return the glyph for lists."""
        return self.ascii if ascii else self.glyph

    def cell(self, *, ascii: bool) -> str:  # noqa: A002
        """Return the glyph for maps."""
        return self.ascii_block if ascii else self.block


def _pending(word: str, glyph: str = "○", plain: str = ".") -> State:
    return State(word, glyph, plain, "·", ".", "state-pending", 2)


def _running(word: str) -> State:
    return State(word, "►", ">", "►", ">", "state-running", 4)


def _retrying(word: str, glyph: str = "↻") -> State:
    return State(word, glyph, "~", glyph, "~", "state-retrying", 6)


def _completed(
    word: str, glyph: str = "✓", plain: str = "+", block: str = "■", plain_block: str = "#"
) -> State:
    return State(word, glyph, plain, block, plain_block, "state-completed", 1)


def _failed(word: str, glyph: str = "✗") -> State:
    return State(word, glyph, "X", glyph, "X", "state-failed", 7)


def _paused(word: str) -> State:
    return State(word, "‖", "=", "‖", "=", "state-paused", 5)


def _cancelled(word: str, glyph: str = "⊘") -> State:
    return State(word, glyph, "-", glyph, "-", "state-cancelled", 3)


def _table(*states: State) -> dict[str, State]:
    return {state.word: state for state in states}


STATES: Final[Mapping[Kind, Mapping[str, State]]] = {
    "run": _table(
        _pending("planned"),
        _running("running"),
        _paused("paused"),
        _failed("failure", "✘"),
        _completed("completed"),
        _cancelled("cancelled"),
    ),
    "window": _table(
        _pending("pending"),
        _running("running"),
        _retrying("retrying"),
        _completed("completed"),
        _failed("failed"),
    ),
    "job": _table(
        _pending("waiting"),
        _running("active"),
        _pending("delayed", "◷", "o"),
        _pending("prioritized", "▲", "^"),
        _pending("waiting-children", "◇", ":"),
        _completed("completed"),
        _failed("failed"),
    ),
    "chunk": _table(
        _pending("buffered", "◌"),
        _running("sending"),
        _retrying("retrying"),
        _completed("stored"),
        _completed("present", "≡", "=", "□", "="),
        _failed("failed"),
    ),
    "process": _table(
        _running("running"),
        _pending("waiting"),
        _paused("paused"),
        _completed("completed"),
        _failed("failed"),
        _retrying("compensating", "↺"),
        _cancelled("compensated", "↶"),
        _cancelled("cancelled"),
    ),
}
"""The states of each kind by their word, in the order of a unit's life."""


def state(kind: Kind, word: str) -> State:
    """Return how `word` looks among the states of `kind`; an unknown one is shown as `?`, never an error."""
    return STATES[kind].get(word) or State(word, "?", "?", "?", "?", "state-pending", 3)


def ascii_only(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the terminal can be trusted with ASCII only: a locale that is not UTF-8, or a bare console."""
    locale = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or "utf-8"
    return environ.get("TERM") == "linux" or locale.lower().replace("-", "").find("utf8") < 0
