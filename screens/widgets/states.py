"""Every state of every engine, as it is shown: a glyph, a word and a colour, never a colour alone.

All glyphs are one cell wide, exist in DejaVu Sans Mono and have no emoji form that a terminal could widen.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["LOUD", "STATES", "Kind", "State", "ascii_only", "state"]

LOUD: Final = 6
"""From this rank on a state asks for somebody: its counts are coloured too."""

Kind = Literal["run", "window", "queue", "job", "chunk", "process"]


@dataclass(frozen=True, slots=True)
class State:
    """How one state looks.

    Attributes:
        word: the state's name, as the engines say it.
        short: the same where room is scarce.
        glyph: one cell, for lists.
        ascii: the same where the terminal's locale is not UTF-8.
        block: one cell, for maps, where hundreds stand side by side.
        ascii_block: the same in ASCII.
        variable: the theme variable of its colour, without `$`.
        rank: how much it deserves to be seen; among many the highest wins.
    """

    word: str
    short: str
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


def _pending(word: str, short: str, glyph: str = "○", plain: str = ".") -> State:
    return State(word, short, glyph, plain, "·", ".", "state-pending", 2)


def _running(word: str, short: str) -> State:
    return State(word, short, "►", ">", "►", ">", "state-running", 4)


def _retrying(word: str, short: str, glyph: str = "↻") -> State:
    return State(word, short, glyph, "~", glyph, "~", "state-retrying", 6)


def _completed(
    word: str, short: str, glyph: str = "✓", plain: str = "+", block: str = "■", plain_block: str = "#"
) -> State:
    return State(word, short, glyph, plain, block, plain_block, "state-completed", 1)


def _failed(word: str, short: str = "fail", glyph: str = "✗") -> State:
    return State(word, short, glyph, "X", glyph, "X", "state-failed", 7)


def _paused(word: str) -> State:
    return State(word, "hold", "‖", "=", "‖", "=", "state-paused", 5)


def _cancelled(word: str, short: str, glyph: str = "⊘") -> State:
    return State(word, short, glyph, "-", glyph, "-", "state-cancelled", 3)


def _table(*states: State) -> dict[str, State]:
    return {state.word: state for state in states}


STATES: Final[Mapping[Kind, Mapping[str, State]]] = {
    "run": _table(
        _pending("planned", "plan"),
        _pending("waiting", "wait", "◷", "o"),
        _running("running", "run"),
        _paused("paused"),
        _failed("interrupted", "dead", "↯"),
        _failed("failure", "fail", "✘"),
        _completed("completed", "done"),
        _cancelled("cancelled", "stop"),
    ),
    "window": _table(
        _pending("pending", "pend"),
        _running("running", "run"),
        _retrying("retrying", "retry"),
        _completed("completed", "done"),
        _failed("failed"),
    ),
    "queue": _table(
        _running("running", "run"),
        _pending("waiting", "wait", "◷", "o"),
        _paused("paused"),
        _pending("idle", "idle"),
    ),
    "job": _table(
        _pending("waiting", "wait"),
        _running("active", "run"),
        _pending("delayed", "delay", "◷", "o"),
        _pending("prioritized", "prio", "▲", "^"),
        _pending("waiting-children", "child", "◇", ":"),
        _completed("completed", "done"),
        _failed("failed"),
    ),
    "chunk": _table(
        _pending("buffered", "buf", "◌"),
        _running("sending", "send"),
        _retrying("retrying", "retry"),
        _completed("stored", "stored"),
        _completed("present", "there", "≡", "=", "□", "="),
        _failed("failed"),
    ),
    "process": _table(
        _running("running", "run"),
        _pending("waiting", "wait"),
        _paused("paused"),
        _completed("completed", "done"),
        _failed("failed"),
        _retrying("compensating", "undo", "↺"),
        _cancelled("compensated", "undone", "↶"),
        _cancelled("cancelled", "stop"),
    ),
}
"""The states of each kind by their word, in the order of a unit's life."""


def state(kind: Kind, word: str) -> State:
    """Return how `word` looks among the states of `kind`; an unknown one is shown as `?`, never an error."""
    return STATES[kind].get(word) or State(word, word[:5], "?", "?", "?", "?", "state-pending", 3)


def ascii_only(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the terminal can be trusted with ASCII only: a locale that is not UTF-8, or a bare console."""
    locale = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or "utf-8"
    return environ.get("TERM") == "linux" or locale.lower().replace("-", "").find("utf8") < 0
