"""Each transform by itself, and several in a row: what comes out, and that every row is accounted for."""

from __future__ import annotations

import hashlib
import hmac
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

from streamconsole.engines.errors import Refused
from streamconsole.engines.migration.batch import Batch
from streamconsole.engines.units import Window
from tests.unit.transforming import lines, reader_of, sample, through


def sha(text: str, algorithm: str = "sha256") -> str:
    return hashlib.new(algorithm, text.encode()).hexdigest()


def refused(batch: Batch) -> list[tuple[int, str | None, str]]:
    return [(each.line, each.column, each.reason) for each in batch.rejects]


# hash ----------------------------------------------------------------------------------------------------


def test_text_becomes_its_hash_and_null_stays_null(tmp_path: Path) -> None:
    rows: list[Any] = [{"id": 1, "p": "secret"}, {"id": 2, "p": None}, {"id": 3, "p": "żółć"}, {"id": 4}]
    out, _ = through(tmp_path, rows, "hash:p")
    assert out == [{"id": 1, "p": sha("secret")}, {"id": 2, "p": None}, {"id": 3, "p": sha("żółć")}, {"id": 4}]


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha512", "blake2b", "sha3_256"])
def test_other_hashes(tmp_path: Path, algorithm: str) -> None:
    out, _ = through(tmp_path, [{"p": "x"}], f"hash:p:{algorithm}")
    assert out == [{"p": sha("x", algorithm)}]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"true", "true"),
        (b"12", "12"),
        (b"1.0", "1"),
        (b"0.1", "0.1"),
        (b"123456789012345678901234567890", "123456789012345678901234567890"),
        (b'{"a": [1, null]}', '{"a":[1,null]}'),
        (b'{"$date": "2020-01-02T03:04:05Z"}', "2020-01-02T03:04:05.000Z"),
    ],
)
@pytest.mark.parametrize("other", [b"", b'\n{"p": "text", "$odd": 1}'])
def test_what_is_no_text_has_a_canonical_one(tmp_path: Path, value: bytes, text: str, other: bytes) -> None:
    out, _ = through(tmp_path, [b'{"p": ' + value + b"}" + other], "hash:p")
    assert out[0] == {"p": sha(text)}


def test_a_key_makes_keyed_hashes_and_is_nowhere_in_the_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEPPER", "hot and secret")
    out, _ = through(tmp_path, [{"p": "x"}], "hash:p:sha512:PEPPER")
    assert out == [{"p": hmac.new(b"hot and secret", b"x", "sha512").hexdigest()}]
    assert b"hot and" not in pickle.dumps(reader_of(tmp_path / "rows.ndjson", "hash:p:sha512:PEPPER"))
    monkeypatch.delenv("PEPPER")
    with pytest.raises(Refused, match="PEPPER"):
        sample(tmp_path, [{"p": "x"}], "hash:p:sha512:PEPPER")


def test_another_key_is_a_changed_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from streamconsole.engines.migration.sources.ndjson import NdjsonSource
    from streamconsole.engines.migration.transforms.reader import transformed
    from streamconsole.engines.migration.transforms.spelling import parse

    source = transformed(NdjsonSource(lines(tmp_path / "x.ndjson", [{"p": 1}]), 10, 4096), [parse("hash:p::PEPPER")])
    monkeypatch.setenv("PEPPER", "one")
    first = source.fingerprint()
    assert first == source.fingerprint()
    monkeypatch.setenv("PEPPER", "two")
    assert first != source.fingerprint()


def test_nested_fields(tmp_path: Path) -> None:
    rows: list[Any] = [{"a": {"p": "x"}, "l": [{"p": "y"}, {"q": 1}, 5], "a.p": "whole"}, {"a": {"p": "z"}}, {"a": 1}]
    out, _ = through(tmp_path, rows, "hash:a.p,l.p")
    assert out[0] == {"a": {"p": "x"}, "l": [{"p": sha("y")}, {"q": 1}, 5], "a.p": sha("whole")}
    assert out[1:] == [{"a": {"p": sha("z")}}, {"a": 1}]


def test_a_misspelt_field_is_refused_and_never_lets_secrets_through(tmp_path: Path) -> None:
    for transform in ("hash:pasword", "drop:pasword", "cast:pasword=text", "rename:pasword=p"):
        with pytest.raises(Refused, match="did you mean password"):
            sample(tmp_path, [{"password": "x"}], transform)


