"""Rows that differ from a target in which rows with the same key took each other's place.

Which of them was written last nobody knows: any row of the source that is just what the target holds
under its key clears the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from streamconsole.engines.migration.verifying.check import Part, last_of, rows_of
from streamconsole.engines.migration.verifying.differences import MISSING, difference
from streamconsole.engines.migration.verifying.side import Key, Side
from streamconsole.engines.units import Reject, Window

ROWS_HELD = 10_000


@dataclass(frozen=True, slots=True)
class _Suspect:
    line: int
    offset: int
    source: bytes
    target: bytes | None


class Suspects:
    """The rows in question.

    Args:
        side: the target.
    """

    def __init__(self, side: Side) -> None:
        self.others = 0
        self._side = side
        self._held: dict[Key, _Suspect] = {}

    def look(self, window: Window, parts: Sequence[Part]) -> None:
        """Hold the rows of a window that differ; those beyond what is held are counted in `others`."""
        fitted = last_of(rows_of(window, parts, self._side)[0])
        there = self._side.find(fitted.keys)
        for key, row, index in zip(fitted.keys, fitted.rows, fitted.indexes, strict=True):
            target = there.get(key)
            if target == row or key in self._held:
                continue
            if len(self._held) >= ROWS_HELD:
                self.others += 1
            else:
                self._held[key] = _Suspect(window.first_row + index + 1, window.lo, row, target)

    def clear(self, window: Window, parts: Sequence[Part]) -> None:
        """Let go of those whose row in the target is a row of this window."""
        if not self._held:
            return
        fitted, _ = rows_of(window, parts, self._side)
        for key, row in zip(fitted.keys, fitted.rows, strict=True):
            suspect = self._held.get(key)
            if suspect is not None and suspect.target == row:
                del self._held[key]

    def left(self) -> Iterator[Reject]:
        """Those that differ for good."""
        values = self._side.values
        for key, each in self._held.items():
            column, reason = None, MISSING
            if each.target is not None:
                column, reason = difference(values(each.source), values(each.target))
            place = self._side.place(key, each.source)
            yield Reject(each.line, each.offset, column, reason if column else f"{reason}: {place}", place)
