"""What a file target looks like: what each window's part holds, and what stands before, between and after the parts."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

from streamconsole.engines.migration.batch import NormalizerFactory
from streamconsole.engines.migration.sources.csv_records import ends_of
from streamconsole.engines.migration.targets.csv_rows import CsvRows, Dialect, record
from streamconsole.engines.migration.targets.json_rows import JsonNormalizer, JsonRows

TAIL_BYTES = 64
"""Bytes of an array's end that are looked at for its bracket."""


class Form(Protocol):
    """One form of file."""

    @property
    def name(self) -> str:
        """What it is."""
        ...

    @property
    def has_columns(self) -> bool:
        """Whether all its rows have the same columns."""
        ...

    @property
    def grows(self) -> bool:
        """Whether more can be put at the end of a file that is whole."""
        ...

    @property
    def between(self) -> bytes:
        """What stands between two parts."""
        ...

    def normalizer(self, columns: tuple[str, ...], *, closed: bool) -> NormalizerFactory:
        """Makes parts."""
        ...

    def head(self, columns: tuple[str, ...]) -> bytes:
        """What stands before the first part."""
        ...

    def tail(self) -> bytes:
        """What stands after the last part."""
        ...

    def widened(self, part: bytes, width: int, columns: tuple[str, ...]) -> bytes:
        """A part that was made for fewer columns, for all of them."""
        ...

    def columns_of(self, head: bytes) -> tuple[str, ...]:
        """The columns of a file that begins so."""
        ...

    def reopened(self, blocks: Iterator[bytes], columns: tuple[str, ...]) -> Iterator[bytes]:
        """A whole file as the beginning of a longer one with these columns; its head comes first, by itself.

        Raises:
            ValueError: it is no such file.
        """
        ...


@dataclass(frozen=True, slots=True)
class Lines:
    """One JSON object a line."""

    name: str = "NDJSON"
    has_columns: bool = False
    grows: bool = True
    between: bytes = b""

    def normalizer(self, columns: tuple[str, ...], *, closed: bool) -> NormalizerFactory:
        """Lines."""
        return JsonRows()

    def head(self, columns: tuple[str, ...]) -> bytes:
        """Nothing."""
        return b""

    def tail(self) -> bytes:
        """Nothing."""
        return b""

    def widened(self, part: bytes, width: int, columns: tuple[str, ...]) -> bytes:
        """The same."""
        return part

    def columns_of(self, head: bytes) -> tuple[str, ...]:
        """None."""
        return ()

    def reopened(self, blocks: Iterator[bytes], columns: tuple[str, ...]) -> Iterator[bytes]:
        """The same, with an end to its last line."""
        last = b"\n"
        yield b""
        for block in blocks:
            yield block
            last = block[-1:]
        if last != b"\n":
            yield b"\n"


@dataclass(frozen=True, slots=True)
class ArrayRows:
    """Makes the normalizer of a JSON array."""

    def __call__(self) -> _ArrayNormalizer:
        """A fresh normalizer."""
        return _ArrayNormalizer()


class _ArrayNormalizer(JsonNormalizer):
    """Elements with commas between them, and none at the end."""

    def payload(self) -> tuple[bytes, list[int]]:
        """The elements of a part."""
        lines, indexes = self.lines()
        return b",\n".join(lines), indexes