def test_refused_rows_do_not_show_what_is_hashed(tmp_path: Path) -> None:
    rows = [
        b'{"id": 1, "password": "s3cr3t\\"x", "age": 1',
        b'{"id": 2, "password" : "s3cr3t',
        b'{"id": 3, "password": 5313, "a": 1, "a": 2}',
        {"id": 4, "password": "s3cr3t" + "x" * 5000},
    ]
    _, batch = through(tmp_path, rows, "hash:password", "cast:id=boolean")
    assert len(batch.rejects) == 4
    for each in batch.rejects:
        assert "s3cr3t" not in each.row
        assert "5313" not in each.row
        assert '"***"' in each.row
        assert f'"id":{" " if each.line < 4 else ""}{each.line}' in each.row


# rename, drop, cast ------------------------------------------------------------------------------------------


def test_renamed_keys_keep_their_place(tmp_path: Path) -> None:
    out, _ = through(tmp_path, [{"a": 1, "b": 2, "c": 3}], "rename:a=c,c=a,b=x")
    assert [*out[0].items()] == [("c", 1), ("x", 2), ("a", 3)]


def test_a_name_that_is_taken(tmp_path: Path) -> None:
    rows: list[Any] = [{"a": 1}, {"a": 2, "b": 3}]
    out, batch = through(tmp_path, rows, "rename:a=b")
    assert out == [{"b": 1}]
    assert [(line, column) for line, column, _ in refused(batch)] == [(2, "b")]
    with pytest.raises(Refused, match="'b' already"):
        sample(tmp_path, rows, "rename:a=b")


def test_dropped_keys_are_gone_wherever_they_are(tmp_path: Path) -> None:
    rows: list[Any] = [{"a": 1, "b": {"c": 1, "d": 2}}, {"b": [{"c": 1}, 2], "e": 1}]
    out, _ = through(tmp_path, rows, "drop:a,b.c")
    assert out == [{"b": {"d": 2}}, {"b": [{}, 2], "e": 1}]


def test_what_cannot_be_cast_is_a_reject_that_names_column_and_value(tmp_path: Path) -> None:
    rows: list[Any] = [{"n": "12"}, {"n": None}, {"n": "\x1b[31mred" + "x" * 500}, {"n": 7.5}, {}]
    out, batch = through(tmp_path, rows, "cast:n=integer")
    assert out == [{"n": 12}, {"n": None}, {}]
    found = refused(batch)
    assert [(line, column) for line, column, _ in found] == [(3, "n"), (4, "n")]
    assert "\x1b" not in found[0][2]
    assert len(found[0][2]) < 120
    assert found[1][2] == "7.5 cannot be cast to integer"
    assert batch.rows_read == 5


# python ------------------------------------------------------------------------------------------------------


@pytest.fixture
def module(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """A module of transforms, under a name of its own in each test."""
    name = f"transforms_of_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(
        "import sys\n"
        "def same(row): return row\n"
        "def odd(row): return row if row['id'] % 2 else None\n"
        "def twice(row): return [row, {**row, 'again': True}]\n"
        "def made(row):\n    for n in range(row['id']): yield {'n': n}\n"
        "def fails(row):\n    if row['id'] == 3: raise KeyError('\\x1b[2J token=abc')\n    return row\n"
        "def leaves(row):\n    if row['id'] == 2: sys.exit(9)\n    return row\n"
        "def half(row):\n    yield row\n    if row['id'] == 1: raise ValueError('late')\n"
        "def wrong(row): return 5\n"
        "def wrong_keys(row): return {1: 2}\n"
        "constant = 5\n"
    )
    return name


ROWS: list[Any] = [{"id": n} for n in range(1, 7)]


def test_a_function_gives_rows_none_or_several(tmp_path: Path, module: str) -> None:
    assert through(tmp_path, ROWS, f"python:{module}:same")[0] == ROWS
    out, batch = through(tmp_path, ROWS, f"python:{module}:odd")
    assert [row["id"] for row in out] == [1, 3, 5]
    assert (batch.rows_read, list(batch.indexes)) == (6, [0, 2, 4])
    out, batch = through(tmp_path, ROWS[:2], f"python:{module}:twice")
    assert out == [{"id": 1}, {"id": 1, "again": True}, {"id": 2}, {"id": 2, "again": True}]
    assert (batch.rows_read, list(batch.indexes)) == (2, [0, 0, 1, 1])
    out, batch = through(tmp_path, [{"id": 0}, *ROWS], f"python:{module}:made", f"python:{module}:same")
    assert (batch.rows_read, len(out), len(batch.indexes)) == (7, 21, 21)


