"""A window and a refused row: values that go from process to process.

They stand apart because a decoding process imports them, and nothing of the workspace.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """A range of rows, the unit of a migration.

    Args:
        number: counts from 1 in the order of the source.
        lo: first offset of the range (bytes in a file, rows in a generated source).
        hi: offset after its end.
        first_row: rows (lines) of the source before the range, counted from where the run began.
        rows: rows (lines) in it, 0 when not known.
        bounds: where it begins and ends, as compact JSON that its source understands, when its rows are
            found by their keys; `lo` and `hi` then count rows.
    """

    number: int
    lo: int
    hi: int
    first_row: int
    rows: int
    bounds: str | None = None


@dataclass(frozen=True, slots=True)
class Reject:
    """A refused row.

    Args:
        line: number of the line (row) in the source, counted from 1 where the run began.
        offset: where it starts in the source.
        column: the column it does not fit, when it is about one.
        reason: why, in the operator's words.
        row: the row as it stands in the source, cut to 1,024 characters.
    """

    line: int
    offset: int
    column: str | None
    reason: str
    row: str
