"""NDJSON as a source: windows partition any file, and every line is one row or one reject."""

from __future__ import annotations

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamconsole.engines.errors import Refused, SideLost
from streamconsole.engines.migration.batch import DecodeTask, _decode_one_by_one, decode
from streamconsole.engines.migration.columns import Schema, infer
from streamconsole.engines.migration.json_lines import BadRow, LineParser
from streamconsole.engines.migration.sources import ndjson
from streamconsole.engines.migration.sources.generate import GenerateSource
from streamconsole.engines.migration.sources.ndjson import NdjsonReader, NdjsonSource
from streamconsole.engines.migration.targets.json_rows import JsonRows
from streamconsole.engines.migration.targets.table_rows import TableRows
from streamconsole.engines.units import Window

LINES = st.lists(
    st.sampled_from([b"", b" ", b"\r", b"{}", b'{"a":1}', b"x" * 30, b"\xff\n"[:1]])
    | st.integers(0, 200).map(lambda n: b"{" + b"y" * n)
    | st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")),
    max_size=40,
)


def parse(line: bytes) -> dict[str, Any]:
    return LineParser(line).parse(line)


def windows_of(source: NdjsonSource, lo: int = 0, end: int | None = None) -> list[Window]:
    found: list[Window] = []
    row = 0
    while (window := source.cut(len(found) + 1, lo, row, None, end)) is not None:
        found.append(window)
        lo, row = window.hi, row + window.rows
    return found


@settings(max_examples=200)
@given(
    lines=LINES,
    ending=st.sampled_from([b"\n", b"\r\n"]),
    final=st.booleans(),
    rows=st.integers(1, 12),
    size=st.integers(1, 120),
    guess=st.integers(16, 400),
)
def test_windows_partition_the_file(
    lines: list[bytes], ending: bytes, final: bool, rows: int, size: int, guess: int
) -> None:
    content = ending.join(lines) + (ending if final and lines else b"")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "f.ndjson"
        path.write_bytes(content)
        source = NdjsonSource(path, rows, size)
        source._line_bytes = guess
        windows = windows_of(source)
        again = NdjsonSource(path, rows, size)
        assert windows == windows_of(again), "a cut depends on nothing but the file"
        blocks = [content[window.lo : window.hi] for window in windows]
        assert b"".join(blocks) == content
        row = 0
        for window, block in zip(windows, blocks, strict=True):
            inside = block.splitlines(keepends=True) if b"\r" not in block else _lines(block)
            assert window.first_row == row
            assert window.rows == len(inside) <= rows
            assert window.hi == len(content) or block.endswith(b"\n")
            assert len(block) <= size or window.rows == 1
            row += window.rows
        # Any start aligned to a line goes on with the very same lines.
        for offset in range(0, len(content) + 3, 7):
            start = source.align(offset)
            assert start >= min(offset, len(content)) or start >= len(content)
            assert start in (0, len(content)) or start > len(content) or content[start - 1 : start] == b"\n"
            rest = windows_of(source, start)
            assert b"".join(content[window.lo : window.hi] for window in rest) == content[start:]


def _lines(block: bytes) -> list[bytes]:
    parts = block.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


@given(LINES, st.integers(0, 300), st.integers(0, 300), st.integers(1, 5), st.integers(5, 100))
def test_a_range_is_cut_to_its_end(lines: list[bytes], lo: int, hi: int, rows: int, size: int) -> None:
    content = b"\n".join(lines)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "f.ndjson"
        path.write_bytes(content)
        source = NdjsonSource(path, rows, size)
        lo, hi = source.align(lo), source.align(hi)
        cut = windows_of(source, lo, hi) if lo < hi else []
        assert b"".join(content[window.lo : window.hi] for window in cut) == content[lo:hi]


