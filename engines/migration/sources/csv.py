"""CSV files: windows are byte ranges that end where a record ends; columns hold what their texts are written for."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any

from streamconsole.engines.errors import Refused
from streamconsole.engines.migration.batch import ROW_SHOWN, NotAlike, Refuse
from streamconsole.engines.migration.columns import ColumnType
from streamconsole.engines.migration.sources.csv_dialect import (
    MARK,
    CsvShape,
    delimiter_of,
    is_header,
    kind_of,
    names_of,
    parsed,
    value,
)
from streamconsole.engines.migration.sources.csv_records import ends_of
from streamconsole.engines.migration.sources.csv_texts import fields_of, plain_records_of, records_of
from streamconsole.engines.migration.sources.files import (
    BOM,
    MAX_LINE,
    FileBytes,
    Readable,
    SourceFile,
    fingerprint,
    head_of,
    more_of,
    unreadable,
)
from streamconsole.engines.migration.sources.json_columns import whole_json, whole_numbers
from streamconsole.engines.migration.sources.source import SourceFacts
from streamconsole.engines.units import Window

ROWS_AT_ONCE = 128
SAMPLE_ROWS = 1_000
SAMPLE_PLACES = 8
SAMPLE_AT_PLACE = 50

_QUOTED = re.compile(r'"((?:[^"]|"")*)"')


@dataclass(frozen=True, slots=True)
class CsvReader:
    """Reads byte ranges of one file as rows.

    Args:
        file: its bytes.
        shape: what it looks like.
    """

    file: FileBytes
    shape: CsvShape

    def rows(self, window: Window, refuse: Refuse) -> Iterator[tuple[int, dict[str, Any]]]:
        """The rows of a byte range, record by record; blank lines are passed over."""
        if window.rows == 1 and window.hi - window.lo > MAX_LINE:
            refuse(0, None, f"the record has {window.hi - window.lo:,} bytes, at most {MAX_LINE:,} are read")
            return
        shape = self.shape
        for index, _, record in self._records(window):
            try:
                text = record.decode(shape.encoding)
            except UnicodeDecodeError as error:
                refuse(index, None, f"invalid UTF-8 at byte {error.start + 1} of the record")
                continue
            problem, fields = fields_of(text, shape)
            if problem is not None:
                refuse(index, None, problem)
            elif fields is not None:
                yield index, dict(zip(shape.columns, map(self._value, shape.kinds, fields), strict=True))

    def alike(self, window: Window) -> Iterator[list[dict[str, Any]]]:
        """The rows of a range, many at once."""
        for names, columns in self.columns(window):
            yield [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]

    def columns(self, window: Window) -> Iterator[tuple[tuple[str, ...], list[Sequence[Any]]]]:
        """The rows of a range as columns, when every record is sound."""
        if window.hi - window.lo > MAX_LINE:
            raise NotAlike
        try:
            text = self.file.read(window.lo, window.hi).decode(self.shape.encoding)
        except UnicodeDecodeError:
            raise NotAlike from None
        if MARK in text:
            raise NotAlike
        width = {len(self.shape.columns)}
        try:
            for texts, marked in _columns_of_texts(text, self.shape, width):
                convert = _marked_column if marked else _whole_column
                yield (
                    self.shape.columns,
                    [
                        convert(kind, column, self.shape.null)
                        for kind, column in zip(self.shape.kinds, texts, strict=True)
                    ],
                )
        except csv.Error:
            raise NotAlike from None

    def locate(self, window: Window, indexes: set[int]) -> dict[int, tuple[int, str]]:
        """Offset and raw text of some records."""
        if window.rows == 1 and window.hi - window.lo > MAX_LINE:
            return {0: (window.lo, self.file.read(window.lo, window.lo + ROW_SHOWN).decode(errors="replace"))}
        return {
            index: (offset, record.rstrip(b"\r\n")[: 4 * ROW_SHOWN].decode(errors="replace"))
            for index, offset, record in self._records(window)
            if index in indexes
        }

    def _records(self, window: Window) -> Iterator[tuple[int, int, bytes]]:
        block = self.file.read(window.lo, window.hi)
        ends = ends_of(block, self.shape.delimiter.encode(), len(block))
        if not ends or ends[-1] < len(block):
            ends.append(len(block))
        at = 0
        for index, end in enumerate(ends):
            yield index, window.lo + at, block[at:end]
            at = end

    def _value(self, kind: ColumnType, text: str) -> Any:
        if text == self.shape.null:
            return None
        if text.startswith(MARK):
            return text[1:]
        return value(kind, text)


def _columns_of_texts(text: str, shape: CsvShape, width: set[int]) -> Iterator[tuple[list[tuple[str, ...]], bool]]:
    """The columns of some records at a time, and whether texts in quotes that read like no value are marked in them."""
    records, done, marked = plain_records_of(text, shape), 0, False
    while some := list(islice(records, ROWS_AT_ONCE)):
        if set(map(len, some)) != width:
            raise NotAlike
        columns = list(zip(*some, strict=True))
        # Only where something reads like no value does it matter whether it stood in quotes: looking costs much.
        if not marked and any(shape.null in column for column in columns):
            marked = True
            records = islice(records_of(text, shape), done, None)
            continue
        done += len(some)
        yield columns, marked


def _marked_column(kind: ColumnType, texts: Sequence[str], null: str) -> Sequence[Any]:
    """A column's values where some of its texts may be marked."""
    if MARK not in "".join(texts):
        return _whole_column(kind, texts, null)
    return [None if text == null else text[1:] if text.startswith(MARK) else value(kind, text) for text in texts]


