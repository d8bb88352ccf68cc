"""A file of JSON lines, read again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from streamconsole.engines.errors import SideLost
from streamconsole.engines.migration.batch import Batch, NormalizerFactory
from streamconsole.engines.migration.sources.files import PlainFile
from streamconsole.engines.migration.sources.ndjson import NdjsonReader, NdjsonSource
from streamconsole.engines.migration.verifying.canonical import json_line
from streamconsole.engines.migration.verifying.side import Fitted, Key, Stored
from streamconsole.engines.units import Window

WINDOW_ROWS, WINDOW_BYTES = 5_000, 8 * 2**20


@dataclass(frozen=True, slots=True)
class LinesSide:
    """One NDJSON file: its lines in any order are compared with what should be there.

    Args:
        path: the file.
    """

    path: Path

    @property
    def keyed(self) -> bool:
        """A file has no index."""
        return False

    def fitting(self, normalizer: NormalizerFactory) -> NormalizerFactory:
        """A line takes any row."""
        return normalizer

    def fitted(self, batch: Batch, normalizer: NormalizerFactory) -> Fitted:
        """A window's rows in canonical form."""
        return Fitted(self._canonical(batch.payload or b""), list(batch.indexes), [])

    def find(self, keys: Sequence[Key]) -> dict[Key, bytes]:
        """Nothing can be looked up in a file."""
        raise NotImplementedError

    def stored(self, window: Window) -> list[bytes]:
        """The lines of a range of bytes."""
        try:
            return self._canonical(NdjsonReader(self.path).read(window.lo, window.hi))
        except SideLost as error:
            raise SideLost("target", str(error)) from error

    def key_of(self, key: Key, row: bytes) -> bytes:
        """A line stands for itself."""
        return row

    def all(self) -> Iterator[list[Stored]]:
        """Every line of the file."""
        lo, line = 0, 0
        while (found := self.cut(lo, line)) is not None:
            rows = self.stored(Window(1, lo, found[0], line, found[1]))
            yield [Stored(f"line {line + n:,}", row, row) for n, row in enumerate(rows, 1)]
            lo, line = found[0], line + found[1]

    def count(self) -> int:
        """Lines are counted as they are read."""
        return sum(len(rows) for rows in self.all())

    def extent(self) -> tuple[int, int]:
        """Bytes of the file."""
        try:
            return 0, self.path.stat().st_size
        except OSError as error:
            raise SideLost("target", f"{self.path} cannot be read any more: {error.strerror}") from error

    def cut(self, lo: int, first_row: int) -> tuple[int, int] | None:
        """The next range of bytes that ends where a line ends."""
        try:
            window = NdjsonSource(PlainFile(self.path), WINDOW_ROWS, WINDOW_BYTES).cut(1, lo, first_row)
        except SideLost as error:
            raise SideLost("target", str(error)) from error
        return (window.hi, window.rows) if window else None

    def values(self, row: bytes) -> Mapping[str, Any]:
        """The keys of a line."""
        try:
            found = orjson.loads(row)
        except ValueError:
            found = None
        return found if isinstance(found, dict) else {"line": row.decode(errors="replace")}

    @staticmethod
    def _canonical(block: bytes) -> list[bytes]:
        return [_line(line) for line in block.split(b"\n") if line and not line.isspace()]


def _line(line: bytes) -> bytes:
    try:
        return json_line(line)
    except ValueError:
        return line
