"""CSV as a source: records are never cut, and no text becomes another value than it is written for."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamconsole.engines.errors import Refused
from streamconsole.engines.migration.batch import DecodeTask, NotAlike, _decode_one_by_one, decode
from streamconsole.engines.migration.columns import ColumnType
from streamconsole.engines.migration.sources import csv as csv_source
from streamconsole.engines.migration.sources.csv import CsvReader, CsvSource
from streamconsole.engines.migration.sources.csv_dialect import (
    CsvShape,
    delimiter_of,
    is_header,
    kind_of,
    names_of,
    value,
)
from streamconsole.engines.migration.sources.csv_records import by_pattern, ends_of
from streamconsole.engines.migration.sources.files import PlainFile
from streamconsole.engines.migration.sources.json_columns import whole_numbers
from streamconsole.engines.migration.targets.csv_rows import CsvRows, Dialect, record
from streamconsole.engines.migration.targets.json_rows import JsonRows
from streamconsole.engines.units import Window


def source(path: Path, rows: int = 5000, size: int = 2**20, **options: Any) -> CsvSource:
    return CsvSource(PlainFile(path), rows, size, **options)


def windows_of(found: CsvSource) -> list[Window]:
    windows: list[Window] = []
    lo = found.align(0)
    while (window := found.cut(len(windows) + 1, lo, sum(each.rows for each in windows))) is not None:
        windows.append(window)
        lo = window.hi
    return windows


def read(found: CsvSource) -> tuple[list[dict[str, Any]], list[str]]:
    """All rows, and the reasons of those refused; read both ways where both go."""
    rows: list[dict[str, Any]] = []
    refused: list[str] = []
    for window in windows_of(found):
        some: list[dict[str, Any]] = []
        wrong: list[str] = []
        some += [row for _, row in found.reader.rows(window, lambda _i, _c, reason, to=wrong: to.append(reason))]
        try:
            assert [row for block in found.reader.alike(window) for row in block] == some
            assert not wrong
        except NotAlike:
            pass
        rows += some
        refused += wrong
    return rows, refused


def written(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["1", "-20", "0"], ColumnType.INTEGER),
        (["1", "007"], ColumnType.TEXT),
        (["+5"], ColumnType.TEXT),
        ([" 12"], ColumnType.TEXT),
        (["1_000"], ColumnType.TEXT),
        (["-0"], ColumnType.TEXT),
        (["1", "2.5"], ColumnType.FLOAT),
        (["0.1", "1e-07"], ColumnType.FLOAT),
        (["12.50", "1.5"], ColumnType.DECIMAL),
        (["1e5"], ColumnType.TEXT),
        (["NaN"], ColumnType.TEXT),
        (["nan", "inf"], ColumnType.TEXT),
        (["true", "false"], ColumnType.BOOLEAN),
        (["True"], ColumnType.TEXT),
        (["2020-01-02T03:04:05.000Z"], ColumnType.DATETIME),
        (["2020-01-02"], ColumnType.TEXT),
        (['{"a":1}', "[]"], ColumnType.JSON),
        (['{"a": 1}'], ColumnType.TEXT),
        (["1", "true"], ColumnType.TEXT),
        (["9" * 30], ColumnType.INTEGER),
        (["9" * 5000], ColumnType.DECIMAL),
        ([], ColumnType.TEXT),
    ],
)
def test_a_column_is_what_its_texts_are_written_for(texts: list[str], kind: ColumnType) -> None:
    assert kind_of(texts) is kind


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(delimiter: str) -> None:
    lines = [["id", "name", "note"], ["1", "a,b;c", 'x "y"'], ["2", "", "z|t"]]
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(lines)
    assert delimiter_of(out.getvalue()) == delimiter


def test_a_header_names_columns_and_a_record_does_not() -> None:
    assert is_header(["id", "name"])
    assert is_header(["id", ""])
    assert not is_header(["1", "name"])
    assert not is_header(["", ""])
    assert names_of(["id", "ID", "", "id", " x "]) == ("id", "ID_2", "column_3", "id_3", "x")


def test_values_keep_their_texts(tmp_path: Path) -> None:
    path = written(
        tmp_path / "f.csv",
        "id,code,price,flag,empty,quoted\r\n"
        '1,007,12.50,true,,""\r\n'
        '2,1e5,3.00,false,,"a ""b"",\nc"\r\n'
        "\r\n"
        "3,+5,100,,,x\r\n",
    )
    rows, refused = read(source(path))
    assert refused == []
    assert rows == [
        {"id": 1, "code": "007", "price": Decimal("12.50"), "flag": True, "empty": None, "quoted": ""},
        {"id": 2, "code": "1e5", "price": Decimal("3.00"), "flag": False, "empty": None, "quoted": 'a "b",\nc'},
        {"id": 3, "code": "+5", "price": 100, "flag": None, "empty": None, "quoted": "x"},
    ]


def test_the_mark_of_no_value_can_be_a_text_in_quotes(tmp_path: Path) -> None:
    path = written(tmp_path / "f.csv", 'a,b\n\\N,"\\N"\n"x,\\N,y",\n')
    assert read(source(path, null="\\N"))[0] == [{"a": None, "b": "\\N"}, {"a": "x,\\N,y", "b": ""}]


def test_a_file_of_one_column_may_have_rows_of_nothing(tmp_path: Path) -> None:
    path = written(tmp_path / "f.csv", 'a\nx\n\n""\n')
    assert read(source(path))[0] == [{"a": "x"}, {"a": None}, {"a": ""}]


def test_what_is_no_record_is_told(tmp_path: Path) -> None:
    path = written(
        tmp_path / "f.csv",
        b'a,b\n1,2\n1,2,3\nonly\n"x"y,2\n5" pipe,ok\nna\0me,2\n\xff,2\n3,4\n"open,\n9,9\n',
    )
    rows, refused = read(source(path))
    assert rows == [{"a": "1", "b": 2}, {"a": '5" pipe', "b": "ok"}, {"a": "3", "b": 4}] or [
        str(row["a"]) for row in rows
    ] == ["1", '5" pipe', "3"]
    assert [reason.split(":")[0].split(" at")[0] for reason in refused] == [
        "3 values, the file has 2 columns",
        "1 values, the file has 2 columns",
        "not valid CSV",
        "NUL byte",
        "invalid UTF-8",
        "not valid CSV",
    ]


def test_rejects_are_found_by_offset_and_line(tmp_path: Path) -> None:
    content = b'a,b\n1,2\n"x\ny",3\nbad\n'
    batch = decode(
        DecodeTask((found := source(written(tmp_path / "f.csv", content))).reader, JsonRows(), windows_of(found)[0])
    )
    (reject,) = batch.rejects
    assert (reject.line, reject.offset, reject.row) == (3, content.index(b"bad"), "bad")


def test_encodings(tmp_path: Path) -> None:
    path = written(tmp_path / "f.csv", "n\nÅ€\n".encode("cp1252"))
    assert read(source(path, encoding="cp1252"))[0] == [{"n": "Å€"}]
    marked = written(tmp_path / "g.csv", b"\xef\xbb\xbfn,m\n1,2\n")
    assert read(source(marked))[0] == [{"n": 1, "m": 2}]


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"", "is empty"), (b"a,b\n", "no record"), (b"a\r1\r2\r", "CR alone"), (b"\xff\xfea\0", "UTF-16")],
)
def test_files_without_rows_are_refused(tmp_path: Path, content: bytes, told: str) -> None:
    with pytest.raises(Refused, match=told):
        source(written(tmp_path / "f.csv", content)).inspect()


def test_two_thousand_columns(tmp_path: Path) -> None:
    names = [f"c{n}" for n in range(2000)]
    path = written(tmp_path / "f.csv", ",".join(names) + "\n" + ",".join(map(str, range(2000))) + "\n")
    assert read(source(path, size=4096))[0] == [dict(zip(names, range(2000), strict=True))]


def test_a_quoted_value_longer_than_a_window_is_one(tmp_path: Path) -> None:
    long = "x\n" * 10_000
    path = written(tmp_path / "f.csv", f'a,b\n1,2\n"{long}",3\n4,5\n')
    found = source(path, size=4096)
    assert [window.rows for window in windows_of(found)] == [1, 1, 1]
    assert [row["b"] for row in read(found)[0]] == [2, 3, 5]


def test_a_record_that_is_too_long_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    with path.open("wb") as file:
        file.write(b"a,b\n1,2\n")
        file.write(b"x" * (17 * 2**20) + b",2\n5,6\n")
    rows, refused = read(source(path))
    assert [str(row["a"]) for row in rows] == ["1", "5"]
    assert len(refused) == 1
    assert "at most" in refused[0]


def test_from_an_offset_on(tmp_path: Path) -> None:
    path = written(tmp_path / "f.csv", "a,b\n1,2\n3,4\n5,6\n")
    found = source(path)
    assert [found.align(offset) for offset in (0, 3, 4, 5, 8, 9)] == [4, 4, 4, 8, 8, 12]


FIELDS = st.text(st.sampled_from(list('ab,;"\n\t|1 ')), max_size=5)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(FIELDS, min_size=2, max_size=2), max_size=6), st.integers(0, 80))
def test_ends_do_not_depend_on_how_much_is_read(records: list[list[str]], cut: int) -> None:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(records)
    block = out.getvalue().encode()
    whole = ends_of(block, b",", 100)
    assert len(whole) == len(records)
    assert ends_of(block[:cut], b",", 100) == [end for end in whole if end <= cut]


@settings(max_examples=1_500)
@given(
    st.lists(
        st.sampled_from([b'"', b'""', b",", b"\n", b"\r\n", b"a", b'"a",', b'"b\n"\n', b"\1", b"\2"]), max_size=14
    ),
    st.integers(1, 9),
)
def test_the_quick_way_to_ends_finds_those_of_the_thorough_one(pieces: list[bytes], most: int) -> None:
    block = b"".join(pieces)
    assert ends_of(block, b",", most) == by_pattern(block, b",", most)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(FIELDS, min_size=3, max_size=3), min_size=1, max_size=12),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.integers(1, 4),
)
def test_what_the_standard_library_writes_is_read(
    records: list[list[str]], delimiter: str, end: str, quoting: Any, window: int
) -> None:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=quoting).writerows([["x", "y", "z"], *records])
    with TemporaryDirectory() as folder:
        path = written(Path(folder) / "f.csv", out.getvalue())
        found = source(path, rows=window, delimiter=delimiter, header=True)
        if not any(any(each) for each in records) and quoting is csv.QUOTE_MINIMAL:
            return
        rows, refused = read(found)
        assert refused == []
        told = [["" if value is None else str(value) for value in row.values()] for row in rows]
        assert told == records


VALUES = (
    st.none()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
    | st.sampled_from(["", "\\N", "007", "1e5", " x ", "true", "null", "12.50", "\n", '"', ",", '","', '""'])
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=10),
    st.sampled_from(["", "\\N"]),
    st.sampled_from([",", "\t"]),
    st.integers(1, 4),
)
def test_what_we_write_is_read_again(rows: list[tuple[Any, Any]], null: str, delimiter: str, window: int) -> None:
    dialect = Dialect(delimiter, null)
    normalizer = CsvRows(("a", "b"), dialect)()
    for index, row in enumerate(rows):
        normalizer.add(index, dict(zip("ab", row, strict=True)))
    block = CsvRows(("a", "b"), dialect)()
    block.add_block(("a", "b"), rows)
    payload = normalizer.payload()
    assert block.payload() == payload
    with TemporaryDirectory() as folder:
        path = written(Path(folder) / "f.csv", record(["a", "b"], dialect) + payload[0])
        found = source(path, rows=window, delimiter=delimiter, header=True, null=null)
        read_again, refused = read(found)
        assert refused == []
        assert [tuple(map(_told, row.values())) for row in read_again] == [tuple(map(_told, row)) for row in rows]
        for each in windows_of(found):
            task = DecodeTask(found.reader, JsonRows(), each)
            assert decode(task) == _decode_one_by_one(task)


def _told(value: Any) -> str | None:
    """A value by its text: all that CSV keeps of it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else repr(value) if isinstance(value, float) else str(value)