def _whole_column(kind: ColumnType, texts: Sequence[str], null: str) -> Sequence[Any]:
    """A column's values, at once where all its texts are of the usual form."""
    nulls = null in texts
    present = [text for text in texts if text != null] if nulls else texts
    values = _converted(kind, present)
    if not nulls:
        return values
    following = iter(values)
    return [None if text == null else next(following) for text in texts]


def _converted(kind: ColumnType, texts: Sequence[str]) -> Sequence[Any]:
    match kind:
        case ColumnType.TEXT:
            return texts
        case ColumnType.INTEGER | ColumnType.FLOAT:
            found = whole_numbers(kind, texts)
        case ColumnType.JSON:
            found = whole_json(texts)
        case _:
            found = None
    return found if found is not None else [value(kind, text) for text in texts]


class CsvSource:
    """A CSV file.

    Args:
        file: the file.
        window_rows: records in a window, at most.
        window_bytes: bytes in a window, at most (a longer record is a window of its own).
        delimiter: between two values; found out when None.
        header: whether the first record names the columns; found out when None.
        encoding: of the text.
        null: stands for no value.
    """

    unit = "bytes"

    def __init__(
        self,
        file: SourceFile,
        window_rows: int,
        window_bytes: int,
        *,
        delimiter: str | None = None,
        header: bool | None = None,
        encoding: str = "utf-8",
        null: str = "",
    ) -> None:
        self.file = file
        self.path = file.path
        self._window_rows = window_rows
        self._window_bytes = window_bytes
        self._delimiter = delimiter
        self._header = header
        self._encoding = encoding
        self._null = null
        self._record_bytes = 256

    @cached_property
    def shape(self) -> CsvShape:
        """What the file looks like: told from its head, and from records spread over it."""
        return self._looked_at[0]

    @cached_property
    def reader(self) -> CsvReader:
        """Reads its windows, here or in another process."""
        return CsvReader(self.file.content, self.shape)

    def inspect(self) -> SourceFacts:
        """Look at the file: size, fingerprint, a sample of its rows.

        Raises:
            Refused: missing, a folder, unreadable, empty, or without a single record.
        """
        shape, sample = self._looked_at
        if not sample:
            raise Refused(f"{self.path}: there is no record in it that fits its {len(shape.columns)} columns")
        notes = (f"{len(shape.columns)} columns, delimiter {shape.delimiter!r}",)
        return SourceFacts(size=self.file.size, fingerprint=fingerprint(self.path), sample=sample, notes=notes)

    def fingerprint(self) -> dict[str, Any]:
        """What tells whether the file is still the same."""
        return fingerprint(self.path)

    def align(self, offset: int) -> int:
        """The start of the first line at or after an offset; the first record for 0."""
        if offset <= self.shape.body:
            return self.shape.body
        return self._after_line(offset)

    def cut(
        self,
        number: int,
        lo: int,
        first_row: int,
        most_rows: int | None = None,
        end: int | None = None,
        behind: str | None = None,
    ) -> Window | None:
        """The next window at an offset; None at the end of the file."""
        rows = min(self._window_rows, most_rows) if most_rows is not None else self._window_rows
        try:
            with self.file.at(lo) as file:
                length, count = self._measure(file, rows, end - lo if end is not None else None)
        except OSError as error:
            raise unreadable(self.path, error) from error
        if not length:
            return None
        window = Window(number, lo, lo + length, first_row, count)
        self.file.lay_out(window)
        self.file.keep_from(window.hi)
        return window

    def _measure(self, file: Readable, rows: int, most: int | None) -> tuple[int, int]:
        room = self._window_bytes if most is None else min(self._window_bytes, most)
        delimiter = self.shape.delimiter.encode()
        block = file.read(min(room, rows * self._record_bytes * 5 // 4 + 4096))
        ends = ends_of(block, delimiter, rows)
        while len(ends) < rows:
            more = more_of(file, min(room - len(block), max(len(block), 2**16)), enough=bool(ends))
            if more is None:
                return ends[-1], len(ends)
            if not more:
                break
            block += more
            ends = ends_of(block, delimiter, rows)
        if len(ends) == rows:
            self._record_bytes = max(16, ends[-1] // rows)
            return ends[-1], rows
        if len(block) < self._window_bytes:
            whole = bool(ends) and ends[-1] == len(block)
            return len(block), len(ends) + (not whole and bool(block))
        if ends:
            return ends[-1], len(ends)
        # A record longer than a window: up to the next line's end, quotes or not, when it is too long for any.
        return len(block) + _rest_of_record(file, block, delimiter), 1

    # A look at the file ------------------------------------------------------------------------

    @cached_property
    def _looked_at(self) -> tuple[CsvShape, list[dict[str, Any]]]:
        head = head_of(self.file)
        if b"\n" not in head and b"\r" in head:
            raise Refused(f"{self.path}: its lines end with CR alone: convert it first (tr '\\r' '\\n')")
        text = self._decoded(head)
        delimiter = self._delimiter or delimiter_of(text)
        records = [record for record in parsed(text, delimiter)[: SAMPLE_ROWS + 1] if record]
        if not records:
            raise Refused(f"{self.path}: no record can be read from it")
        header = is_header(records[0]) if self._header is None else self._header
        names = names_of(records[0] if header else [""] * len(records[0]))
        body = self._body(head, delimiter, header)
        texts = CsvShape(delimiter, self._encoding, self._null, names, (ColumnType.TEXT,) * len(names), body)
        # First as texts, to see what they are written for; then as that.
        sample = self._sample(texts)
        columns = [[row[name] for row in sample if row[name] is not None] for name in names]
        shape = replace(texts, kinds=tuple(kind_of([text for text in each if text]) for each in columns))
        return shape, [
            {
                name: value(kind, row[name]) if row[name] else row[name]
                for name, kind in zip(names, shape.kinds, strict=True)
            }
            for row in sample
        ]

    def _decoded(self, head: bytes) -> str:
        # The last line may be cut off, in the middle of a letter even.
        whole = head[: head.rfind(b"\n") + 1] or head
        try:
            return whole.decode(self._encoding)
        except UnicodeDecodeError:
            return whole.decode(self._encoding, "replace")

    def _body(self, head: bytes, delimiter: str, header: bool) -> int:
        with self.file.at(0) as file:
            mark = len(BOM) if file.read(len(BOM)) == BOM else 0
        if not header:
            return mark
        ends = ends_of(head, delimiter.encode(), 1)
        return mark + (ends[0] if ends else len(head))

    def _sample(self, shape: CsvShape) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        places = [(shape.body, SAMPLE_ROWS)]
        size = self.file.size
        if size is not None:
            places += [
                (max(shape.body, self._after_line(size * n // SAMPLE_PLACES)), SAMPLE_AT_PLACE)
                for n in range(1, SAMPLE_PLACES)
            ]
        for place, count in places:
            with self.file.at(place) as file:
                block = file.read(2**20)
            ends = ends_of(block, shape.delimiter.encode(), count)
            block = block[: ends[-1]] if ends else block
            reader = CsvReader(_Held(place, block), shape)
            window = Window(1, place, place + len(block), 0, len(ends))
            rows += [row for _, row in reader.rows(window, lambda *_: None)]
        return rows

    def _after_line(self, offset: int) -> int:
        place = max(0, offset - 1)
        with self.file.at(place) as file:
            while block := file.read(self._window_bytes):
                end = block.find(b"\n")
                if end >= 0:
                    return place + end + 1
                place += len(block)
        return max(place, offset)


@dataclass(frozen=True, slots=True)
class _Held:
    """Bytes of a file that were read already."""

    offset: int
    block: bytes

    def read(self, lo: int, hi: int) -> bytes:
        return self.block[lo - self.offset : hi - self.offset]


def _rest_of_record(file: Readable, begun: bytes, delimiter: bytes) -> int:
    """Bytes up to the end of a record longer than a window."""
    length = 0
    while more := file.read(2**20):
        if len(begun) <= MAX_LINE:
            before = len(begun)
            begun += more
            ends = ends_of(begun, delimiter, 1)
            if ends:
                return length + ends[0] - before
        elif (end := more.find(b"\n")) >= 0:
            return length + end + 1
        length += len(more)
    return length