ODD = st.sampled_from(
    [
        b'{"a":1,"a":2}',
        b'{"a" :1,"a":2}',
        b'{"a"\t:1}',
        b'{"a":1,"\\u0061":2}',
        b'{"a":1,"a":2,"b":"\\u0022:"}',
        b'{"a":12345678901234567890123}',
        b'{"a":9223372036854775808}',
        b'{"a":1e999}',
        b'{"a":NaN}',
        b'{"a":"\\ud800"}',
        b'{"a":1234567890123456789,"b":"\\ud800"}',
        b'{"a":1234567890123456789,"b":"\xed\xa0\x80"}',
        b'{"a":"\xff"}',
        b'{"a":"\0"}',
        b'{"a":"\\u0000"}',
        b'{"a":{"$oid":"5ca4bbcea2dd94ee58162a68"}}',
        b'{"a":{"$numberDouble":"NaN"}}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":{"b":"x\\":"},"c":"\\":"}',
        b"[1]",
        b"1",
        b'"x"',
        b"null",
        b"{",
        b"",
        b"  ",
        b'{"a":1}\r',
        b'{"a":' + b"[" * 300 + b"]" * 300 + b"}",
        b'{"a":' + b'{"x":' * 300 + b"1" + b"}" * 301,
        b'{"a":' + b'{"x":' * 5000 + b"1" + b"}" * 5001,
    ]
)
PLAIN = st.dictionaries(
    st.sampled_from(["a", "b", "c"]),
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=4),
    max_size=3,
).map(lambda row: json.dumps(row, separators=(",", ":")).encode())
ALIKE = st.lists(st.integers(-5, 5).map(lambda n: b'{"a":%d,"b":{"x":"y"}}' % n), min_size=1, max_size=6)


@settings(max_examples=300)
@given(st.lists(ODD | PLAIN, max_size=5) | ALIKE, st.lists(ODD | PLAIN, max_size=1), st.booleans())
def test_the_quick_way_gives_what_the_slow_one_gives(alike: list[bytes], more: list[bytes], wide: bool) -> None:
    content = b"\n".join([*alike, *more])
    with TemporaryDirectory() as folder:
        path = Path(folder) / "f.ndjson"
        path.write_bytes(content)
        window = Window(1, 0, len(content), 0, len(alike) + len(more))
        reader = NdjsonReader(path)
        sample = [row for _, row in reader.rows(window, lambda *_: None)] if wide else [{"a": 1, "b": 2.5}]
        table = TableRows(Schema(()).widened(infer(sample)), 2000)
        for factory in (table, JsonRows()):
            task = DecodeTask(reader, factory, window)
            assert repr(decode(task)) == repr(_decode_one_by_one(task))
        batch = decode(DecodeTask(reader, JsonRows(), window))
        filled = [line for line in content.split(b"\n") if line.strip()]
        assert batch.rows_read == len(filled) == len(batch.indexes) + len(batch.rejects)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"a":1,"a":2}', "key 'a' stands twice"),
        (b'{"a" :1,"a":2}', "key 'a' stands twice"),
        (b'{"a":1,"\\u0061":2}', "key 'a' stands twice"),
        (b'{"a":{"b":1,"b":2}}', "key 'b' stands twice"),
        (b'{"a":1,"a":2,"b":"\\u0022:"}', "key 'a' stands twice"),
        (b'{"a":NaN}', "JSON"),
        (b'{"a":1e999}', ""),
        (b'{"a":1234567890123456789012,"b":1e999}', "range"),
        (b'{"a":1234567890123456789012,"b":NaN}', "NaN is not JSON"),
        (b'{"a":1234567890123456789,"b":"\\ud800"}', "surrogate"),
        (b'{"a":1234567890123456789,"b":"\xed\xa0\x80"}', "UTF-8"),
        (b'{"a":"\xff"}', "invalid UTF-8 at byte 7"),
        (b'{"a":\0}', "NUL byte at byte 6"),
        (b"[]", "found an array"),
        (b"null", "found null"),
        (b'"x"', "found a string"),
        (b"true", "found a boolean"),
        (b"5", "found a number"),
        (b"{", "not valid JSON"),
        (b'{"a":' + b"[" * 100_000, ""),
        (b'{"a":1234567890123456789,"b":' + b"[" * 100_000, ""),
        (b'{"a":' + b"9" * 5000 + b"}", ""),
    ],
)
def test_a_line_that_is_no_row_is_refused_in_words(line: bytes, reason: str) -> None:
    with pytest.raises(BadRow) as caught:
        parse(line)
    assert reason in str(caught.value)


@given(st.integers(-(10**40), 10**40))
def test_integers_of_any_length_are_exact(number: int) -> None:
    assert parse(b'{"a":%d}' % number) == {"a": number}


