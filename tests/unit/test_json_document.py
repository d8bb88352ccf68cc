"""JSON documents as a source: an array, or an object of objects, cut into windows of whole elements."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamconsole.engines.errors import Refused
from streamconsole.engines.migration.batch import DecodeTask, _decode_one_by_one, decode
from streamconsole.engines.migration.sources.files import PlainFile
from streamconsole.engines.migration.sources.json_document import JsonSource, is_document
from streamconsole.engines.migration.targets.json_rows import JsonRows
from streamconsole.engines.units import Window


def source(path: Path, rows: int = 5000, size: int = 2**20) -> JsonSource:
    return JsonSource(PlainFile(path), rows, size)


def windows_of(found: JsonSource) -> list[Window]:
    windows: list[Window] = []
    lo = found.align(0)
    while (window := found.cut(len(windows) + 1, lo, sum(each.rows for each in windows))) is not None:
        windows.append(window)
        lo = window.hi
    return windows


def read(found: JsonSource) -> tuple[list[dict[str, Any]], list[str]]:
    rows: list[dict[str, Any]] = []
    refused: list[str] = []
    for window in windows_of(found):
        task = DecodeTask(found.reader, JsonRows(), window)
        batch = decode(task)
        assert batch == _decode_one_by_one(task)
        assert batch.rows_read == window.rows
        rows += [json.loads(line) for line in batch.payload.splitlines()]
        refused += [f"{reject.line}: {reject.reason}" for reject in batch.rejects]
    return rows, refused


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
    | st.sampled_from(["}", "],", '"', "\\", '\\"', "{[", "a,b", "\n"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab{,", max_size=3), inner, max_size=3),
    max_leaves=6,
)
ROWS = st.lists(st.dictionaries(st.sampled_from(["a", "b", 'k"', "c,"]), VALUES, max_size=3), min_size=1, max_size=8)


@settings(max_examples=150, deadline=None)
@given(ROWS, st.sampled_from([None, 1]), st.booleans(), st.integers(1, 4), st.sampled_from(["", "\n ", "\ufeff"]))
def test_any_array_however_it_is_written(
    rows: list[dict[str, Any]], indent: int | None, ascii_: bool, window: int, before: str
) -> None:
    text = before + json.dumps(rows, indent=indent, ensure_ascii=ascii_) + "\n"
    with TemporaryDirectory() as folder:
        found = source(written(Path(folder) / "f.json", text), rows=window)
        assert read(found) == (rows, [])
        assert all(each.rows <= window for each in windows_of(found))


@settings(max_examples=80, deadline=None)
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=4), st.dictionaries(st.just("v"), VALUES)
    ),
    st.sampled_from([None, 2]),
    st.integers(1, 3),
)
def test_an_object_of_objects_keeps_its_keys(rows: dict[str, Any], indent: int | None, window: int) -> None:
    if not rows:
        return
    with TemporaryDirectory() as folder:
        found = source(written(Path(folder) / "f.json", json.dumps(rows, indent=indent)), rows=window)
        assert read(found) == ([{"_key": key, **value} for key, value in rows.items()], [])


def test_a_column_of_keys_gives_way(tmp_path: Path) -> None:
    path = written(tmp_path / "f.json", '{"a": {"_key": 1}, "b": {"_key": 2}}')
    assert read(source(path))[0] == [{"_key_": "a", "_key": 1}, {"_key_": "b", "_key": 2}]


@pytest.mark.parametrize(
    ("text", "rows", "told"),
    [
        ('[{"a":1},{"a":2}', 1, ["2: the document ends here, without its closing bracket"]),
        ('[{"a":1},{"a":', 1, ["2: not valid JSON"]),
        ('[{"a":1},]', 1, []),
        ('[{"a":1},,{"a":2}]', 2, ["2: a comma without an element"]),
        ('[{"a":1}{"b":2},{"a":3}]', 1, ["1: not valid JSON"]),
        ('[{"a":1},[1],"x",null,{"a":2}]', 2, ["2: expected an object", "3: expected", "4: expected"]),
        ('[{"a":1},{"a":1,"a":2},{"b":"}],["}]', 2, ["2: key 'a' stands twice"]),
        ('[{"a":1}] trailing', 1, ["2: "]),
        ('[{"a":1},{"a":"x\n},{"b":2}]', 1, ["2: "]),
        ('[{"a":1},{"a":2}},{"a":3}]', 2, ["3: "]),
    ],
)
def test_what_is_wrong_is_told_and_the_rest_read(tmp_path: Path, text: str, rows: int, told: list[str]) -> None:
    found, refused = read(source(written(tmp_path / "f.json", text)))
    assert len(found) >= rows
    assert [each.startswith(begin) for each, begin in zip(refused, told, strict=False)] == [True] * len(told), refused


def test_extended_json_is_unwrapped(tmp_path: Path) -> None:
    path = written(tmp_path / "f.json", '[{"_id":{"$oid":"5ca4bbcea2dd94ee58162a68"},"n":{"$numberInt":"7"}}]')
    assert read(source(path))[0] == [{"_id": "5ca4bbcea2dd94ee58162a68", "n": 7}]


def test_an_element_longer_than_a_window_and_one_too_long(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    with path.open("w") as file:
        file.write('[{"a":1},{"a":"' + "x" * 100_000 + '"},{"a":"' + "y," * 9_000_000 + '"},{"a":4}]')
    rows, refused = read(source(path, size=4096))
    assert [len(str(row["a"])) for row in rows] == [1, 100_000, 1]
    assert len(refused) == 1
    assert "3: the element has 18,0" in refused[0]


@pytest.mark.parametrize(
    ("content", "told"), [("[]", "it is empty"), ("", "is empty"), ("[1,2]", "expected an object")]
)
def test_documents_without_rows_are_refused(tmp_path: Path, content: str, told: str) -> None:
    with pytest.raises(Refused, match=told):
        source(written(tmp_path / "f.json", content)).inspect()


@pytest.mark.parametrize(
    ("text", "document"),
    [
        ("[", True),
        ('\n [{"a":1}]', True),
        ('{"a":1}\n{"a":2}\n', False),
        ('{"a":1}', False),
        ('{"a":{"x":1},"b":{"x":2}}', True),
        ('{"a":{"x":1},"b":{"x":2}}\n{"a":{"x":1},"b":{"x":2}}', False),
        ('{"_id":{"$oid":"x"},"d":{"$date":"y"}}', False),
        ('{\n  "a": {\n', True),
        ('{\n  "a": 1,\n', False),
        ("null", False),
    ],
)
def test_a_document_is_told_from_lines(text: str, document: bool) -> None:
    assert is_document(text.encode()) is document


def test_from_an_offset_on(tmp_path: Path) -> None:
    text = '[{"a":1},{"a":2},{"a":3}]'
    found = source(written(tmp_path / "f.json", text))
    assert found.align(0) == 1
    assert text[found.align(4) :].startswith('{"a":2}')
    assert text[found.align(10) :].startswith('{"a":3}')
