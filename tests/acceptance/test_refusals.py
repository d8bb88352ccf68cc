"""What is refused before the first write: exit status 2, one clear line, nothing written."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from streamconsole.cli.main import run
from tests.acceptance.calling import Call, assert_refused, migrate, rows, write_lines

GOOD = "good.ndjson"
TABLE = "sqlite:///t.db#t"


def table(statements: str) -> Callable[[], object]:
    """Makes the target's file hold something."""

    def make() -> None:
        with closing(sqlite3.connect("t.db")) as connection:
            connection.executescript(statements)

    return make


def locked_folder() -> None:
    Path("closed").mkdir()
    Path("closed").chmod(0o500)


def read_only_target() -> None:
    table("CREATE TABLE other (a)")()
    Path("t.db").chmod(0o400)


def write(name: str, content: bytes) -> Callable[[], object]:
    return lambda: Path(name).write_bytes(content)


def newer_workspace() -> None:
    """What a later version of the program might leave."""
    assert run(["migrate", "generate://orders?count=1", "p.ndjson", "--no-ui", "--workspace", "t.db"]) == 0
    table("UPDATE alembic_version SET version_num = '9999'")()


SOURCES = {
    "missing": ("no.ndjson", None, ["no.ndjson does not exist"]),
    "folder": ("folder.ndjson", lambda: Path("folder.ndjson").mkdir(), ["folder.ndjson is a folder: name a file"]),
    "empty": ("e.ndjson", write("e.ndjson", b""), ["e.ndjson is empty"]),
    "blank lines only": ("b.ndjson", write("b.ndjson", b"\n \n\n"), ["b.ndjson: no row can be read", "line 1: blank"]),
    "no row in it": ("n.ndjson", write("n.ndjson", b"[1]x\nhello\n"), ["n.ndjson"]),
    "text": ("x.ndjson", write("x.ndjson", b"hello\n"), ["x.ndjson: no row can be read from it", "line 1: not valid"]),
    "UTF-16": ("u.ndjson", write("u.ndjson", '{"a":1}'.encode("utf-16")), ["u.ndjson is UTF-16: convert it to UTF-8"]),
    "empty array": ("a.json", write("a.json", b"[]"), ["a.json: no row can be read from it"]),
    "array named lines": ("a.ndjson", write("a.ndjson", b'[{"a":1}]'), ["a.ndjson is one JSON array", "ends in .json"]),
    "not compressed": ("a.csv.gz", write("a.csv.gz", b"a,b\n1,2\n"), ["a.csv.gz is broken or cut off"]),
    "CSV of a header": ("h.csv", write("h.csv", b"a,b\n"), ["h.csv: there is no record"]),
    "other kind of file": ("x.xlsx", write("x.xlsx", b"PK"), ["x.xlsx", ".ndjson"]),
    "unknown scheme": ("ftp://host/file", None, ["ftp://", "not known"]),
    "typo in scheme": ("generat://orders", None, ["did you mean generate://?"]),
    "nothing to generate": ("generate://ordres", None, ["generate://orders"]),
    "bad count": ("generate://orders?count=many", None, ["count must be a whole number, not 'many'"]),
    "no rows": ("generate://orders?count=0", None, ["count must be at least 1"]),
    "unknown parameter": ("generate://orders?cuont=5", None, ["'cuont' is not known"]),
}

