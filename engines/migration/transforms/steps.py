"""What a transform is while a window passes through it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from streamconsole.engines.migration.batch import Counts, Refuse
from streamconsole.engines.migration.columns import ColumnType
from streamconsole.engines.units import Window

Row = dict[str, Any]
Rows = Iterator[tuple[int, Row]]


@dataclass(slots=True)
class Passage:
    """One window on its way through the transforms.

    Args:
        window: which.
        refuse: takes note of a refused row.
        counts: rows dropped and added are counted here.
        kept: what a step of the quick way keeps for the slow one, should that be needed.
    """

    window: Window
    refuse: Refuse
    counts: Counts = field(default_factory=Counts)
    kept: dict[int, Any] = field(default_factory=dict)


class Step(Protocol):
    """A transform; small, picklable, without a state of its own. Rows given to it are its own to change."""

    @property
    def hidden(self) -> Sequence[str]:
        """Keys whose values in the source nobody is to see."""
        ...

    def check(self, sample: Sequence[Mapping[str, Any]]) -> None:
        """Look, before the first write, whether it can be done.

        Raises:
            Refused: it cannot.
        """
        ...

    def declared(self, columns: Mapping[str, ColumnType]) -> Mapping[str, ColumnType]:
        """What becomes of the columns that a source declares; empty when that cannot be told."""
        ...

    def alike(self, blocks: Iterator[list[Row]], passage: Passage) -> Iterator[list[Row]]:
        """A window's rows, many at once, one for each.

        Raises:
            NotAlike: they must go one by one.
        """
        ...

    def rows(self, rows: Rows, passage: Passage) -> Rows:
        """A window's rows one by one, each with the index of the row of the source it comes from."""
        ...
