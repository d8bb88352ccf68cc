"""Transforms, maps of columns and dry runs, as an operator asks for them."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from pathlib import Path

import pytest

from tests.acceptance.calling import Call, assert_refused, migrate, rejects, rows, write_lines

LINES = ['{"id": 1, "password": "a", "age": "30"}', '{"id": 2, "password": null, "age": "old"}']

BAD = {
    "no kind": ("hsah:id", ["'hsah'", "did you mean hash?"]),
    "nothing to hash": ("hash:", ["write hash:password"]),
    "no such algorithm": ("hash:password:sha257", ["algorithm", "sha256"]),
    "empty field": ("hash:password,", ["fields", "at least 1 character"]),
    "too many colons": ("hash:a:sha256:K:x", ["too many colons"]),
    "no pair": ("rename:old", ["'old' is no pair"]),
    "two to one": ("rename:id=x,age=x", ["'x' to two keys"]),
    "no type": ("cast:age=number", ["types.age", "'integer'"]),
    "no function": ("python:module", ["function", "python:module:function"]),
    "no module": ("python:not_there:f", ["not_there:f cannot be loaded"]),
    "no program": ("exec:./not-there", ["no program ./not-there"]),
    "open quote": ("exec:check 'x", ["No closing quotation"]),
    "no such key": ("drop:pasword", ["no row looked at has 'pasword'", "did you mean password?"]),
    "no variable": ("hash:password:sha256:NO_SUCH_PEPPER", ["NO_SUCH_PEPPER"]),
    "taken": ("rename:age=id", ["rows have a 'id' already"]),
}


@pytest.fixture
def source(folder: Path) -> str:
    write_lines(Path("in.ndjson"), *LINES)
    return "in.ndjson"


@pytest.mark.parametrize(("text", "words"), BAD.values(), ids=BAD)
def test_a_mistake_is_named_and_nothing_is_done(text: str, words: list[str], source: str, call: Call) -> None:
    result = call("migrate", source, "sqlite:///t.db#t", "--no-ui", "--transform", text)
    assert_refused(result, *words)
    assert not Path("t.db").exists()


def test_transforms_on_the_command_line(source: str, call: Call) -> None:
    transforms = ["--transform", "hash:password", "--transform", "exec:cat", "--transform", "cast:age=integer"]
    result = migrate(call, source, "sqlite:///t.db#t", *transforms)
    assert result.code == 1, result
    assert rows() == [(1, hashlib.sha256(b"a").hexdigest(), 30)]
    (refused,) = rejects(call, result)
    assert (refused["line"], refused["column"]) == (2, "age")
    assert refused["reason"] == "'old' cannot be cast to integer"


def test_rows_that_a_transform_drops_are_told(source: str, call: Call) -> None:
    Path("only.py").write_text("def first(row): return row if row['id'] == 1 else None\n")
    result = migrate(call, source, "sqlite:///t.db#t", "--transform", "python:only:first")
    assert result.code == 0, result
    assert result.summary["runs"][0]["dropped"] == 1
    plain = call("migrate", source, "sqlite:///p.db#t", "--no-ui", "--transform", "python:only:first")
    assert "1 row dropped by transforms" in plain.out


def test_what_a_program_says_on_stderr_can_be_read(source: str, call: Call) -> None:
    Path("check").write_text('#!/bin/sh\necho "hello token=abc" >&2\nexec cat\n')
    Path("check").chmod(0o755)
    result = migrate(call, source, "sqlite:///t.db#t", "--transform", "exec:./check")
    run = result.summary["runs"][0]["run"]
    said = call("runs", "stderr", run, "--workspace", "w.db")
    assert said.out == "window 1, check: hello token=***\n"
    listed = call("runs", "stderr", run, "1", "--json", "--workspace", "w.db")
    assert list(Path().glob("stderr-*"))
    assert call("runs", "prune", run, "--workspace", "w.db").code == 0
    assert not list(Path().glob("stderr-*"))
    assert json.loads(listed.out) == {"window": 1, "program": "check", "text": "hello token=***\n"}


# Runbooks ----------------------------------------------------------------------------------------------------

HEAD = '[[migration]]\nname = "users"\nsource = "in.ndjson"\ntarget = "sqlite:///t.db#t"\n'
STEP = HEAD + "[[migration.transform]]\n"

BAD_BOOKS = {
    "no kind": (STEP + 'fields = ["a"]\n', ["migration[0].transform[0].kind", "hash, rename"]),
    "unknown kind": (STEP + 'kind = "hsah"\n', ["migration[0].transform[0].kind must be one of"]),
    "unknown key": (STEP + 'kind = "hash"\nfeilds = ["a"]\n', ["transform[0].feilds", "did you mean fields?"]),
    "key missing": (STEP + 'kind = "exec"\n', ["migration[0].transform[0].command is missing"]),
    "no list": (STEP + 'kind = "hash"\nfields = "password"\n', ["transform[0].fields"]),
    "bad algorithm": (STEP + 'kind = "hash"\nfields = ["a"]\nalgorithm = "rot13"\n', ["transform[0].algorithm"]),
    "bad type": (STEP + 'kind = "cast"\ntypes = { age = "number" }\n', ["transform[0].types.age"]),
    "negative timeout": (STEP + 'kind = "exec"\ncommand = ["cat"]\ntimeout = -1\n', ["transform[0].timeout"]),
    "map to one name": (
        HEAD + '[migration.columns]\nid = { rename = "x" }\nage = { rename = "x" }\n',
        ["migration[0].columns", "'x' to two columns"],
    ),
    "map of nothing": (HEAD + "[migration.columns]\nagee = { drop = true }\n", ["columns", "did you mean age?"]),
    "odd map": (HEAD + "[migration.columns]\nage = { renam = 1 }\n", ["columns.age.renam", "did you mean rename?"]),
    "drop and type": (HEAD + '[migration.columns]\nage = { drop = true, type = "text" }\n', ["drop stands alone"]),
    "pool": (HEAD + 'pool = "thread"\n', ["migration[0].pool", "'threads'"]),
    "pool and writers": (HEAD + 'pool = "threads"\nwriters = 2\n', ["contradict each other"]),
}


@pytest.mark.parametrize(("text", "words"), BAD_BOOKS.values(), ids=BAD_BOOKS)
def test_a_mistake_in_a_runbook_is_named_by_its_key(text: str, words: list[str], source: str, call: Call) -> None:
    Path("book.toml").write_text(text)
    assert_refused(call("book.toml", "--no-ui"), "book.toml" if "columns" not in words[0] else "", *words)
    assert not Path("t.db").exists()


def test_a_key_in_clear_is_refused_and_not_shown(source: str, call: Call) -> None:
    Path("book.toml").write_text(STEP + 'kind = "hash"\nfields = ["password"]\nkey = "s3cr3t"\n')
    result = call("book.toml", "--no-ui")
    assert_refused(result, "migration[0].transform[0].key", "${NAME}")
    assert "s3cr3t" not in result.err


def test_the_key_of_a_hash_is_kept_nowhere(source: str, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEPPER", "s3cr3t-pepper")
    Path("book.toml").write_text(STEP + 'kind = "hash"\nfields = ["password"]\nkey = "${PEPPER}"\n')
    result = call("book.toml", "--json")
    assert result.code == 0, result
    shown = call("runs", "show", "users", "--json")
    assert "${PEPPER}" in shown.out
    kept = b"".join(path.read_bytes() for path in Path().rglob("*") if path.is_file())
    assert b"s3cr3t" not in kept + (result.out + result.err + shown.out).encode()
    assert len(rows()[0][1]) == 64


def test_functions_and_programs_stand_beside_the_runbook(folder: Path, call: Call) -> None:
    home = folder / "home"
    home.mkdir()
    write_lines(home / "in.ndjson", *LINES)
    (home / "mine_alone.py").write_text("def f(row): return {**row, 'more': True}\n")
    (home / "check").write_text("#!/bin/sh\nexec cat\n")
    (home / "check").chmod(0o755)
    book = home / "book.toml"
    book.write_text(
        STEP + 'kind = "python"\nfunction = "mine_alone:f"\n'
        '[[migration.transform]]\nkind = "exec"\ncommand = "./check --strict"\n'
    )
    assert call(str(book), "--json").code == 0
    assert [row[-1] for row in rows(home / "t.db")] == [1, 1]


# Maps ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["toml", "json"])
def test_a_map_of_columns(source: str, call: Call, form: str) -> None:
    name = Path(f"map.{form}")
    if form == "toml":
        name.write_text('id = { type = "text", rename = "number" }\npassword = { drop = true }\n')
    else:
        name.write_text('{"id": {"type": "text", "rename": "number"}, "password": {"drop": true}}')
    result = migrate(call, source, "sqlite:///t.db#t", "--map", str(name))
    assert result.code == 0, result
    assert rows(statement="SELECT number, age FROM t") == [("1", "30"), ("2", "old")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = [", ["neither TOML nor JSON"]),
        ("aeg = { drop = true }", ["'aeg'", "did you mean age?"]),
        ("age = { typ = 1 }", ["age.typ is not known", "did you mean type?"]),
        ('age = { type = "number" }', ["age.type"]),
        ('age = { rename = "id" }', ["'id' already"]),
        ('age = { rename = "x" }\nid = { rename = "x" }', ["'x' to two columns"]),
    ],
)
def test_a_mistake_in_a_map(text: str, words: list[str], source: str, call: Call) -> None:
    Path("map.toml").write_text(text)
    assert_refused(call("migrate", source, "sqlite:///t.db#t", "--no-ui", "--map", "map.toml"), *words)


def test_a_map_that_is_not_there(source: str, call: Call) -> None:
    assert_refused(call("migrate", source, "sqlite:///t.db#t", "--no-ui", "--map", "no.toml"), "does not exist")


# Dry runs --------------------------------------------------------------------------------------------------------


def test_a_dry_run_writes_nothing_and_tells_all(source: str, call: Call) -> None:
    before = sorted(Path().iterdir())
    options = ["--transform", "hash:password", "--transform", "cast:age=integer", "--dry-run", "--window-rows", "1"]
    result = call("migrate", source, "sqlite:///t.db#t", *options)
    assert result.code == 0, result
    assert sorted(Path().iterdir()) == before
    for words in (
        "transform 1: hash fields password",
        "transform 2: cast types age=integer",
        "made, mode insert",
        "id: integer, key",
        "age: integer",
        "  2 windows",
        "window 1: 0-",
        "1 read, 1 fitted, 0 refused",
    ):
        assert words in result.out, words


@pytest.mark.parametrize(
    "target", ["t.ndjson", "t.json", "t.csv", "t.tsv.gz", "sqlite:///t.db#t", "sqlite+pysqlite:///t.db#t"]
)
def test_a_dry_run_tells_columns_whatever_the_target(target: str, folder: Path, call: Call) -> None:
    # The last row has a column that none of those looked at has.
    lines = [*(f'{{"id": {n}, "name": "n{n}"}}' for n in range(3_000)), '{"id": 3000, "late": [1]}']
    Path("late.ndjson").write_text("\n".join(lines) + "\n")
    before = sorted(Path().iterdir())
    result = call("migrate", "late.ndjson", target, "--dry-run")
    assert result.code == 0, result
    assert "    id: integer" in result.out
    assert "    name: text" in result.out
    assert "3,001 read, 3,001 fitted, 0 refused" in result.out
    assert sorted(Path().iterdir()) == before


def test_a_dry_run_says_that_there_is_but_one_stream(folder: Path, call: Call) -> None:
    connection = sqlite3.connect("s.db")
    connection.executescript("CREATE TABLE s (n INT); INSERT INTO s VALUES (1); CREATE VIEW v AS SELECT * FROM s")
    connection.close()
    assert "it is one stream" in call("migrate", "sqlite:///s.db#v", "t.csv", "--dry-run").out


def test_a_dry_run_shows_what_would_be_refused(source: str, call: Call) -> None:
    result = call("migrate", source, "out.ndjson", "--transform", "cast:age=integer", "--dry-run", "--json")
    planned, summary = map(json.loads, result.out.splitlines())
    assert planned["event"] == "MigrationPlanned"
    assert planned["first_window"]["refused"] == [
        {"line": 2, "column": "age", "reason": "'old' cannot be cast to integer"}
    ]
    assert (planned["windows"], planned["windows_exact"]) == (1, True)
    assert (summary["status"], summary["exit_code"]) == ("planned", 0)
    assert not Path("out.ndjson").exists()


def test_a_dry_run_of_what_cannot_be_done(source: str, call: Call) -> None:
    result = call("migrate", "no.ndjson", "sqlite:///t.db#t", "--dry-run", "--json")
    assert result.code == 2
    assert json.loads(result.out.splitlines()[-1])["refused"] == [f"{Path.cwd()}/no.ndjson does not exist"]
    plain = call("migrate", "no.ndjson", "sqlite:///t.db#t", "--dry-run")
    assert plain.code == 2
    assert "would be refused" in plain.out


def test_a_dry_run_of_an_empty_table(folder: Path, call: Call) -> None:
    connection = sqlite3.connect("s.db")
    connection.execute("CREATE TABLE s (id INTEGER PRIMARY KEY, password TEXT)")
    connection.close()
    result = call("migrate", "sqlite:///s.db#s", "sqlite:///t.db#t", "--transform", "hash:password", "--dry-run")
    assert result.code == 0, result
    assert "0 windows" in result.out
    assert "0 read, 0 fitted" in result.out


def test_a_dry_run_of_a_runbook_and_of_many_windows(source: str, call: Call) -> None:
    many = '[[migration]]\nname = "many"\nsource = "generate://users?count=100000"\ntarget = "many.ndjson"\n'
    Path("book.toml").write_text(HEAD + many + "window_rows = 10\n")
    result = call("open", "book.toml", "--dry-run")
    assert result.code == 0, result
    assert "about 10,000 windows" in result.out
    assert "users: " in result.out
    assert not Path(".streamconsole").exists()