TARGETS = {
    "folder": ("sqlite:///d#t", lambda: Path("d").mkdir(), ["d is a folder: name a file"]),
    "folder missing": ("sqlite:///no/t.db#t", None, ["no does not exist"]),
    "read-only file": (TABLE, read_only_target, ["t.db is read-only"]),
    "read-only folder": ("sqlite:///closed/t.db#t", locked_folder, ["closed is read-only"]),
    "rows in the table": (TABLE, table("CREATE TABLE t (a); INSERT INTO t VALUES (1)"), ["t in", "holds rows already"]),
    "no SQLite": (TABLE, write("t.db", b"hello" * 500), ["t.db", "is it a SQLite file"]),
    "a view": (TABLE, table("CREATE VIEW t AS SELECT 1 AS a"), ["t in", "is a view"]),
    "no table named": ("sqlite:///t.db", None, ["names no table", "#customers"]),
    "no path": ("sqlite://t.db#t", None, ["sqlite:///relative/path.db#table"]),
    "reserved name": ("sqlite:///t.db#sqlite_t", None, ["'sqlite_t'"]),
    "bare path": ("t.db", None, ["write it as sqlite:///", "#table"]),
    "unknown scheme": ("gopher://h/db#t", None, ["gopher://", "not known"]),
    "typo in scheme": ("sqlit:///t.db#t", None, ["did you mean sqlite://?"]),
    "file with something in it": ("o.ndjson", write("o.ndjson", b"{}\n"), ["o.ndjson holds something already"]),
    "file in no folder": ("no/o.ndjson", None, ["no does not exist"]),
    "folder as file": ("o.ndjson", lambda: Path("o.ndjson").mkdir(), ["o.ndjson is a folder"]),
    "its own source": (GOOD, None, ["good.ndjson holds something already"]),
}

OPTIONS = {
    "no workers": (["--workers", "0"], ["--workers", "greater than or equal to 1", "0"]),
    "too many workers": (["--workers", "257"], ["--workers", "256"]),
    "no rate": (["--rate", "fast"], ["--rate: must be a rate like 5000rows/s or 20MB/s", "'fast'"]),
    "a rate of what": (["--rate", "5M"], ["--rate: must say 5M of what: 5MB/s or 5M rows/s"]),
    "workers in words": (["--workers", "four"], ["--workers", "four"]),
    "no rows": (["--window-rows", "0"], ["--window-rows"]),
    "small windows": (["--window-bytes", "1"], ["--window-bytes", "4096"]),
    "odd size": (["--window-bytes", "8XB"], ["8XB", "write 8MiB"]),
    "no limit": (["--limit", "0"], ["--limit"]),
    "negative offset": (["--from-offset", "-1"], ["--from-offset"]),
    "windows in words": (["--windows", "all"], ["--windows 'all'", "LO-HI"]),
    "windows backwards": (["--windows", "9-5"], ["--windows '9-5'", "LO below HI"]),
    "windows of no use": (["--windows", GOOD], ["--windows good.ndjson"]),
    "offset past the end": (["--from-offset", "5000"], ["--from-offset 5000", "no row from there"]),
    "windows past the end": (["--windows", "5000-6000"], ["--windows", "none of the ranges"]),
    "unknown key": (["--key", "nope"], ["--key nope", "_id, a"]),
    "negative rejects": (["--max-rejects", "-1"], ["--max-rejects"]),
    "odd time": (["--drain-timeout", "soon"], ["soon", "30s"]),
    "odd choice": (["--on-hangup", "ignore"], ["--on-hangup", "ignore"]),
    "unknown option": (["--worker", "4"], ["--worker"]),
    "resume and source": (["--resume", "t-1"], ["--resume goes without SOURCE and TARGET"]),
}


@pytest.fixture
def good(folder: Path) -> Path:
    return write_lines(folder / GOOD, '{"_id":1,"a":"x"}', '{"_id":2,"a":"y"}')


@pytest.mark.parametrize(("source", "make", "words"), SOURCES.values(), ids=SOURCES)
def test_a_source(source: str, make: Callable[[], object] | None, words: list[str], call: Call) -> None:
    if make is not None:
        make()
    assert_refused(call("migrate", source, TABLE, "--no-ui", "--workspace", "w.db"), *words)
    assert not Path("t.db").exists()


@pytest.mark.usefixtures("good")
@pytest.mark.parametrize(("target", "make", "words"), TARGETS.values(), ids=TARGETS)
def test_a_target(target: str, make: Callable[[], object] | None, words: list[str], call: Call) -> None:
    if make is not None:
        make()
    before = files()
    assert_refused(call("migrate", GOOD, target, "--no-ui", "--workspace", "w.db"), *words)
    assert files() == before