def test_a_line_of_many_megabytes_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ndjson, "MAX_LINE", 1000)
    path = tmp_path / "f.ndjson"
    path.write_bytes(b'{"a":1}\n{"b":"' + b"x" * 5000 + b'"}\n{"c":3}\n')
    source = NdjsonSource(path, 10, 100)
    windows = windows_of(source)
    assert [window.rows for window in windows] == [1, 1, 1]
    batch = decode(DecodeTask(source.reader, JsonRows(), windows[1]))
    (reject,) = batch.rejects
    assert (reject.line, reject.offset) == (2, 8)
    assert "at most 1,000 are read" in reject.reason
    assert len(reject.row) <= 1024


def test_rejects_say_line_and_offset(tmp_path: Path) -> None:
    path = tmp_path / "f.ndjson"
    path.write_bytes(b'\xef\xbb\xbf{"a":1}\n\n{bad\n{"a":2}\nworse')
    source = NdjsonSource(path, 10, 1000)
    (window,) = windows_of(source)
    batch = decode(DecodeTask(source.reader, JsonRows(), window))
    content = path.read_bytes()
    assert [(each.line, each.row) for each in batch.rejects] == [(3, "{bad"), (5, "worse")]
    for each in batch.rejects:
        assert content[each.offset :].startswith(each.row.encode())
    assert batch.rows_read == 4


def test_a_file_that_shrinks_or_goes_is_a_lost_source(tmp_path: Path) -> None:
    path = tmp_path / "f.ndjson"
    path.write_bytes(b'{"a":1}\n' * 10)
    source = NdjsonSource(path, 5, 1000)
    window = Window(1, 0, 80, 0, 10)
    os.truncate(path, 40)
    with pytest.raises(SideLost, match="shorter"):
        decode(DecodeTask(source.reader, JsonRows(), window))
    path.unlink()
    for call in (lambda: source.cut(1, 0, 0), source.fingerprint, lambda: source.reader.read(0, 5)):
        with pytest.raises(SideLost, match="cannot be read any more"):
            call()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\n\n", "no row can be read"),
        (b'{"a":', "not valid JSON"),
        ('{"a":1}'.encode("utf-16"), "UTF-16"),
        (b' [{"a":1}]', "one JSON array"),
        (b"\xef\xbb\xbf", "no row"),
    ],
)
def test_a_file_without_rows_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "f.ndjson"
    path.write_bytes(content)
    with pytest.raises(Refused, match=reason):
        NdjsonSource(path, 10, 1000).inspect()


def test_what_comes_late_in_a_file_is_in_the_sample(tmp_path: Path) -> None:
    path = tmp_path / "f.ndjson"
    path.write_bytes(b'{"a":1}\n' * 20_000 + b'{"late":2}\n' * 3_000)
    facts = NdjsonSource(path, 5_000, 2**20).inspect()
    assert {"a", "late"} <= {key for row in facts.sample for key in row}
    assert facts.size == path.stat().st_size


# Generated rows ------------------------------------------------------------------------------------------


@given(
    kind=st.sampled_from(["users", "orders"]), seed=st.integers(0, 3), cuts=st.lists(st.integers(1, 400), max_size=5)
)
def test_generated_rows_do_not_depend_on_the_cuts(kind: str, seed: int, cuts: list[int]) -> None:
    count = 700
    whole = GenerateSource(kind, count, seed, count)
    expected = [row for _, row in whole.reader.rows(Window(1, 0, count, 0, count), lambda *_: None)]
    found = []
    lo = 0
    for size in [*cuts, count]:
        window = whole.cut(1, lo, lo, size)
        if window is None:
            break
        rows = list(whole.reader.rows(window, lambda *_: None))
        assert [index for index, _ in rows] == list(range(window.hi - window.lo))
        found += [row for _, row in rows]
        lo = window.hi
    assert found == expected
    assert [row["id"] for row in found] == list(range(1, count + 1))


def test_generated_rows_of_two_seeds_differ_and_are_found_again() -> None:
    window = Window(1, 250, 260, 250, 10)
    one, two = GenerateSource("users", 1000, 1, 100), GenerateSource("users", 1000, 2, 100)
    assert list(one.reader.rows(window, lambda *_: None)) != list(two.reader.rows(window, lambda *_: None))
    located = one.reader.locate(window, {3})
    assert located[3][0] == 253
    assert json.loads(located[3][1])["id"] == 254
    assert one.cut(1, 1000, 0) is None