@given(
    st.sampled_from([ColumnType.INTEGER, ColumnType.FLOAT]),
    st.lists(
        st.one_of(
            st.integers().map(str),
            st.floats().map(repr),
            st.sampled_from(
                [
                    "-0",
                    "00",
                    "18446744073709551616",
                    "-9223372036854775809",
                    "007",
                    "+1",
                    " 1",
                    "1 ",
                    "1_0",
                    "1,2",
                    "",
                    "1e5",
                    "1E5",
                    "١",
                    "0x1",
                    "-",
                    "1.0",
                    "0.10",
                ]
            ),
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_numbers_taken_at_once_are_those_taken_one_by_one(kind: ColumnType, texts: list[str]) -> None:
    found = whole_numbers(kind, texts)
    if found is not None:
        taken = [value(kind, text) for text in texts]
        assert (found, list(map(type, found))) == (taken, list(map(type, taken)))
        assert list(map(repr, found)) == texts


@given(
    st.lists(
        st.lists(st.sampled_from(["", '""', "a", '"a"', '"a""b"', '"x\ny"', "7"]), min_size=2, max_size=2), min_size=1
    )
)
def test_a_text_in_quotes_that_reads_like_no_value_is_one_wherever_it_stands(rows: list[list[str]]) -> None:
    content = b"a,b\n" + "".join(",".join(row) + "\n" for row in rows).encode()
    expected = [[None if text == "" else parsed_text(text) for text in row] for row in rows]
    shape = CsvShape(",", "utf-8", "", ("a", "b"), (ColumnType.TEXT, ColumnType.TEXT), 4)
    reader = CsvReader(Held(content), shape)
    # Some records at a time: what has come before the first text like no value is not read again.
    with patch.object(csv_source, "ROWS_AT_ONCE", 2):
        found = [row for batch in reader.alike(Window(1, 4, len(content), 0, len(rows))) for row in batch]
    assert [list(row.values()) for row in found] == expected


def parsed_text(text: str) -> str:
    return text[1:-1].replace('""', '"') if text.startswith('"') else text


@dataclass(frozen=True)
class Held:
    """A file in memory."""

    content: bytes

    def read(self, lo: int, hi: int) -> bytes:
        return self.content[lo:hi]