@pytest.mark.usefixtures("good")
@pytest.mark.parametrize(("options", "words"), OPTIONS.values(), ids=OPTIONS)
def test_an_option(options: list[str], words: list[str], call: Call) -> None:
    assert_refused(call("migrate", GOOD, TABLE, "--no-ui", "--workspace", "w.db", *options), *words)
    assert not Path("t.db").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["migrate"], ["name SOURCE and TARGET"]),
        (["migrate", "--resume", "nope"], ["there is no run nope", "runs list"]),
        (["migrat"], ["did you mean migrate?"]),
        (["no.toml"], ["no.toml does not exist"]),
        (["runs", "show", "nope"], ["there is no run nope"]),
        (["runs", "nope"], ["nope"]),
    ],
    ids=["no source", "resume unknown", "typo", "no runbook", "unknown run", "unknown verb"],
)
def test_a_command(arguments: list[str], words: list[str], call: Call) -> None:
    call("migrate", "generate://orders?count=5", TABLE, "--no-ui", "--workspace", "w.db")
    assert_refused(call(*arguments, "--no-ui", "--workspace", "w.db"), *words)


WORKSPACES = {
    "folder": ("d", lambda: Path("d").mkdir(), ["d is a folder"]),
    "no SQLite": ("w.db", write("w.db", b"hello" * 100), ["w.db is not a SQLite file"]),
    "not supported": ("http://u:s3cret@h/w", None, ["http://u:***@h/w"]),
    "in memory": ("sqlite:///:memory:", None, ["must outlive the program"]),
    "somebody else's": ("t.db", table("CREATE TABLE other (a)"), ["holds other tables already"]),
    "newer": ("t.db", newer_workspace, ["newer streamconsole", "upgrade"]),
    "damaged": ("w.db", write("w.db", b"SQLite format 3\0" + b"x" * 5000), ["w.db"]),
}


@pytest.mark.parametrize(("workspace", "make", "words"), WORKSPACES.values(), ids=WORKSPACES)
def test_a_workspace(workspace: str, make: Callable[[], object] | None, words: list[str], call: Call) -> None:
    if make is not None:
        make()
    result = call("migrate", "generate://orders?count=5", "o.ndjson", "--no-ui", "--workspace", workspace)
    assert_refused(result, "workspace", *words)
    assert not Path("o.ndjson").exists()


@pytest.mark.usefixtures("good")
def test_a_read_only_source_is_no_obstacle(call: Call) -> None:
    Path(GOOD).chmod(0o400)
    assert migrate(call, GOOD).code == 0
    assert rows() == [(1, "x"), (2, "y")]


@pytest.mark.usefixtures("good")
def test_an_empty_table_of_somebody_elses_is_filled(call: Call) -> None:
    table("CREATE TABLE t (_id INTEGER, a TEXT)")()
    assert migrate(call, GOOD).code == 0
    assert rows() == [(1, "x"), (2, "y")]


@pytest.mark.parametrize("place", ["source", "target", "workspace"])
@pytest.mark.parametrize("options", [["--no-ui"], ["--json"]], ids=["plain", "json"])
def test_a_password_in_a_url_is_shown_nowhere(place: str, options: list[str], call: Call, folder: Path) -> None:
    url = "mongodb://ops:s3cr3t@host/db?authToken=t0ken#c"
    source, target, workspace = "generate://orders?count=5", TABLE, "w.db"
    if place == "source":
        source = url
    elif place == "target":
        target = url
    else:
        workspace = url
    result = call("migrate", source, target, "--workspace", workspace, *options)
    assert result.code == 2
    kept = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    for secret in ("s3cr3t", "t0ken"):
        assert secret not in result.err + result.out
        assert secret.encode() not in kept


def files() -> dict[str, bytes | None]:
    """What the folder holds, but for the workspace."""
    return {
        str(path): path.read_bytes() if path.is_file() else None
        for path in Path().rglob("*")
        if not str(path).startswith("w.db")
    }
