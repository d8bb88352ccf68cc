"""What the fixture's heartbeat wrote down."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

__all__ = ["Beat", "Beats"]


@dataclass(frozen=True, slots=True)
class Beat:
    """One turn of the loop: when (monotonic seconds), how often the table was fed, bytes waiting."""

    at: float
    fed: int
    backlog: int


class Beats:
    """The file of beats, read while it grows."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def words(self) -> list[list[str]]:
        text = self.path.read_text() if self.path.exists() else ""
        return [line.split() for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def all(self) -> list[Beat]:
        return [Beat(float(w[1]), int(w[2]), int(w[3])) for w in self.words() if w[0] == "beat"]

    def notes(self) -> list[str]:
        return [" ".join(w) for w in self.words() if w[0] not in ("beat", "pulse")]

    def last(self) -> Beat:
        return (self.all() or [Beat(0, 0, 0)])[-1]

    def gap(self, since: float) -> float:
        """Longest time the loop stood still, less the time in which the whole process got no turn."""
        pulses = [float(w[1]) for w in self.words() if w[0] == "pulse"]
        starved = _longest([at for at in pulses if at >= since])
        return _longest([beat.at for beat in self.all() if beat.at >= since]) - max(0.0, starved - 0.1)


def _longest(times: list[float]) -> float:
    return max((after - before for before, after in pairwise(times)), default=0.0)
