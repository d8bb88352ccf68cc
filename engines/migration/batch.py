"""What goes into the decoding of a window, and what comes out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

from streamconsole.engines.migration.columns import ColumnType
from streamconsole.engines.units import Reject, Window

ROW_SHOWN = 1_024
"""Characters of a refused row that are kept."""


class Misfit(ValueError):
    """A value that does not go into its column, however wide.

    Args:
        column: which one.
        reason: why, in the operator's words.
    """

    def __init__(self, column: str | None, reason: str) -> None:
        super().__init__(reason)
        self.column = column


class NotAlike(Exception):
    """The rows of a window need a closer look, one by one."""


class Reader(Protocol):
    """Reads windows of one source; small and picklable."""

    def rows(self, window: Window, refuse: Refuse) -> Iterator[tuple[int, dict[str, Any]]]:
        """The rows of a window, each with its index (0 for the window's first line or row).

        What is no row at all is handed to `refuse`.
        """
        ...

    def alike(self, window: Window) -> Iterator[list[dict[str, Any]]]:
        """The rows of a window, many at once, when all of them are plain: for the quick way.

        Raises:
            NotAlike: they must be read one by one (also after some were given).
        """
        ...

    def locate(self, window: Window, indexes: set[int]) -> dict[int, tuple[int, str]]:
        """Offset and raw text of some rows of a window, by index; for the list of rejects."""
        ...


@runtime_checkable
class BlockReader(Protocol):
    """A reader that has rows as tuples, which costs less than a dict for each."""

    def blocks(self, window: Window) -> Iterator[tuple[tuple[str, ...], list[tuple[Any, ...]]]]:
        """The rows of a window, many at once: their keys, and the values of each in that order.

        Raises:
            NotAlike: they must be read one by one (also after some were given).
        """
        ...


@runtime_checkable
class ColumnReader(Protocol):
    """A reader that has the values of a column together, which is how they are fitted."""

    def columns(self, window: Window) -> Iterator[tuple[tuple[str, ...], list[Sequence[Any]]]]:
        """The rows of a window, many at once: their keys, and for each the values of all rows.

        Raises:
            NotAlike: they must be read one by one (also after some were given).
        """
        ...


@dataclass(slots=True)
class Counts:
    """What became of the rows of one window on the way from the source to the target.

    Args:
        read: rows of the source, refused ones included.
        dropped: rows that were left out on purpose.
        added: rows made beyond one for each.
    """

    read: int = 0
    dropped: int = 0
    added: int = 0


@runtime_checkable
class ChangingReader(Reader, Protocol):
    """A reader that may leave rows out or add some; it says how many."""

    def begin(self, counts: Counts) -> Reader:
        """Itself, for one window; what it does is counted in `counts`."""
        ...


class Refuse(Protocol):
    """Takes note of a row that is refused."""

    def __call__(self, index: int, column: str | None, reason: str) -> None:
        """Refuse the row at `index` of the window."""
        ...


class Normalizer(Protocol):
    """Fits rows to the shape of one target, for one window."""

    def add(self, index: int, row: dict[str, Any]) -> None:
        """Fit one row.

        Raises:
            Misfit: it cannot be fitted.
        """
        ...

    def add_alike(self, rows: list[dict[str, Any]]) -> None:
        """Fit the next rows of a window, many at once.

        Raises:
            NotAlike: the window's rows must be fitted one by one, by another normalizer.
        """
        ...

    def add_block(self, keys: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
        """Fit the next rows of a window, given as values in the order of their keys.

        Raises:
            NotAlike: the window's rows must be fitted one by one, by another normalizer.
        """
        ...

    def add_columns(self, keys: tuple[str, ...], columns: list[Sequence[Any]]) -> None:
        """Fit the next rows of a window, given as the values of all of them for each key.

        Raises:
            NotAlike: the window's rows must be fitted one by one, by another normalizer.
        """
        ...

    def needs(self) -> Mapping[str, ColumnType]:
        """What the target's schema would have to become, by key, for the rows that did not fit."""
        ...

    def payload(self) -> tuple[Any, list[int]]:
        """The fitted rows in the target's own form, and the index of each; just once."""
        ...


class NormalizerFactory(Protocol):
    """Makes a normalizer per window; small and picklable."""

    def __call__(self) -> Normalizer:
        """A fresh normalizer."""
        ...


@dataclass(frozen=True, slots=True)
class DecodeTask:
    """Read this window and fit its rows."""

    reader: Reader
    normalizer: NormalizerFactory
    window: Window


@dataclass(frozen=True, slots=True)
class Batch:
    """A window's rows, fitted to a target.

    Rows read and added are as many as rows fitted, refused and dropped.

    Args:
        payload: the rows in the target's own form.
        indexes: index of each fitted row in its window; several rows may come from one of the source.
        rows_read: rows of the source, refused and dropped ones included.
        rejects: the refused ones.
        needs: not empty when the schema must be widened first; then there is no payload.
    """

    payload: Any
    indexes: Sequence[int]
    rows_read: int
    rejects: list[Reject] = field(default_factory=list)
    needs: Mapping[str, ColumnType] = field(default_factory=dict)


def decode(task: DecodeTask) -> Batch:
    """Read a window and fit its rows: pure, runs in a thread or in another process."""
    counts = Counts()
    changing = isinstance(task.reader, ChangingReader)
    if isinstance(task.reader, ChangingReader):
        task = replace(task, reader=task.reader.begin(counts))
    try:
        return _decode_alike(task)
    except NotAlike:
        return _decode_one_by_one(task, counts if changing else None)


def _decode_alike(task: DecodeTask) -> Batch:
    """The quick way, for windows whose rows are alike: column by column, without a look at each row."""
    normalizer = task.normalizer()
    if isinstance(task.reader, ColumnReader):
        for keys, columns in task.reader.columns(task.window):
            normalizer.add_columns(keys, columns)
    elif isinstance(task.reader, BlockReader):
        for keys, values in task.reader.blocks(task.window):
            normalizer.add_block(keys, values)
    else:
        for rows in task.reader.alike(task.window):
            normalizer.add_alike(rows)
    payload, indexes = normalizer.payload()
    return Batch(payload, indexes, len(indexes))


def _decode_one_by_one(task: DecodeTask, counts: Counts | None = None) -> Batch:
    refused: list[Refused] = []

    def refuse(index: int, column: str | None, reason: str) -> None:
        refused.append((index, column, reason))

    normalizer = task.normalizer()
    add = normalizer.add
    taken = 0
    for index, row in task.reader.rows(task.window, refuse):
        try:
            add(index, row)
            taken += 1
        except Misfit as misfit:
            refuse(index, misfit.column, str(misfit))
    seen = taken + len(refused)
    rows_read = seen if counts is None else counts.read
    needs = normalizer.needs()
    if needs:
        return Batch(None, [], rows_read, needs=needs)
    payload, indexes = normalizer.payload()
    dropped, added = (counts.dropped, counts.added) if counts is not None else (0, 0)
    if len(indexes) + len(refused) + dropped != rows_read + added:
        raise AssertionError(
            f"{rows_read} rows read and {added} added, {len(indexes)} fitted, {len(refused)} refused and "
            f"{dropped} dropped: rows were lost"
        )
    return Batch(payload, indexes, rows_read, describe(task.reader, task.window, refused))


Refused = tuple[int, str | None, str]
"""Index of a refused row in its window, the column it does not fit, and why."""


def describe(reader: Reader, window: Window, refused: Sequence[Refused]) -> list[Reject]:
    """Refused rows as the operator will find them listed."""
    if not refused:
        return []
    located = reader.locate(window, {index for index, _, _ in refused})
    return [
        _reject(window, index, located.get(index, (window.lo, "")), column, reason)
        for index, column, reason in sorted(refused, key=lambda each: each[0])
    ]


def _reject(window: Window, index: int, place: tuple[int, str], column: str | None, reason: str) -> Reject:
    offset, text = place
    return Reject(line=window.first_row + index + 1, offset=offset, column=column, reason=reason, row=text[:ROW_SHOWN])
