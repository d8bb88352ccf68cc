"""What PostgreSQL is given, without a server: lines of COPY, texts as it spells them, turns in its table."""

from __future__ import annotations

import json
import sys
import threading
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamconsole.engines.errors import Refused
from streamconsole.engines.migration.batch import Misfit
from streamconsole.engines.migration.columns import Column, ColumnType, Schema
from streamconsole.engines.migration.locations import source_of, target_of
from streamconsole.engines.migration.postgresql import with_driver
from streamconsole.engines.migration.settings import MigrationSettings
from streamconsole.engines.migration.sources.postgresql_values import parsed, parsed_as_written, whole_column
from streamconsole.engines.migration.targets.postgresql import PostgresqlTarget, Turns
from streamconsole.engines.migration.targets.postgresql_rows import CopyNormalizer, lines_of, text_of

UNESCAPED = {"\\\\": "\\", "\\n": "\n", "\\t": "\t", "\\r": "\r"}


def read_back(field: str) -> str | None:
    """A field of COPY's text format as the server reads it."""
    if field == "\\N":
        return None
    found, at = "", 0
    while at < len(field):
        step = 2 if field[at] == "\\" else 1
        found += UNESCAPED.get(field[at : at + step], field[at : at + step])
        at += step
    return found


texts = st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])) | st.just("\\N")


@given(st.lists(st.tuples(texts, texts)))
def test_lines_are_read_back_as_they_were(rows: list[tuple[str | None, str | None]]) -> None:
    lines = lines_of([ColumnType.TEXT] * 2, [value for row in rows for value in row])
    assert all("\n" not in line for line in lines)
    assert [tuple(map(read_back, line.split("\t"))) for line in lines] == rows


@given(st.lists(texts))
def test_so_are_those_of_one_column(values: list[str | None]) -> None:
    assert list(map(read_back, lines_of([ColumnType.TEXT], [*values]))) == values


def fitted(kind: ColumnType, value: Any) -> str:
    normalizer = CopyNormalizer(Schema((Column("v", "v", kind),)), 10)
    normalizer.add(0, {"v": value})
    return str(normalizer.payload()[0][0])


documents = st.recursive(
    st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@given(st.lists(documents, min_size=1))
def test_a_nul_anywhere_in_json_is_refused_and_nothing_else(document: list[Any]) -> None:
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return
    if any("\0" in text for text in _strings(document)):
        with pytest.raises(Misfit, match="NUL"):
            fitted(ColumnType.JSON, document)
    else:
        assert json.loads(read_back(fitted(ColumnType.JSON, document)) or "") == document


def _strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for pair in value.items() for each in pair for text in _strings(each)]
    if isinstance(value, list):
        return [text for each in value for text in _strings(each)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize(
    ("kind", "value", "line"),
    [
        (ColumnType.INTEGER, -5, "-5"),
        (ColumnType.FLOAT, 5e-324, "5e-324"),
        (ColumnType.FLOAT, float("nan"), "nan"),
        (ColumnType.DECIMAL, Decimal("1.50"), "1.50"),
        (ColumnType.DECIMAL, float("-inf"), "-Infinity"),
        (ColumnType.BOOLEAN, True, "t"),
        (ColumnType.BINARY, b"\0\xff", "\\\\x00ff"),
        (ColumnType.DATETIME, datetime(2024, 1, 2, tzinfo=UTC), "2024-01-02T00:00:00.000Z"),
        (ColumnType.JSON, {"a": "\\"}, '{"a":"\\\\\\\\"}'),
        (ColumnType.TEXT, {"bb": [1.5, 1e22], "a": None}, '{"a": null, "bb": [1.5, 10000000000000000000000]}'),
    ],
)
def test_values_are_written_so(kind: ColumnType, value: Any, line: str) -> None:
    assert fitted(kind, value) == line


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e22, "10000000000000000000000"),
        (9007199254740994.0, "9007199254740994"),
        (1e-7, "0.0000001"),
        (-0.0, "0"),
        (Decimal("1E+3"), "1000"),
        (Decimal("-0.00"), "0.00"),
        (Decimal("1.50"), "1.50"),
        (float("inf"), "Infinity"),
        (True, "true"),
    ],
)
def test_numbers_in_a_text_column_are_spelled_as_the_server_does(value: Any, text: str) -> None:
    assert text_of(value) == text


def test_half_a_character_is_refused() -> None:
    with pytest.raises(Misfit, match="half a character"):
        fitted(ColumnType.TEXT, "a\ud800")


def test_json_is_parsed_to_the_last_digit() -> None:
    assert parsed('{"a": 12345678901234567890123, "b": 0.1}') == {"a": 12345678901234567890123, "b": 0.1}
    assert parsed("[0.12345678901234567890]") == [Decimal("0.12345678901234567890")]
    assert whole_column(['{"a": 1}', None, '"x"', "12345678901234567890"]) == [
        {"a": 1},
        None,
        "x",
        12345678901234567890,
    ]
    assert parsed_as_written('{"a": 1, "a": 2}') == '{"a": 1, "a": 2}'


def test_a_change_of_the_table_is_alone() -> None:
    turns, order = Turns(), list[str]()
    writing, written = threading.Event(), threading.Event()

    def write() -> None:
        with turns.together():
            writing.set()
            assert written.wait(10)
            order.append("written")

    def change() -> None:
        with turns:
            order.append("changed")

    threads = [threading.Thread(target=write)]
    threads[0].start()
    assert writing.wait(10)
    threads.append(threading.Thread(target=change))
    threads[1].start()
    # Another window that writes already does not wait for the first.
    written.set()
    for thread in threads:
        thread.join(10)
    assert order == ["written", "changed"]


def test_windows_write_at_the_same_time() -> None:
    turns = Turns()
    with turns.together(), turns.together():
        pass


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "PostgreSQL", "postgresql+psycopg"])
def test_urls_mean_our_driver(scheme: str) -> None:
    url = f"{scheme}://ann:s3cret@db/shop"
    assert with_driver(url) == "postgresql+psycopg://ann:s3cret@db/shop"
    target = target_of(MigrationSettings(source="generate://users", target=f"{url}#public.order.lines"))
    assert isinstance(target, PostgresqlTarget)
    assert (target.place, target.name) == ("public", "order.lines")
    assert target.server.url == "postgresql://ann:s3cret@db/shop"
    assert "s3cret" not in f"{target.server} {target.database} {target.server!r}"


@pytest.mark.parametrize("side", ["source", "target"])
def test_without_the_driver_it_says_what_to_install(side: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    url = f"postgresql://ann@nowhere/{side}#t"
    settings = MigrationSettings(**{"source": "generate://users", "target": "out.ndjson", side: url})
    look = source_of(settings).inspect if side == "source" else lambda: target_of(settings).inspect({}, ())
    with pytest.raises(Refused, match=r"its driver is not installed: pip install 'streamconsole\[postgresql\]'$"):
        look()
