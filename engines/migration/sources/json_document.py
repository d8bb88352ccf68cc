"""One JSON document as a source: an array of objects, or an object of objects, streamed.

Windows are byte ranges of whole elements, each with the comma (or the closing bracket) after it. The
document is never whole in memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from streamconsole.engines.errors import Refused
from streamconsole.engines.migration.batch import ROW_SHOWN, NotAlike, Refuse
from streamconsole.engines.migration.extended_json import Malformed, unwrap_row
from streamconsole.engines.migration.json_lines import BadRow, LineParser, parse_lines
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
from streamconsole.engines.migration.sources.json_extents import Extents
from streamconsole.engines.migration.sources.source import SourceFacts
from streamconsole.engines.units import Window

SAMPLE_ROWS = 1_000

KEY_COLUMNS = ("_key", "_key_", "_object_key")
"""Names for the column of an object's keys: the first that rows do not have."""

_scan: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder(strict=False).scan_once  # type: ignore[attr-defined]
_UNNAMED = "\0"
"""The column of keys while it has no name yet."""

_BLANK = re.compile(r"[ \t\r\n]*")
_MEMBER = re.compile(rb'\s*("(?:[^"\\]|\\.)*")\s*:\s*', re.DOTALL)
_OBJECT_OF_OBJECTS = re.compile(rb'\s*\{\s*"(?:[^"\\]|\\.)*"\s*:\s*\{', re.DOTALL)


@dataclass(frozen=True, slots=True)
class JsonReader:
    """Reads byte ranges of one document as rows.

    Args:
        file: its bytes.
        key: column of the objects' keys; None for an array.
    """

    file: FileBytes
    key: str | None = None

    def rows(self, window: Window, refuse: Refuse) -> Iterator[tuple[int, dict[str, Any]]]:
        """The rows of a byte range."""
        if window.rows == 1 and window.hi - window.lo > MAX_LINE:
            refuse(0, None, f"the element has {window.hi - window.lo:,} bytes, at most {MAX_LINE:,} are read")
            return
        block = self.file.read(window.lo, window.hi)
        parser = LineParser(block)
        for index, (begin, end) in enumerate(elements(block)):
            try:
                yield index, self._row(parser, block[begin:end], block[end : end + 1])
            except (BadRow, Malformed) as error:
                refuse(index, None, str(error))

    def alike(self, window: Window) -> Iterator[list[dict[str, Any]]]:
        """The rows of a range, when every element is plain."""
        if window.hi - window.lo > MAX_LINE or self.key is not None:
            raise NotAlike
        block = self.file.read(window.lo, window.hi)
        if block[-1:] not in (b",", b"]") or (b"$" in block and b'"$' in block):
            raise NotAlike
        return parse_lines(_lines(block))

    def locate(self, window: Window, indexes: set[int]) -> dict[int, tuple[int, str]]:
        """Offset and text of some elements."""
        if window.rows == 1 and window.hi - window.lo > MAX_LINE:
            return {0: (window.lo, self.file.read(window.lo, window.lo + ROW_SHOWN).decode(errors="replace"))}
        block = self.file.read(window.lo, window.hi)
        return {
            index: (window.lo + begin, block[begin:end].strip()[: 4 * ROW_SHOWN].decode(errors="replace"))
            for index, (begin, end) in enumerate(elements(block))
            if index in indexes
        }

    def _row(self, parser: LineParser, element: bytes, after: bytes) -> dict[str, Any]:
        text = element.strip()
        if text[:1] in (b"]", b"}"):
            raise BadRow("there is more after the end of the document")
        if not text:
            raise BadRow("a comma without an element" if after in (b",", b"]", b"}") else "nothing")
        name: str | None = None
        if self.key is not None:
            member = _MEMBER.match(text)
            if member is None:
                raise BadRow('expected a member, "key": {…}')
            name, text = _text_of(member[1]), text[member.end() :]
        row = parser.parse(text)
        if b'"$' in text:
            row = unwrap_row(row)
        if not after:
            raise BadRow("the document ends here, without its closing bracket: it is cut off")
        return row if self.key is None else {self.key: name, **row}


