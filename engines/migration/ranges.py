"""The ranges of one run: what is left of those recorded, those asked for, and how the source is cut further."""

from __future__ import annotations

from collections.abc import Sequence

from streamconsole.engines.errors import Refused, SideLost
from streamconsole.engines.migration.offsets import LOOK_AHEAD, Position, after
from streamconsole.engines.migration.settings import MigrationSettings
from streamconsole.engines.migration.sources.source import Source
from streamconsole.engines.secrets import mask
from streamconsole.engines.states import WindowState
from streamconsole.engines.units import Window
from streamconsole.engines.workspace.windows import WindowRecord

GENERATED_ROW = 300
"""Bytes that a generated row counts for."""


class Ranges:
    """Cuts a source as its settings say. All of it blocks: call it in a thread.

    Args:
        settings: what was asked for.
        source: what is cut.
        size: where the source ended when it was planned, in its own unit.
    """

    def __init__(self, settings: MigrationSettings, source: Source, size: int | None) -> None:
        self._settings = settings
        self._source = source
        self._size = size

    def beginning(self) -> Position:
        """Where the first window begins."""
        return Position(1, self._source.align(self._settings.from_offset), 0)

    def cut(self, position: Position) -> list[Window]:
        """Up to LOOK_AHEAD windows from a position."""
        cut: list[Window] = []
        while len(cut) < LOOK_AHEAD:
            limit = self._settings.limit
            most = None if limit is None else limit - position.row
            if most is not None and most <= 0:
                break
            try:
                window = self._source.cut(
                    position.number, position.offset, position.row, most, self._end_of_source(), position.behind
                )
            except SideLost:
                if cut:
                    # What is there before a break in the source is moved all the same.
                    break
                raise
            if window is None:
                break
            cut.append(window)
            position = after(cut)
        return cut

    def listed(self) -> list[Window]:
        """The ranges asked for, cut where they are larger than a window.

        Raises:
            Refused: none of them holds a row.
        """
        cut: list[Window] = []
        for lo, hi, first_row, bounds in self._settings.windows or ():
            if bounds is not None:
                cut.append(Window(len(cut) + 1, lo, hi, first_row, hi - lo, bounds))
                continue
            lo, hi = self._source.align(lo), self._source.align(hi)
            while lo < hi:
                window = self._source.cut(len(cut) + 1, lo, first_row, None, hi)
                if window is None:
                    break
                cut.append(window)
                lo, first_row = window.hi, first_row + window.rows
        if not cut:
            raise Refused(f"--windows: none of the ranges holds a row of {mask(self._settings.source)}")
        return cut

    def bytes_left(self, records: Sequence[WindowRecord]) -> int | None:
        """About how many bytes are still to be read; None when that cannot be told."""
        size = self._size
        if self._settings.windows is not None or self._settings.limit is not None or size is None:
            return None if size is None or size > 10 * LOOK_AHEAD * self._settings.window_bytes else size
        done = sum(r.window.hi - r.window.lo for r in records if r.state is WindowState.COMPLETED)
        return int((size - done) * (GENERATED_ROW if self._source.unit == "rows" else 1))

    def _end_of_source(self) -> int | None:
        """Where a file ended when it was planned: what is appended meanwhile belongs to another run."""
        return self._size if self._source.unit == "bytes" else None
