"""Rows that are none, or fit nowhere: refused one by one, listed with line and reason; the rest goes on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.acceptance.calling import Call, migrate, rejects, rows, write_lines

MIB = 2**20


def deep(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


BAD_LINES: dict[str, tuple[bytes, str | None, str]] = {
    "cut off": (b'{"_id":9,"a":"x', None, "not valid JSON"),
    "an array": (b"[1,2]", None, "expected an object, found an array"),
    "a number": (b"7", None, "expected an object, found a number"),
    "null": (b"null", None, "expected an object, found null"),
    "two objects": (b'{"_id":9}{"_id":8}', None, "not valid JSON"),
    "invalid UTF-8": (b'{"_id":9,"a":"\xff\xfe"}', None, "invalid UTF-8 at byte 15"),
    "NUL byte": (b'{"_id":9,"a":"\0"}', None, "NUL byte at byte 15"),
    "NUL bytes only": (b"\0" * 100, None, "NUL byte at byte 1"),
    "a key twice": (b'{"_id":9,"a":1,"a":2}', None, "key 'a' stands twice"),
    "a key twice, spelled otherwise": (b'{"_id":9,"a":1,"\\u0061":2}', None, "key 'a' stands twice"),
    "a key twice, inside": (b'{"_id":9,"a":[{"b":1,"b":2}]}', None, "key 'b' stands twice"),
    "a key twice, with blanks": (b'{"_id":9,"a":{"b" :1,"b"  :2}}', None, "key 'b' stands twice"),
    "NaN": (b'{"_id":9,"a":NaN}', None, "not valid JSON"),
    "NaN beside a long number": (b'{"_id":9,"a":NaN,"b":12345678901234567890}', None, "NaN is not JSON"),
    "NaN, extended": (b'{"_id":9,"f":{"$numberDouble":"NaN"}}', "f", "NaN has no place"),
    "NaN, extended, in a text column": (b'{"_id":9,"a":{"$numberDouble":"NaN"}}', "a", "NaN has no place"),
    "NaN, decimal": (b'{"_id":9,"f":{"$numberDecimal":"NaN"}}', None, "decimal NaN has no place"),
    "beyond a double": (b'{"_id":9,"f":1e400}', None, "not valid JSON"),
    "beyond a double, slowly": (
        b'{"_id":9,"f":1e400,"n":12345678901234567890}',
        None,
        "beyond the range of a double",
    ),
    "5,000 digits": (b'{"_id":9,"n":' + b"7" * 5000 + b"}", None, "not valid JSON"),
    "half a character": (b'{"_id":9,"a":"\\ud800"}', None, "not valid JSON"),
    "half a character, slowly": (b'{"_id":9,"a":"\\ud800","n":12345678901234567890}', None, "half a surrogate"),
    "nested 1,000 deep": (
        f'{{"_id":9,"a":{deep(1000)},"d":{{"$oid":"{"0" * 24}"}}}}'.encode(),
        None,
        "nested too deep",
    ),
    "nested 100,000 deep": (f'{{"_id":9,"a":{deep(100_000)}}}'.encode(), None, "depth"),
    "date after 9999": (b'{"_id":9,"a":{"$date":{"$numberLong":"999999999999999"}}}', None, "outside the years"),
    "date before 1": (b'{"_id":9,"a":{"$date":{"$numberLong":"-99999999999999"}}}', None, "outside the years"),
    "date out of UTC": (b'{"_id":9,"a":{"$date":"0001-01-01T00:00:00+14:00"}}', None, "malformed $date"),
    "date that is none": (b'{"_id":9,"a":{"$date":"2023-02-30T00:00:00Z"}}', None, "malformed $date"),
    "object id": (b'{"_id":{"$oid":"xyz"}}', None, "malformed $oid"),
    "integer in words": (b'{"_id":9,"n":{"$numberInt":"seven"}}', None, "malformed $numberInt"),
    "duplicate key": (b'{"_id":1,"a":"x"}', "_id", "duplicate key 1"),
}

GOOD = ('{"_id":1,"a":"x","n":1,"f":1.5}', '{"_id":2,"a":"y","n":2,"f":2.5}')


@pytest.mark.parametrize(("line", "column", "reason"), BAD_LINES.values(), ids=BAD_LINES)
def test_a_bad_row_is_refused_alone(line: bytes, column: str | None, reason: str, call: Call, folder: Path) -> None:
    source = write_lines(folder / "s.ndjson", GOOD[0], line, GOOD[1])
    result = migrate(call, str(source))
    assert result.code == 1, result
    assert "Traceback" not in result.err
    assert rows(statement="SELECT _id, a, n, f FROM t ORDER BY _id") == [(1, "x", 1, 1.5), (2, "y", 2, 2.5)]
    (refused,) = rejects(call, result)
    assert (refused["window"], refused["line"], refused["offset"]) == (1, 2, len(GOOD[0]) + 1)
    assert refused["column"] == column
    assert reason in refused["reason"]
    assert refused["row"] == line[:1024].decode(errors="replace")


@pytest.mark.parametrize("name", ["cut off", "NUL byte", "a key twice", "half a character, slowly", "date after 9999"])
def test_a_bad_row_is_refused_by_a_file_too(name: str, call: Call, folder: Path) -> None:
    line, _, reason = BAD_LINES[name]
    source = write_lines(folder / "s.ndjson", GOOD[0], line, GOOD[1])
    result = migrate(call, str(source), "o.ndjson")
    assert result.code == 1, result
    assert Path("o.ndjson").read_text() == "\n".join([*GOOD, ""])
    (refused,) = rejects(call, result)
    assert reason in refused["reason"]


def test_a_truncated_last_line(call: Call, folder: Path) -> None:
    source = folder / "s.ndjson"
    source.write_text(GOOD[0] + "\n" + GOOD[1][:-5])
    result = migrate(call, str(source))
    assert result.code == 1
    assert [refused["line"] for refused in rejects(call, result)] == [2]
    assert len(rows()) == 1


def test_a_last_line_without_its_end(call: Call, folder: Path) -> None:
    source = folder / "s.ndjson"
    source.write_text("\n".join(GOOD))
    assert migrate(call, str(source)).code == 0
    assert len(rows()) == 2


def test_windows_line_ends_and_a_byte_order_mark(call: Call, folder: Path) -> None:
    source = folder / "s.ndjson"
    source.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*GOOD, ""]).encode())
    assert migrate(call, str(source)).code == 0
    assert len(rows()) == 2


ODD_NAMES = (
    *("select", "table", "order", "rowid", 'quo"te', "apo'stroph", "semi;colon", "new\nline", "🙂", "naïve", "--", ""),
    *(
        "Case",
        "case",
        "CASE",
        "a b",
        "a.b",
        "$x",
        "日本語",
        "\u202eback",
        "[x]",
        "`x`",
        "?",
        ":x",
        "%s",
        "streamconsole",
    ),
)


def test_odd_column_names_are_kept(call: Call, folder: Path) -> None:
    source = write_lines(folder / "s.ndjson", one_row({name: f"value of {name}" for name in ODD_NAMES}))
    result = migrate(call, str(source))
    assert result.code == 0, result
    (values,) = rows()
    assert values == tuple(f"value of {name}" for name in ODD_NAMES)
    names = [name for (name,) in rows(statement="SELECT name FROM pragma_table_info('t')")]
    assert len({name.casefold() for name in names}) == len(ODD_NAMES)
    assert names[:5] == ["select", "table", "order", "rowid", 'quo"te']
    assert all(name.isprintable() and name for name in names)


@pytest.mark.parametrize("table", ['quo"te', "select", "🙂", "a b", "x; DROP TABLE t", "%s"])
def test_odd_table_names(table: str, call: Call, folder: Path) -> None:
    source = write_lines(folder / "s.ndjson", *GOOD, '{"_id":3,"a":3,"late":1}')
    result = migrate(call, str(source), f"sqlite:///t.db#{table.replace('%', '%25')}", "--window-rows", "1")
    assert result.code == 0, result
    quoted = table.replace('"', '""')
    assert len(rows(statement=f'SELECT * FROM "{quoted}"')) == 3


@pytest.mark.parametrize("count", [1999, 2000])
def test_two_thousand_columns(count: int, call: Call, folder: Path) -> None:
    source = write_lines(folder / "s.ndjson", one_row({f"c{number}": number for number in range(count)}))
    assert migrate(call, str(source)).code == 0
    assert rows() == [tuple(range(count))]


@pytest.mark.parametrize("place", ["first", "last"])
def test_more_columns_than_a_table_can_have(place: str, call: Call, folder: Path) -> None:
    """A row that needs one too many is refused; others are not, wherever the key stands."""
    wide = {f"c{number}": number for number in range(2100)}
    wide = {"_id": 1, **wide} if place == "first" else {**wide, "_id": 1}
    source = write_lines(folder / "s.ndjson", one_row(wide), '{"_id":2,"c5":5}')
    result = migrate(call, str(source))
    assert result.code == 1, result
    assert rows(statement="SELECT _id, c5 FROM t") == [(2, 5)]
    (refused,) = rejects(call, result)
    assert "2000 columns" in refused["reason"].replace(",", "")


def test_numbers_beyond_64_bits_are_kept_exactly(call: Call, folder: Path) -> None:
    numbers = [2**63 - 1, -(2**63), 2**63, -(2**63) - 1, 10**300, 5]
    lines = [f'{{"_id":{n},"n":{number}}}' for n, number in enumerate(numbers)]
    assert migrate(call, str(write_lines(folder / "s.ndjson", *lines))).code == 0
    assert rows(statement="SELECT n FROM t ORDER BY _id") == [(str(number),) for number in numbers]


def test_a_number_reads_the_same_whichever_window_came_first(call: Call, folder: Path) -> None:
    """Whole numbers that met a float before the text are no different from those that did not."""
    kinds = ["5", "2.5", '"x"', "5", "5.0", "true", "1e3", "-0.0"]
    for name, order in (("one", kinds), ("other", kinds[::-1])):
        # Past the sample: the types are to widen as rows come.
        lines = [f'{{"_id":"{n:05d}","v":{v}}}' for n, v in enumerate(["1"] * 1100 + order + ["1"] * 3000)]
        source = write_lines(folder / f"{name}.ndjson", *lines)
        part = ("--window-rows", "1", "--from-offset", str(1095 * len(lines[0] + "\n")), "--limit", "15")
        assert migrate(call, str(source), f"sqlite:///{name}.db#t", *part).code == 0
    found = [sorted(rows(f"{name}.db", "SELECT typeof(v), v FROM t")) for name in ("one", "other")]
    assert found[0] == found[1]
    assert {value for _, value in found[0]} == {"1", "5", "2.5", "x", "true", "1000", "0"}


def test_dates_before_1970_and_at_the_calendars_edges(call: Call, folder: Path) -> None:
    millis = [-62_135_596_800_000, -1, 0, 253_402_300_799_999]
    lines = [f'{{"_id":{n},"d":{{"$date":{{"$numberLong":"{value}"}}}}}}' for n, value in enumerate(millis)]
    assert migrate(call, str(write_lines(folder / "s.ndjson", *lines))).code == 0
    assert [value for (value,) in rows(statement="SELECT d FROM t ORDER BY _id")] == [
        "0001-01-01T00:00:00.000Z",
        "1969-12-31T23:59:59.999Z",
        "1970-01-01T00:00:00.000Z",
        "9999-12-31T23:59:59.999Z",
    ]


def test_duplicate_keys_over_windows(call: Call, folder: Path) -> None:
    lines = [f'{{"_id":{n % 50},"a":"{n}"}}' for n in range(200)]
    result = migrate(call, str(write_lines(folder / "s.ndjson", *lines)), "sqlite:///t.db#t", "--window-rows", "7")
    assert result.code == 1
    assert len(rows()) == 50
    refused = rejects(call, result)
    assert len(refused) == 150
    assert {each["column"] for each in refused} == {"_id"}
    assert result.summary["runs"][0]["rejects"] == 150


@pytest.mark.parametrize("line", ['{"a":"x"}', '{"_id":null,"a":"x"}'], ids=["missing", "null"])
def test_a_key_without_a_value(line: str, call: Call, folder: Path) -> None:
    """Where a key is asked for; otherwise `_id` is only taken when all rows looked at have it."""
    source = write_lines(folder / "s.ndjson", GOOD[0], line, GOOD[1])
    result = migrate(call, str(source), "sqlite:///t.db#t", "--key", "_id")
    assert result.code == 1, result
    (refused,) = rejects(call, result)
    assert (refused["line"], refused["column"], refused["reason"]) == (2, "_id", "the key has no value")
    assert migrate(call, str(source), "sqlite:///t.db#without").code == 0
    assert len(rows(statement="SELECT * FROM without")) == 3


def test_the_run_stops_above_max_rejects(call: Call, folder: Path) -> None:
    source = write_lines(folder / "s.ndjson", *[GOOD[0], *["{"] * 500])
    result = migrate(call, str(source), "sqlite:///t.db#t", "--window-rows", "10", "--max-rejects", "20")
    assert result.code == 1, result
    (ended,) = result.summary["runs"]
    assert ended["status"] == "paused"
    assert "--max-rejects is 20" in ended["reason"]
    assert 20 < ended["rejects"] < 500
    assert ended["units"]["pending"] > 0


def test_a_line_of_50_mb_is_refused_in_bounded_memory(call: Call, folder: Path) -> None:
    source = folder / "s.ndjson"
    with source.open("wb") as file:
        file.write(GOOD[0].encode() + b"\n" + b'{"_id":9,"a":"')
        for _ in range(50):
            file.write(b"x" * MIB)
        file.write(b'"}\n' + GOOD[1].encode() + b"\n")
    code, peak = peak_memory("migrate", str(source), "sqlite:///t.db#t", "--no-ui", "--workspace", "w.db")
    assert code == 1
    assert peak < 250 * MIB
    assert len(rows()) == 2
    (run,) = rows("w.db", "SELECT id FROM runs")[0]
    (refused,) = rows("w.db", f"SELECT line, reason, row FROM rejects WHERE run = '{run}'")
    assert refused[0] == 2
    assert "52,428,8" in refused[1]
    assert len(refused[2]) <= 4096


PEAK = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024)
"""
"""A process starts with the peak of the one it comes from: not this one, that may be larger than what is allowed."""


def peak_memory(*arguments: str) -> tuple[int, int]:
    """Exit status of the program, and the most bytes that it or one of its children had in memory."""
    program = [sys.executable, "-m", "streamconsole", *arguments]
    done = subprocess.run([sys.executable, "-c", PEAK, *program], capture_output=True, text=True, check=True)
    code, peak = map(int, done.stdout.split())
    return code, peak


def one_row(row: Mapping[str, object]) -> str:
    import json

    return json.dumps(row)