def elements(block: bytes) -> Iterator[tuple[int, int]]:
    """Where elements begin and end in a window's bytes; its last one may lack its end."""
    text = block.decode("latin-1")
    at = 0
    while at < len(block):
        end = _quick_end(text, at)
        if end < 0:
            end = Extents().find(block, at)
        if end < 0:
            yield at, len(block)
            return
        if not (text[end] in "]}" and not text[at:end].strip()):
            yield at, end
        at = end + 1


def _quick_end(text: str, at: int) -> int:
    """The place of the comma or bracket after a sound element; -1 when it is not sound, or not all there.

    Latin-1 stands for bytes: what texts say is not looked at, only where they end.
    """
    begin = _BLANK.match(text, at).end()  # type: ignore[union-attr]
    try:
        if text.startswith('"', begin):
            # A member of an object: its key first.
            _, begin = _scan(text, begin)
            begin = _BLANK.match(text, begin).end()  # type: ignore[union-attr]
            if text.startswith(":", begin):
                begin = _BLANK.match(text, begin + 1).end()  # type: ignore[union-attr]
                _, begin = _scan(text, begin)
        else:
            _, begin = _scan(text, begin)
    except (StopIteration, ValueError, RecursionError):
        return -1
    end = _BLANK.match(text, begin).end()  # type: ignore[union-attr]
    return end if end < len(text) and text[end] in ",]}" else -1


def _lines(block: bytes) -> list[bytes]:
    """The elements of a block of plain rows."""
    found = [block[begin:end].strip() for begin, end in elements(block)]
    if not found or not all(found):
        raise NotAlike
    return found


def _text_of(quoted: bytes) -> str:
    try:
        found: str = json.loads(quoted.decode())
        found.encode()
    except ValueError as error:
        raise BadRow(f"the key is no text: {error}") from None
    return found


