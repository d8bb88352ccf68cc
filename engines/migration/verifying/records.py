"""What rows of a file are to verification: how they are fitted, cut apart, compared and told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import orjson

from streamconsole.engines.migration.batch import NormalizerFactory
from streamconsole.engines.migration.columns import ColumnType
from streamconsole.engines.migration.sources.csv import CsvSource
from streamconsole.engines.migration.sources.csv_dialect import CsvShape
from streamconsole.engines.migration.sources.csv_records import ends_of
from streamconsole.engines.migration.sources.csv_texts import texts_of
from streamconsole.engines.migration.sources.files import BOM, SourceFile
from streamconsole.engines.migration.sources.json_document import JsonSource, elements
from streamconsole.engines.migration.sources.ndjson import NdjsonSource
from streamconsole.engines.migration.sources.source import Source
from streamconsole.engines.migration.targets.csv_rows import CsvNormalizer, CsvRows, Dialect
from streamconsole.engines.migration.targets.json_rows import JsonNormalizer
from streamconsole.engines.migration.verifying.canonical import json_line

WINDOW_ROWS, WINDOW_BYTES = 5_000, 8 * 2**20

NO_ROW = b"\0"
"""Before what stands in a file and is no row of it."""


class Records(Protocol):
    """Rows of one form of file; small and picklable.

    `noun` is what one of them is called.
    """

    @property
    def noun(self) -> str:
        """What a row is called."""
        ...

    @property
    def normalizer(self) -> NormalizerFactory:
        """Fits rows; its payload is a list of them."""
        ...

    def cutter(self, file: SourceFile) -> Source:
        """Cuts a file into ranges."""
        ...

    def split(self, block: bytes) -> list[bytes]:
        """The rows in a range of bytes, as they stand there."""
        ...

    def canonical(self, row: bytes) -> bytes:
        """A row as it is compared; what is no row, as it stands there."""
        ...

    def values(self, row: bytes) -> Mapping[str, Any]:
        """The columns of a row."""
        ...


@dataclass(frozen=True, slots=True)
class JsonLineRows:
    """Makes a normalizer whose payload is a list of lines."""

    def __call__(self) -> _JsonLines:
        """A fresh normalizer."""
        return _JsonLines()


class _JsonLines(JsonNormalizer):
    def payload(self) -> Any:
        """The lines without their ends."""
        return self.lines()


@dataclass(frozen=True, slots=True)
class LineRecords:
    """One JSON object a line."""

    noun: str = "line"

    @property
    def normalizer(self) -> NormalizerFactory:
        """Lines."""
        return JsonLineRows()

    def cutter(self, file: SourceFile) -> Source:
        """Cuts where lines end."""
        return NdjsonSource(file, WINDOW_ROWS, WINDOW_BYTES)

    def split(self, block: bytes) -> list[bytes]:
        """Lines; blank ones are none."""
        return [line for line in block.removeprefix(BOM).split(b"\n") if line and not line.isspace()]

    def canonical(self, row: bytes) -> bytes:
        """With keys in order."""
        return _json(row)

    def values(self, row: bytes) -> Mapping[str, Any]:
        """The keys of a line."""
        return _json_values(row)


@dataclass(frozen=True, slots=True)
class ElementRecords:
    """Elements of a JSON array."""

    noun: str = "element"

    @property
    def normalizer(self) -> NormalizerFactory:
        """Elements."""
        return JsonLineRows()

    def cutter(self, file: SourceFile) -> Source:
        """Cuts where elements end."""
        return JsonSource(file, WINDOW_ROWS, WINDOW_BYTES)

    def split(self, block: bytes) -> list[bytes]:
        """Elements; one without a comma or bracket behind it is marked, for the document ends there."""
        found = []
        for begin, end in elements(block):
            element = block[begin:end].strip()
            found.append(element if block[end : end + 1] in (b",", b"]") else NO_ROW + element)
        return found

    def canonical(self, row: bytes) -> bytes:
        """With keys in order."""
        return _json(row)

    def values(self, row: bytes) -> Mapping[str, Any]:
        """The keys of an element."""
        return _json_values(row)


@dataclass(frozen=True, slots=True)
class CsvRecords:
    """Records of CSV.

    Args:
        columns: of the file, in its order.
        absent: columns it should have and has not.
        dialect: how values are written.
        body: offset of the first record that is no header.
        noun: what one is called.
    """

    columns: tuple[str, ...]
    absent: tuple[str, ...]
    dialect: Dialect
    body: int
    noun: str = "record"

    @property
    def normalizer(self) -> NormalizerFactory:
        """Records, of just these columns."""
        return CsvRecordRows((*self.columns, *self.absent), self.dialect, closed=True)

    def cutter(self, file: SourceFile) -> Source:
        """Cuts where records end."""
        source = CsvSource(file, WINDOW_ROWS, WINDOW_BYTES)
        # It need not be found out what the file looks like.
        source.shape = self._shape()
        return source

    def split(self, block: bytes) -> list[bytes]:
        """Records without their ends; a blank line is one where there is but one column."""
        blanks = len(self.columns) + len(self.absent) == 1
        if b'"' not in block:
            lines = block.split(b"\n")
            lines = lines if lines[-1] else lines[:-1]
        else:
            ends = ends_of(block, self.dialect.delimiter.encode(), len(block))
            bounds = [0, *ends] if ends and ends[-1] == len(block) else [0, *ends, len(block)]
            lines = [block[lo:hi].removesuffix(b"\n") for lo, hi in pairwise(bounds)]
        return lines if blanks else [line for line in lines if line and line != b"\r"]

    def canonical(self, row: bytes) -> bytes:
        """The texts of the columns that are there; no value and an empty text are two things."""
        texts = self._texts(row)
        return row if texts is None else orjson.dumps(texts[: len(self.columns)])

    def values(self, row: bytes) -> Mapping[str, Any]:
        """The texts by their columns."""
        texts = self._texts(row)
        if texts is None:
            return {"record": row.decode(errors="replace")}
        return dict(zip(self.columns, texts[: len(self.columns)], strict=True))

    def _texts(self, row: bytes) -> list[str | None] | None:
        for columns in (self.columns, (*self.columns, *self.absent)):
            texts = texts_of(row, self._shape(columns))
            if texts is not None:
                return texts
        return None

    def _shape(self, columns: tuple[str, ...] | None = None) -> CsvShape:
        names = self.columns if columns is None else columns
        kinds = (ColumnType.TEXT,) * len(names)
        return CsvShape(self.dialect.delimiter, "utf-8", self.dialect.null, names, kinds, self.body)


@dataclass(frozen=True, slots=True)
class CsvRecordRows(CsvRows):
    """Makes a normalizer whose payload is a list of records."""

    def __call__(self) -> _CsvRecords:
        """A fresh normalizer."""
        return _CsvRecords(self)


class _CsvRecords(CsvNormalizer):
    def payload(self) -> Any:
        """The records without their ends."""
        return self.records()


def _json(row: bytes) -> bytes:
    try:
        return json_line(row)
    except ValueError:
        return row


def _json_values(row: bytes) -> Mapping[str, Any]:
    try:
        found = orjson.loads(row)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"row": row.removeprefix(NO_ROW).decode(errors="replace")}