@dataclass(frozen=True, slots=True)
class Array:
    """One JSON array, an object a line."""

    name: str = "JSON array"
    has_columns: bool = False
    grows: bool = False
    between: bytes = b",\n"

    def normalizer(self, columns: tuple[str, ...], *, closed: bool) -> NormalizerFactory:
        """Elements."""
        return ArrayRows()

    def head(self, columns: tuple[str, ...]) -> bytes:
        """The opening bracket."""
        return b"[\n"

    def tail(self) -> bytes:
        """The closing bracket."""
        return b"\n]\n"

    def widened(self, part: bytes, width: int, columns: tuple[str, ...]) -> bytes:
        """The same."""
        return part

    def columns_of(self, head: bytes) -> tuple[str, ...]:
        """None."""
        return ()

    def reopened(self, blocks: Iterator[bytes], columns: tuple[str, ...]) -> Iterator[bytes]:
        """The elements without the closing bracket."""
        yield self.head(columns)
        held = b""
        for block in blocks:
            held = (held + block).lstrip()
            if held:
                break
        if held[:1] != b"[":
            raise ValueError("it does not begin with [")
        held, given = held[1:].lstrip(), False
        for block in blocks:
            held = held + block if given else (held + block).lstrip()
            if len(held) > TAIL_BYTES:
                given = True
                yield held[:-TAIL_BYTES]
                held = held[-TAIL_BYTES:]
        rest = held.rstrip()
        if not rest.endswith(b"]"):
            raise ValueError("it does not end with ]")
        if rest := rest[:-1].rstrip():
            yield rest


@dataclass(frozen=True, slots=True)
class Csv:
    """CSV with a header; a record ends with a line feed.

    Args:
        dialect: how values are written.
    """

    dialect: Dialect
    name: str = "CSV"
    has_columns: bool = True
    grows: bool = True
    between: bytes = b""

    def normalizer(self, columns: tuple[str, ...], *, closed: bool) -> NormalizerFactory:
        """Records."""
        return CsvRows(columns, self.dialect, closed)

    def head(self, columns: tuple[str, ...]) -> bytes:
        """The header."""
        return record(columns, self.dialect)

    def tail(self) -> bytes:
        """Nothing."""
        return b""

    def widened(self, part: bytes, width: int, columns: tuple[str, ...]) -> bytes:
        """Records that end with as many times no value as there are columns more."""
        more = (self.dialect.delimiter + self.dialect.null).encode() * (len(columns) - width)
        if not more:
            return part
        # A line ends a record when the quotes up to there are even in number.
        ended, open_ = [], False
        for line in part.splitlines(keepends=True) if b"\r" not in part else _lines(part):
            open_ ^= bool(line.count(b'"') & 1)
            ended.append(line if open_ else line[:-1] + more + b"\n")
        return b"".join(ended)

    def columns_of(self, head: bytes) -> tuple[str, ...]:
        """The names in the header."""
        text = head.decode("utf-8-sig", "replace")
        found: list[Any] = next(csv.reader(io.StringIO(text, newline=""), delimiter=self.dialect.delimiter), [])
        return tuple(found)

    def head_length(self, head: bytes) -> int:
        """Bytes of the header of a file that begins so."""
        ends = ends_of(head, self.dialect.delimiter.encode(), 1)
        return ends[0] if ends else len(head)

    def reopened(self, blocks: Iterator[bytes], columns: tuple[str, ...]) -> Iterator[bytes]:
        """A header with all columns, and records that end with as many times no value as there are more."""
        whole = _whole_records(blocks)
        first = next(whole, b"")
        end = _end_of_record(first)
        width = len(self.columns_of(first[:end]))
        if first[:end].endswith(b"\r\n") and width != len(columns):
            raise ValueError("its lines end with CR LF, and no column can be added to them")
        yield record(columns, self.dialect)
        for some in chain([first[end:]], whole):
            yield self.widened(some, width, columns)


def _whole_records(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes, each time as many records as are whole."""
    held = b""
    for block in blocks:
        held += block
        end = held.rfind(b"\n") + 1
        # Quotes up to the end of a record are even in number.
        while end and held.count(b'"', 0, end) & 1:
            end = held.rfind(b"\n", 0, end - 1) + 1
        if end:
            yield held[:end]
            held = held[end:]
    if held:
        yield held + b"\n"


def _end_of_record(records: bytes) -> int:
    """Where the first of some records ends."""
    end = records.find(b"\n") + 1
    while records.count(b'"', 0, end) & 1:
        end = records.find(b"\n", end) + 1
    return end


def _lines(part: bytes) -> list[bytes]:
    return [line + b"\n" for line in part.split(b"\n")[:-1]]
