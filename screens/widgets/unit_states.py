"""The states of very many units, counted and summed up cheaply."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from streamconsole.screens.widgets.states import STATES, Kind, State

__all__ = ["UnitStates"]


class UnitStates:
    """One byte for each unit, numbered so that the state which matters most has the highest number."""

    def __init__(self, kind: Kind) -> None:
        """Args: kind: whose states; new units are in the first one."""
        table = STATES[kind]
        self._looks = sorted(table.values(), key=lambda look: look.rank)
        self._codes = {look.word: code for code, look in enumerate(self._looks)}
        self._order = list(table)
        self._first = self._codes[self._order[0]]
        self._units = bytearray()
        self._counts = [0] * len(self._looks)

    def __len__(self) -> int:
        """How many units there are."""
        return len(self._units)

    def set(self, words: Iterable[str]) -> None:
        """Replace all units; KeyError for a state that does not exist."""
        codes = self._codes
        self._units = bytearray([codes[word] for word in words])
        self._counts = [self._units.count(code) for code in range(len(self._looks))]

    def update(self, changes: Mapping[int, str]) -> list[int]:
        """Change units by number, adding those that are new; return the numbers of those that changed."""
        if changes and (missing := max(changes) + 1 - len(self._units)) > 0:
            self._units.extend(bytes([self._first]) * missing)
            self._counts[self._first] += missing
        changed: list[int] = []
        units, counts, codes = self._units, self._counts, self._codes
        for unit, word in changes.items():
            old, new = units[unit], codes[word]
            if old != new:
                units[unit] = new
                counts[old] -= 1
                counts[new] += 1
                changed.append(unit)
        return changed

    def worst(self, start: int, stop: int) -> State:
        """Return the state that matters most among units `start` to `stop`; ValueError if there are none."""
        return self._looks[max(self._units[start:stop])]

    def counts(self) -> dict[State, int]:
        """Return how many units are in each state, in the order of a unit's life."""
        return {self._looks[self._codes[word]]: self._counts[self._codes[word]] for word in self._order}
