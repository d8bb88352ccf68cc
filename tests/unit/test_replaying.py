"""Refused rows read again: which of a window are meant, and which of what comes of them may be written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import pytest

from streamconsole.engines.migration.batch import ROW_SHOWN, Batch, DecodeTask, NotAlike, Reader, Refuse, decode
from streamconsole.engines.migration.replaying.rows import ANOTHER, UNCLEAR, Kept, kept_of, replayed
from streamconsole.engines.migration.targets.csv_rows import Dialect
from streamconsole.engines.migration.targets.file_forms import Array, Csv, Lines
from streamconsole.engines.migration.targets.json_rows import JsonRows
from streamconsole.engines.migration.transforms.reader import TransformedReader
from streamconsole.engines.migration.transforms.steps import Passage, Rows, Step
from streamconsole.engines.units import Window

WINDOW = Window(3, 100, 200, 50, 6)


@dataclass(frozen=True, slots=True)
class Letters:
    """A source of six rows."""

    text: str = "abcdef"

    def rows(self, window: Window, refuse: Refuse) -> Iterator[tuple[int, dict[str, Any]]]:
        for index, letter in enumerate(self.text):
            if letter == "!":
                refuse(index, None, "no row")
            else:
                yield index, {"v": letter}

    def alike(self, window: Window) -> Iterator[list[dict[str, Any]]]:
        raise AssertionError("the quick way reads all rows")

    def locate(self, window: Window, indexes: set[int]) -> dict[int, tuple[int, str]]:
        return {n: (window.lo + n, f'{{"v":"{self.text[n]}"}}') for n in indexes if n < len(self.text)}


class Many:
    """Makes so many rows of each, as its letter says."""

    hidden = ()

    def __init__(self, counts: dict[str, int]) -> None:
        self.counts = counts

    def rows(self, rows: Rows, passage: Passage) -> Rows:
        for index, row in rows:
            count = self.counts.get(row["v"], 1)
            passage.counts.dropped += count == 0
            passage.counts.added += max(0, count - 1)
            for _ in range(count):
                yield index, dict(row)

    def alike(self, blocks: Iterator[list[dict[str, Any]]], passage: Passage) -> Iterator[list[dict[str, Any]]]:
        raise NotAlike


def kept(*letters: str, text: str = "abcdef") -> dict[int, Kept]:
    listed = [
        {"line": 51 + text.index(letter), "offset": 100 + text.index(letter), "row": f'{{"v":"{letter}"}}'}
        for letter in letters
    ]
    return kept_of(listed, WINDOW)


def again(reader: Reader, refused: dict[int, Kept]) -> Batch:
    return decode(DecodeTask(replayed(reader, refused), JsonRows(), WINDOW))


def told(batch: Batch) -> list[tuple[int, str]]:
    return [(reject.line, reject.reason) for reject in batch.rejects]


def test_just_the_refused_rows_are_read() -> None:
    batch = again(Letters(), kept("b", "e"))
    assert batch.payload == b'{"v":"b"}\n{"v":"e"}\n'
    assert (batch.rows_read, list(batch.indexes), batch.rejects) == (2, [1, 4], [])


def test_what_is_no_row_stays_refused_and_others_are_not_told_of() -> None:
    batch = again(Letters("a!c!ef"), {1: Kept(101, '{"v":"!"}')})
    assert (batch.rows_read, batch.payload, told(batch)) == (1, b"", [(52, "no row")])


def test_another_row_in_the_place_is_not_written() -> None:
    batch = again(Letters("aXcd"), kept("b", "c", "f"))
    assert batch.payload == b'{"v":"c"}\n'
    assert told(batch) == [(52, ANOTHER), (56, ANOTHER)]
    assert [reject.row for reject in batch.rejects] == ['{"v":"b"}', '{"v":"f"}'], "the list goes on naming them"


@pytest.mark.parametrize(
    ("shown", "same"),
    [
        ("***", True),
        ('{"v":"***","w":1}', True),
        ('{"v":"***","w":2}', False),
        ('{"v":"secret","w":1}', True),
        ("{", True),
        ("", True),
        ("[", False),
    ],
)
def test_what_was_kept_is_compared_without_what_is_hidden(shown: str, same: bool) -> None:
    assert Kept(0, shown).is_of('{"v":"secret","w":1}') is same


@pytest.mark.parametrize("cut", range(ROW_SHOWN - 12, ROW_SHOWN))
def test_a_text_that_was_cut_within_a_mark_is_still_known(cut: int) -> None:
    text = '{"a":"' + "x" * (cut - 15) + '","b":"secret"}'
    shown = text.replace("secret", "***")[:ROW_SHOWN].ljust(ROW_SHOWN)[:ROW_SHOWN]
    long = text + " " * ROW_SHOWN
    shown = long.replace('"secret"', '"***"')[:ROW_SHOWN]
    assert Kept(0, shown).is_of(long)


def test_rows_of_which_some_may_be_in_the_target_stay_refused() -> None:
    """One that makes as many as were refused is clear; one that makes more, or fewer, is not."""
    reader = TransformedReader(Letters(), (cast("Step", Many({"a": 2, "b": 3, "c": 0})),))
    batch = again(reader, kept("a", "a", "b", "c", "d", "d"))
    assert batch.payload == b'{"v":"a"}\n{"v":"a"}\n'
    assert told(batch) == [(52, UNCLEAR), (54, UNCLEAR), (54, UNCLEAR)]
    assert batch.rows_read == 4


ARRAY = b'[\n{"a":1},\n{"a":"]"}\n]\n'


@pytest.mark.parametrize("size", [1, 2, 5, 7, 64, 1000])
def test_an_array_is_opened_again_however_it_is_cut(size: int) -> None:
    long = ARRAY.replace(b'"]"', b'"' + b"]" * 200 + b'"')
    for whole in (ARRAY, long):
        blocks = (whole[at : at + size] for at in range(0, len(whole), size))
        assert b"".join(Array().reopened(blocks, ())) == whole.removesuffix(b"\n]\n")


@pytest.mark.parametrize("whole", [b"", b"{}", b'[{"a":1}', b'[{"a":1}] x'])
def test_what_is_no_array_is_not_taken_for_one(whole: bytes) -> None:
    with pytest.raises(ValueError, match="it does not"):
        list(Array().reopened(iter([whole]), ()))


def test_an_array_without_a_row_has_nothing_behind_its_head() -> None:
    assert list(filter(None, Array().reopened(iter([b"[\n\n]\n"]), ()))) == [b"[\n"]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_records_get_a_new_column_however_the_file_is_cut(size: int) -> None:
    whole = b'a,"b\nb"\n1,2\n"x\n""y",3\n,""\n'
    blocks = (whole[at : at + size] for at in range(0, len(whole), size))
    found = b"".join(Csv(Dialect()).reopened(blocks, ("a", "b\nb", "c")))
    assert found == b'a,"b\nb",c\n1,2,\n"x\n""y",3,\n,"",\n'


def test_a_last_line_without_its_end_gets_one() -> None:
    assert b"".join(Lines().reopened(iter([b'{"a":1}\n', b'{"a":2}']), ())) == b'{"a":1}\n{"a":2}\n'