class JsonSource:
    """One document.

    Args:
        file: the file.
        window_rows: elements in a window, at most.
        window_bytes: bytes in a window, at most (a longer element is a window of its own).
    """

    unit = "bytes"

    def __init__(self, file: SourceFile, window_rows: int, window_bytes: int) -> None:
        self.file = file
        self.path = file.path
        self._window_rows = window_rows
        self._window_bytes = window_bytes
        self._looked: tuple[int, str | None, list[dict[str, Any]]] | None = None

    @property
    def reader(self) -> JsonReader:
        """Reads its windows, here or in another process."""
        return JsonReader(self.file.content, self._look()[1])

    def inspect(self) -> SourceFacts:
        """Look at the file: size, fingerprint, a sample of its rows.

        Raises:
            Refused: missing, a folder, unreadable, empty, or without a single row.
        """
        _, key, sample = self._look()
        notes = (f"an object of objects: their keys become column {key}",) if key else ("one JSON array",)
        return SourceFacts(size=self.file.size, fingerprint=fingerprint(self.path), sample=sample, notes=notes)

    def fingerprint(self) -> dict[str, Any]:
        """What tells whether the file is still the same."""
        return fingerprint(self.path)

    def align(self, offset: int) -> int:
        """The start of the first element at or after an offset: all before it is read, but kept nowhere."""
        begin = self._look()[0]
        place, window = begin, None
        while place < offset:
            window = self.cut(1, place, 0)
            if window is None:
                return offset
            if window.hi > offset:
                return self._within(window, offset)
            place = window.hi
        return place

    def cut(
        self,
        number: int,
        lo: int,
        first_row: int,
        most_rows: int | None = None,
        end: int | None = None,
        behind: str | None = None,
    ) -> Window | None:
        """The next window at an offset; None at the end of the document."""
        rows = min(self._window_rows, most_rows) if most_rows is not None else self._window_rows
        try:
            with self.file.at(lo) as file:
                length, count = self._measure(file, rows, end - lo if end is not None else None)
        except OSError as error:
            raise unreadable(self.path, error) from error
        if not count:
            return None
        window = Window(number, lo, lo + length, first_row, count)
        self.file.lay_out(window)
        self.file.keep_from(window.hi)
        return window

    def _measure(self, file: Readable, rows: int, most: int | None) -> tuple[int, int]:
        """Bytes and elements of the next window at the file's position."""
        room = self._window_bytes if most is None else min(self._window_bytes, most)
        block = file.read(min(room, 2**20))
        while True:
            length, count, over = _whole_elements(block, rows)
            if over or count == rows or len(block) >= room:
                break
            more = more_of(file, min(room - len(block), max(len(block), 2**16)), enough=count > 0)
            if not more:
                break
            block += more
        if count:
            return length, count
        if not block.strip():
            return 0, 0
        rest = 0 if over else _rest_of_element(file, block)
        return len(block) + rest, 1

    def _within(self, window: Window, offset: int) -> int:
        self.file.lay_out(window)
        for begin, _ in elements(self.file.content.read(window.lo, window.hi)):
            if window.lo + begin >= offset:
                return window.lo + begin
        return window.hi

    # A look at the file ------------------------------------------------------------------------

    def _look(self) -> tuple[int, str | None, list[dict[str, Any]]]:
        """Where the first element begins, the column of keys, and a sample."""
        if self._looked is None:
            self._looked = self._found()
        return self._looked

    def _found(self) -> tuple[int, str | None, list[dict[str, Any]]]:
        head = head_of(self.file)
        with self.file.at(0) as file:
            mark = len(BOM) if file.read(len(BOM)) == BOM else 0
        begin = mark + len(head) - len(head.lstrip()) + 1
        is_object = head.lstrip().startswith(b"{")
        problems: list[str] = []
        window = JsonSource(self.file, SAMPLE_ROWS, self._window_bytes)._head_window(begin)
        sample: list[dict[str, Any]] = []
        if window is not None:
            self.file.lay_out(window)
            reader = JsonReader(self.file.content, _UNNAMED if is_object else None)
            sample = [row for _, row in reader.rows(window, lambda _i, _c, reason: problems.append(reason))]
        if not sample:
            raise Refused(f"{self.path}: no row can be read from it: {problems[0] if problems else 'it is empty'}")
        if not is_object:
            return begin, None, sample
        taken = {name for row in sample for name in list(row)[1:]}
        key = next((name for name in KEY_COLUMNS if name not in taken), KEY_COLUMNS[-1])
        return begin, key, [{key: row.pop(_UNNAMED), **row} for row in sample]

    def _head_window(self, begin: int) -> Window | None:
        return self.cut(1, begin, 0)


def is_document(head: bytes) -> bool:
    """Whether a .json file that begins so is one document, not an object a line."""
    text = head.lstrip()
    if text.startswith(b"["):
        return True
    if not text.startswith(b"{"):
        return False
    line, _, rest = text.partition(b"\n")
    try:
        row = json.loads(line)
    except ValueError:
        # The first line is no row: one object over many lines, or one that is longer than what was looked at.
        return _OBJECT_OF_OBJECTS.match(text) is not None
    return (
        not rest.strip()
        and len(row) > 1
        and all(type(value) is dict and value for value in row.values())
        and (not any(name.startswith("$") for value in row.values() for name in value))
    )


def _whole_elements(block: bytes, most: int) -> tuple[int, int, bool]:
    """Bytes and number of the elements at the start of a block that are all there; whether the document ends."""
    text = block.decode("latin-1")
    at = count = 0
    while count < most:
        end = _quick_end(text, at)
        if end < 0:
            end = Extents().find(block, at)
        if end < 0:
            break
        closes = text[end] in "]}"
        # Nothing before the closing bracket: the document was empty, or ended with a comma.
        count += bool(text[at:end].strip()) or not closes
        at = end + 1
        if closes:
            return at, count, True
    return at, count, False


def _rest_of_element(file: Readable, begun: bytes) -> int:
    """Bytes up to the end of an element longer than a window, its comma or bracket included."""
    extents, length = Extents(), 0
    extents.find(begun, 0)
    while more := file.read(2**20):
        end = extents.find(more, 0)
        if end >= 0:
            return length + end + 1
        length += len(more)
    return length
