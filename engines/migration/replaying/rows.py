"""The refused rows of a window, read again from the source: a reader like any other."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streamconsole.engines.migration.batch import ROW_SHOWN, Counts, NotAlike, Reader, Refuse
from streamconsole.engines.migration.transforms.reader import TransformedReader
from streamconsole.engines.migration.transforms.steps import Row, Step
from streamconsole.engines.secrets import HIDDEN
from streamconsole.engines.units import Window

ANOTHER = "the source has another row in this place now"
UNCLEAR = "several rows are made of this one, and which of them are in the target cannot be told"


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of a refused row.

    Args:
        offset: where it stands.
        text: its beginning, without what nobody is to see.
        times: refused rows that were made of it.
    """

    offset: int
    text: str
    times: int = 1

    def is_of(self, text: str) -> bool:
        """Whether this is what was kept of a text."""
        if self.text == HIDDEN:
            return True
        # Where the text was cut there may be half of a mark.
        kept = self.text if len(self.text) < ROW_SHOWN else re.sub(r'"\*{0,3}"?\Z', "", self.text)
        pieces = map(re.escape, kept.split(f'"{HIDDEN}"'))
        return re.match(".*?".join(pieces), text, re.DOTALL) is not None


def kept_of(refused: Iterable[Mapping[str, Any]], window: Window) -> dict[int, Kept]:
    """The refused rows of a window as they are listed, by index in it."""
    found: dict[int, Kept] = {}
    for each in refused:
        index = each["line"] - window.first_row - 1
        before = found.get(index)
        found[index] = Kept(each["offset"], each["row"], 1 if before is None else before.times + 1)
    return found


def replayed(reader: Reader, refused: Mapping[int, Kept]) -> Replayed:
    """Reads just the refused rows; transforms see no others."""
    if isinstance(reader, TransformedReader):
        return Replayed(TransformedReader(Chosen(reader.reader, refused), reader.steps), refused)
    return Replayed(TransformedReader(Chosen(reader, refused), ()), refused)


def only(reader: Reader, indexes: Iterable[int], steps: Sequence[Step]) -> TransformedReader:
    """Reads some rows of a window of a source, and passes them through these transforms in place of its own."""
    own = reader.reader if isinstance(reader, TransformedReader) else reader
    return TransformedReader(Chosen(own, dict.fromkeys(indexes, Kept(0, ""))), tuple(steps))


@dataclass(frozen=True, slots=True)
class Chosen:
    """Some rows of a window of the source.

    Args:
        reader: the source's own.
        refused: the rows that are meant, by index.
    """

    reader: Reader
    refused: Mapping[int, Kept]

    def rows(self, window: Window, refuse: Refuse) -> Iterator[tuple[int, Row]]:
        """The rows that are meant; those that are others by now are refused, and so are those that are gone."""
        left = self.same(window)

        def chosen(index: int, column: str | None, reason: str) -> None:
            if index in left:
                left.discard(index)
                refuse(index, column, reason)

        for index in self.refused.keys() - left:
            refuse(index, None, ANOTHER)
        for index, row in self.reader.rows(window, chosen):
            if index in left:
                left.discard(index)
                yield index, row
        for index in left:
            refuse(index, None, ANOTHER)

    def alike(self, window: Window) -> Iterator[list[Row]]:
        """They are looked at one by one."""
        raise NotAlike

    def locate(self, window: Window, indexes: set[int]) -> dict[int, tuple[int, str]]:
        """As the source does; where it has other rows by now, what is known of those that were refused."""
        found = self.reader.locate(window, indexes)
        return {
            index: found[index] if index in found and kept.is_of(found[index][1]) else (kept.offset, kept.text)
            for index, kept in self.refused.items()
            if index in indexes
        }

    def same(self, window: Window) -> set[int]:
        """Indexes at which the source has the row that was refused."""
        found = self.reader.locate(window, set(self.refused))
        return {index for index, (_, text) in found.items() if self.refused[index].is_of(text)}


@dataclass(frozen=True, slots=True)
class Replayed:
    """Refused rows as they come out of the transforms.

    Args:
        reader: gives them.
        refused: what is known of each, by index.
    """

    reader: TransformedReader
    refused: Mapping[int, Kept]

    def begin(self, counts: Counts) -> Reader:
        """This reader for one window, counting."""
        return _OneReplay(self, counts)

    def rows(self, window: Window, refuse: Refuse) -> Iterator[tuple[int, Row]]:
        """The rows that may be written."""
        return self.begin(Counts()).rows(window, refuse)

    def alike(self, window: Window) -> Iterator[list[Row]]:
        """They are looked at one by one."""
        raise NotAlike

    def locate(self, window: Window, indexes: set[int]) -> dict[int, tuple[int, str]]:
        """Where they stand; without the values that a transform takes out of sight."""
        return self.reader.locate(window, indexes)


class _OneReplay:
    """A replay of one window."""

    def __init__(self, whole: Replayed, counts: Counts) -> None:
        self._whole = whole
        self._counts = counts

    def rows(self, window: Window, refuse: Refuse) -> Iterator[tuple[int, Row]]:
        refused: list[tuple[int, str | None, str]] = []

        def note(index: int, column: str | None, reason: str) -> None:
            refused.append((index, column, reason))

        found = list(self._whole.reader.begin(self._counts).rows(window, note))
        made = Counter(index for index, _ in found) + Counter(index for index, _, _ in refused)
        # Just as many as were refused: none of them is in the target.
        clear = {index for index, count in made.items() if count == self._whole.refused[index].times}
        for index, row in found:
            if index in clear:
                yield index, row
        for index, column, reason in refused:
            if index in clear:
                refuse(index, column, reason)
        for index in made.keys() - clear:
            times = self._whole.refused[index].times
            self._counts.added += times - made[index]
            for _ in range(times):
                refuse(index, None, UNCLEAR)

    def alike(self, window: Window) -> Iterator[list[Row]]:
        raise NotAlike

    def locate(self, window: Window, indexes: set[int]) -> dict[int, tuple[int, str]]:
        return self._whole.locate(window, indexes)