def test_an_error_in_a_function_refuses_the_row(tmp_path: Path, module: str) -> None:
    out, batch = through(tmp_path, ROWS, f"python:{module}:fails")
    assert [row["id"] for row in out] == [1, 2, 4, 5, 6]
    ((line, column, reason),) = refused(batch)
    assert (line, column) == (3, None)
    assert reason.startswith(f"{module}:fails: KeyError: ")
    assert "\x1b" not in reason
    assert "abc" not in reason
    assert [line for line, _, _ in refused(through(tmp_path, ROWS, f"python:{module}:leaves")[1])] == [2]


def test_half_of_what_a_function_makes_is_nothing(tmp_path: Path, module: str) -> None:
    out, batch = through(tmp_path, ROWS[:2], f"python:{module}:half")
    assert out == [{"id": 2}]
    assert (batch.rows_read, len(batch.rejects)) == (2, 1)


@pytest.mark.parametrize("name", ["wrong", "wrong_keys"])
def test_what_is_no_row_refuses_the_row(tmp_path: Path, module: str, name: str) -> None:
    out, batch = through(tmp_path, ROWS, f"python:{module}:{name}")
    assert out == []
    assert len(batch.rejects) == batch.rows_read == 6


@pytest.mark.parametrize("name", ["missing", "constant", "same.deeper"])
def test_a_function_that_is_not_there_is_refused(tmp_path: Path, module: str, name: str) -> None:
    with pytest.raises(Refused, match=module):
        sample(tmp_path, ROWS, f"python:{module}:{name}")
    with pytest.raises(Refused, match="no_such_module"):
        sample(tmp_path, ROWS, "python:no_such_module:f")


def test_several_rejects_of_one_row_are_all_counted(tmp_path: Path, module: str) -> None:
    rows: list[Any] = [{"id": 1, "v": "x"}, {"id": 2, "v": "5"}]
    out, batch = through(tmp_path, rows, f"python:{module}:twice", "cast:v=integer")
    assert len(out) == 2
    assert [line for line, _, _ in refused(batch)] == [1, 1]


# In a row ------------------------------------------------------------------------------------------------------


def test_transforms_go_in_order_and_every_row_is_accounted_for(tmp_path: Path, module: str) -> None:
    rows: list[Any] = [*({"id": n, "p": str(n), "q": "1"} for n in range(1, 9)), b"not JSON", {"id": 10, "q": "no"}]
    transforms = ["hash:p", f"python:{module}:odd", "rename:q=r", "cast:r=integer", "drop:id"]
    out, batch = through(tmp_path, rows, *transforms)
    assert out == [{"p": sha(str(n)), "r": 1} for n in (1, 3, 5, 7)]
    assert batch.rows_read == 10
    # The last row is dropped before its value could be refused.
    assert [line for line, _, _ in refused(batch)] == [9]


def test_the_sample_of_a_plan_is_transformed(tmp_path: Path, module: str) -> None:
    found = sample(tmp_path, [{"id": n, "n": str(n)} for n in range(4)], "cast:n=integer", f"python:{module}:odd")
    # A small file is its own head and all later places.
    assert found[:2] == [{"id": 1, "n": 1}, {"id": 3, "n": 3}]
    assert {row["id"] for row in found} == {1, 3}
    with pytest.raises(Refused, match="leave none of the"):
        sample(tmp_path, [{"id": 2}], f"python:{module}:odd")


def test_readers_cross_process_borders(tmp_path: Path, module: str) -> None:
    path = lines(tmp_path / "rows.ndjson", ROWS)
    reader = pickle.loads(pickle.dumps(reader_of(path, f"python:{module}:odd", "exec:cat", "rename:id=n")))
    window = Window(1, 0, path.stat().st_size, 0, 6)
    assert [row for _, row in reader.rows(window, print)] == [{"n": 1}, {"n": 3}, {"n": 5}]


@pytest.fixture(autouse=True)
def _path_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.mark.parametrize("text", ['ada,"secret"', '"secret",1', "{'password': b'secret'}", "[secret"])
def test_text_that_is_no_json_is_hidden_whole_where_a_value_is_hidden(text: str) -> None:
    from streamconsole.engines.migration.transforms.reader import _without

    assert _without(text, ["password"]) == "***"
    assert _without(text, []) == text
