"""What the engine asks of a source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from streamconsole.engines.migration.batch import Reader
from streamconsole.engines.migration.columns import ColumnType
from streamconsole.engines.migration.extras import NO_EXTRAS, Extras
from streamconsole.engines.units import Window


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What a look at a source shows.

    Args:
        size: where its offsets end, in the source's unit; None when not known.
        fingerprint: tells whether it is still the same later.
        sample: some of its rows.
        columns: what each column holds as the source declares it, in its order; empty when it declares nothing.
        key: keys of the rows that make up its primary key.
        extras: its constraints and indexes.
        notes: what the operator should know before it begins.
    """

    size: int | None
    fingerprint: dict[str, Any]
    sample: list[dict[str, Any]]
    columns: Mapping[str, ColumnType] = field(default_factory=dict)
    key: tuple[str, ...] = ()
    extras: Extras = NO_EXTRAS
    notes: tuple[str, ...] = ()


class Source(Protocol):
    """A read storage: cuts itself into windows, and its reader gives their rows.

    `unit` names what offsets count: `bytes` or `rows`.
    """

    unit: str

    @property
    def reader(self) -> Reader:
        """Reads its windows, here or in another process."""
        ...

    def inspect(self) -> SourceFacts:
        """Look at the source, before anything is written.

        Raises:
            Refused: it cannot be read.
        """
        ...

    def fingerprint(self) -> dict[str, Any]:
        """What tells whether the source is still the same."""
        ...

    def align(self, offset: int) -> int:
        """The first offset at or after `offset` where a window may begin."""
        ...

    def cut(
        self,
        number: int,
        lo: int,
        first_row: int,
        most_rows: int | None = None,
        end: int | None = None,
        behind: str | None = None,
    ) -> Window | None:
        """The next window at an offset; None when the source is dry there.

        Args:
            number: the window's number.
            lo: where it begins.
            first_row: rows before it.
            most_rows: rows it may have, when fewer than the settings allow.
            end: offset that it must not go past.
            behind: bounds of the window before it; sources that go by offsets alone need none.

        Raises:
            Refused: `behind` is nothing of this source's.
            SideLost: the source is gone.
        """
        ...
