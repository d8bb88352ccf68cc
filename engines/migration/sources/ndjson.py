"""NDJSON files: one JSON object a line, plain or MongoDB Extended JSON.

Windows are byte ranges that end where a line ends. Lines are found by reading blocks, never the
whole file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamconsole.engines.errors import Refused
from streamconsole.engines.migration.batch import ROW_SHOWN, NotAlike, Refuse
from streamconsole.engines.migration.extended_json import Malformed, unwrap_row
from streamconsole.engines.migration.json_lines import BadRow, LineParser, parse_all
from streamconsole.engines.migration.sources.files import (
    BOM,
    MAX_LINE,
    FileBytes,
    SourceFile,
    bytes_of,
    file_of,
    fingerprint,
    head_of,
    more_of,
    unreadable,
)
from streamconsole.engines.migration.sources.source import SourceFacts
from streamconsole.engines.units import Window

SAMPLE_ROWS = 1_000
SAMPLE_PLACES = 8
SAMPLE_AT_PLACE = 50


@dataclass(frozen=True, slots=True)
class NdjsonReader:
    """Reads byte ranges of one file as rows.

    Args:
        file: the file, or its bytes.
    """

    file: Path | FileBytes

    def rows(self, window: Window, refuse: Refuse) -> Iterator[tuple[int, dict[str, Any]]]:
        """The rows of a byte range; blank lines are passed over."""
        if window.hi - window.lo > MAX_LINE and window.rows == 1:
            refuse(0, None, f"the line has {window.hi - window.lo:,} bytes, at most {MAX_LINE:,} are read")
            return
        block = self.read(window.lo, window.hi)
        parse = LineParser(block).parse
        wrappers = b"$" in block and b'"$' in block
        for index, line in enumerate(block.split(b"\n")):
            try:
                row = parse(line)
                if wrappers and b'"$' in line:
                    row = unwrap_row(row)
            except (BadRow, Malformed) as error:
                if line and not line.isspace():
                    refuse(index, None, str(error))
                continue
            yield index, row

    def alike(self, window: Window) -> Iterator[list[dict[str, Any]]]:
        """The rows of a window, when every line is plain JSON without anything odd."""
        if window.hi - window.lo > MAX_LINE:
            raise NotAlike
        block = self.read(window.lo, window.hi)
        if b"$" in block and b'"$' in block:
            raise NotAlike
        return parse_all(block)

    def locate(self, window: Window, indexes: set[int]) -> dict[int, tuple[int, str]]:
        """Offset and raw text of some lines of a window."""
        if window.rows == 1 and window.hi - window.lo > MAX_LINE:
            head = self.read(window.lo, window.lo + ROW_SHOWN)
            return {0: (window.lo, head.decode(errors="replace"))}
        found = {}
        block = self.read(window.lo, window.hi)
        # Not simply where the window begins: a mark at the head of the file is no longer in the block.
        offset = window.hi - len(block)
        for index, line in enumerate(block.split(b"\n")):
            if index in indexes:
                found[index] = (offset, line[: 4 * ROW_SHOWN].decode(errors="replace"))
            offset += len(line) + 1
        return found

    def read(self, lo: int, hi: int) -> bytes:
        """The bytes of a range, without the mark some editors put first.

        Raises:
            SideLost: the file is gone or shorter than it was.
        """
        block = bytes_of(self.file).read(lo, hi)
        return block.removeprefix(BOM) if lo == 0 else block


class NdjsonSource:
    """A file of JSON lines.

    Args:
        file: the file.
        window_rows: lines in a window, at most.
        window_bytes: bytes in a window, at most (a longer line is a window of its own).
    """

    unit = "bytes"

    def __init__(self, file: Path | SourceFile, window_rows: int, window_bytes: int) -> None:
        self.file = file_of(file)
        self.path = self.file.path
        self.reader = NdjsonReader(self.file.content)
        self._window_rows = window_rows
        self._window_bytes = window_bytes
        self._line_bytes = 256

    def inspect(self) -> SourceFacts:
        """Look at the file: size, fingerprint, a sample of its rows.

        Raises:
            Refused: missing, a folder, unreadable, empty, or without a single row.
        """
        head = head_of(self.file)
        if head.lstrip().startswith(b"["):
            raise Refused(f"{self.path} is one JSON array: give it a name that ends in .json")
        sample, first_problem = self._sample(self.file.size)
        if not sample:
            raise Refused(f"{self.path}: no row can be read from it; line 1: {first_problem or 'blank'}")
        return SourceFacts(size=self.file.size, fingerprint=fingerprint(self.path), sample=sample)

    def fingerprint(self) -> dict[str, Any]:
        """What tells whether the file is still the same."""
        return fingerprint(self.path)

    def align(self, offset: int) -> int:
        """The start of the first line at or after an offset."""
        if offset <= 0:
            return 0
        place = offset - 1
        with self.file.at(place) as file:
            while block := file.read(self._window_bytes):
                end = block.find(b"\n")
                if end >= 0:
                    return place + end + 1
                place += len(block)
            return max(place, offset)

    def cut(
        self,
        number: int,
        lo: int,
        first_row: int,
        most_rows: int | None = None,
        end: int | None = None,
        behind: str | None = None,
    ) -> Window | None:
        """The next window at an offset; None at the end of the file.

        Raises:
            SideLost: the file cannot be read any more.
        """
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

    def _measure(self, file: Any, rows: int, most: int | None) -> tuple[int, int]:
        """Bytes and lines of the next window at the file's position, `most` bytes at most."""
        room = self._window_bytes if most is None else min(self._window_bytes, most)
        block = file.read(min(room, rows * self._line_bytes * 5 // 4 + 4096))
        lines, length = _find_lines(block, rows)
        while lines < rows:
            more = more_of(file, room - len(block), enough=lines > 0)
            if more is None:
                return length, lines
            if not more:
                break
            block += more
            lines, length = _find_lines(block, rows, lines, length)
        if lines == rows:
            self._line_bytes = max(16, length // rows)
            return length, rows
        if len(block) < self._window_bytes:
            # The end of the file, or of the range asked for; the last line may lack its end.
            return len(block), lines + (length < len(block))
        if lines:
            return length, lines
        return len(block) + _rest_of_line(file), 1

    def _sample(self, size: int | None) -> tuple[list[dict[str, Any]], str | None]:
        """Rows from the start, and a few from places spread over the file: late surprises are found early."""
        problems: list[str] = []
        rows: list[dict[str, Any]] = []
        places = [(0, SAMPLE_ROWS)]
        if size is not None:
            places += [(self.align(size * n // SAMPLE_PLACES), SAMPLE_AT_PLACE) for n in range(1, SAMPLE_PLACES)]
        for place, count in places:
            lines = NdjsonSource(self.file, count, self._window_bytes)
            window = lines.cut(1, place, 0)
            if window is not None:
                self.file.lay_out(window)
                rows += [row for _, row in self.reader.rows(window, lambda _i, _c, reason: problems.append(reason))]
        return rows, problems[0] if problems else None


def _find_lines(block: bytes, most: int, lines: int = 0, end: int = 0) -> tuple[int, int]:
    """Whole lines at the start of a block, up to so many, and the bytes they have; `lines` in `end` are known."""
    find = block.find
    while lines < most and (after := find(b"\n", end) + 1):
        lines, end = lines + 1, after
    return lines, end


def _rest_of_line(file: Any) -> int:
    """Bytes up to the end of a line longer than a window; none of them is kept."""
    length = 0
    while more := file.read(2**20):
        end = more.find(b"\n")
        if end >= 0:
            return length + int(end) + 1
        length += len(more)
    return length
