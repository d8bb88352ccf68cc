"""A file that a run has written, read again: plain or compressed, its rows in any order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from streamconsole.engines.errors import SideLost
from streamconsole.engines.migration.batch import Batch, NormalizerFactory
from streamconsole.engines.migration.sources.files import FileBytes, SourceFile
from streamconsole.engines.migration.verifying.differences import shown
from streamconsole.engines.migration.verifying.records import Records
from streamconsole.engines.migration.verifying.side import Fitted, Key, Stored
from streamconsole.engines.units import Window


@dataclass(frozen=True, slots=True)
class FileSide:
    """Rows of one file, as they stand in it: only those of a file that differs are looked at more closely.

    Args:
        content: its bytes.
        records: what its rows are.
    """

    content: FileBytes
    records: Records

    @property
    def keyed(self) -> bool:
        """A file has no index."""
        return False

    def fitting(self, normalizer: NormalizerFactory) -> NormalizerFactory:
        """Nothing is widened anyway."""
        return normalizer

    def fitted(self, batch: Batch, normalizer: NormalizerFactory) -> Fitted:
        """A window's rows as they were written."""
        return Fitted(batch.payload or [], list(batch.indexes), [])

    def find(self, keys: Sequence[Key]) -> dict[Key, bytes]:
        """Nothing can be looked up in a file."""
        raise NotImplementedError

    def stored(self, window: Window) -> Iterator[list[bytes]]:
        """The rows of a range of bytes."""
        with of_target():
            yield self.records.split(self.content.read(window.lo, window.hi))

    def key_of(self, key: Key, row: bytes) -> bytes:
        """A row stands for itself."""
        return self.records.canonical(row)

    def values(self, row: bytes) -> Mapping[str, Any]:
        """The columns of a row."""
        return self.records.values(row)

    def place(self, key: Key, row: bytes) -> str:
        """Only where it was read tells."""
        return ""

    def told(self, row: bytes) -> str:
        """As JSON: the beginning, without secrets."""
        text = row if row.startswith(b"{") else orjson.dumps(self.records.values(row), default=str)
        return shown("row", text)[5:-1]


class FileStock:
    """The same file for the owner of the verification.

    Args:
        side: how its rows are read.
        file: the file.
        begin: offset of its first row.
    """

    def __init__(self, side: FileSide, file: SourceFile, begin: int) -> None:
        self._side = side
        self._file = file
        self._begin = begin
        self._cutter = side.records.cutter(file)

    def all(self) -> Iterator[list[Stored]]:
        """Every row of the file."""
        canonical, noun = self._side.records.canonical, self._side.records.noun
        lo, number = self._begin, 0
        while (found := self.cut(lo, number)) is not None:
            window = Window(1, lo, found[0], number, found[1])
            for rows in self._side.stored(window):
                yield [Stored(f"{noun} {n:,}", row, canonical(row)) for n, row in enumerate(rows, number + 1)]
                number += len(rows)
            self.clear(window)
            lo = found[0]

    def count(self) -> int:
        """Rows are counted as they are read."""
        raise NotImplementedError

    def extent(self) -> tuple[int, int | None]:
        """Bytes of its rows."""
        try:
            size = self._file.size
        except OSError as error:
            raise SideLost("target", f"{self._file.path} cannot be read any more: {error.strerror}") from error
        return self._begin, None if size is None else max(0, size - self._begin)

    def cut(self, lo: int, first_row: int) -> tuple[int, int] | None:
        """The next range of bytes that ends where a row ends."""
        with of_target():
            window = self._cutter.cut(1, lo, first_row)
        return (window.hi, window.rows) if window else None

    def lay_out(self, window: Window) -> None:
        """Unpack a range, unless that is done."""
        with of_target():
            self._file.lay_out(window)

    def clear(self, window: Window) -> None:
        """Its bytes are not needed any more."""
        self._file.clear(window)

    def close(self) -> None:
        """Clear everything away."""
        self._file.close()


@contextmanager
def of_target() -> Iterator[None]:
    """What is read as a source is read is a target here."""
    try:
        yield
    except SideLost as error:
        raise SideLost("target", str(error)) from error
