"""Runbooks: what is wrong in one is named by file and key before anything is done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acceptance.calling import Call, assert_refused, rows

MIGRATION = '[[migration]]\nname = "orders"\nsource = "generate://orders?count=20"\ntarget = "sqlite:///t.db#t"\n'

BAD: dict[str, tuple[str, list[str]]] = {
    "not TOML": ("[[migration]\n", ["not valid TOML", "line 1"]),
    "unknown table": ("[migrations]\n", ["migrations is not known", "did you mean migration?"]),
    "unknown key": (MIGRATION + "window_row = 5\n", ["migration[0].window_row", "did you mean window_rows?"]),
    "unknown key inside": (MIGRATION + "retry = {atempts = 5}\n", ["migration[0].retry.atempts is not known"]),
    "wrong type": (MIGRATION + 'workers = "four"\n', ["migration[0].workers", "valid integer", "'four'"]),
    "no rate": (MIGRATION + 'rate = "fast"\n', ["migration[0].rate: must be a rate like 5000rows/s", "not 'fast'"]),
    "out of range": (MIGRATION + "workers = 0\n", ["migration[0].workers", "greater than or equal to 1", "0"]),
    "key missing": ('[[migration]]\nname = "x"\nsource = "a.ndjson"\n', ["migration[0].target is missing"]),
    "not a list": ('[migration]\nname = "x"\n', ["migration"]),
    "name twice": (MIGRATION + MIGRATION, ["migration[1].name", "'orders' stands twice"]),
    "odd choice": (MIGRATION + '[console]\non_hangup = "ignore"\n', ["console.on_hangup", "'continue' or 'drain'"]),
    "no variable": (MIGRATION.replace("t.db", "${NO_SUCH}"), ["migration[0].target", "NO_SUCH"]),
    "odd theme type": (MIGRATION + "[console]\ntheme = 5\n", ["console.theme", "string"]),
    "second one is refused": (
        MIGRATION + MIGRATION.replace('"orders"', '"users"').replace("orders", "usres", 1),
        ["usres"],
    ),
    "nothing to do": ("", ["has nothing to do"]),
}


def write(text: str) -> Path:
    path = Path("book.toml")
    path.write_text(text)
    return path


@pytest.mark.parametrize(("text", "words"), BAD.values(), ids=BAD)
def test_a_mistake_is_named_and_nothing_is_done(text: str, words: list[str], call: Call) -> None:
    write(text)
    assert_refused(call("book.toml", "--no-ui"), *words)
    assert not Path("t.db").exists()


@pytest.mark.usefixtures("folder")
def test_bytes_that_are_no_text(call: Call) -> None:
    Path("book.toml").write_bytes(b"# \xff\n")
    assert_refused(call("book.toml", "--no-ui"), "book.toml", "not UTF-8")


def test_a_folder(call: Call) -> None:
    Path("book.toml").mkdir()
    assert_refused(call("book.toml", "--no-ui"), "book.toml is a folder")


def test_a_mistake_never_shows_the_secret_beside_it(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", "s3cr3t")
    write(MIGRATION.replace("sqlite:///t.db#t", "postgres://ops:${DB_PASSWORD}@h/db#t"))
    for options in (["--no-ui"], ["--json"]):
        result = call("book.toml", *options)
        assert result.code == 2
        assert "s3cr3t" not in result.err + result.out
    kept = b"".join(path.read_bytes() for path in Path().rglob("*") if path.is_file() and path.suffix != ".toml")
    assert b"s3cr3t" not in kept


def test_all_of_it_is_done_in_order(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERE", "t.db")
    users = MIGRATION.replace("orders", "users").replace("#t", "#u").replace("t.db", "${WHERE}")
    write(MIGRATION + users)
    result = call("book.toml", "--json")
    assert result.code == 0, result
    assert [each["name"] for each in result.summary["runs"]] == ["orders", "users"]
    assert len(rows()) == len(rows(statement="SELECT * FROM u")) == 20


def test_an_unfinished_run_is_gone_on_with(call: Call) -> None:
    write(MIGRATION + "window_rows = 5\nmax_rejects = 0\n")
    Path("t.db").touch()
    first = call("book.toml", "--json")
    assert first.code == 0, first
    again = call("book.toml", "--json")
    assert again.code in (0, 2)
    assert len(rows()) == 20
    for line in again.out.splitlines():
        json.loads(line)


def test_a_runbook_that_was_cut_short_goes_on_and_does_nothing_twice(call: Call) -> None:
    users = MIGRATION.replace("orders", "users").replace("#t", "#u") + "window_rows = 5\n"
    Path("rows.ndjson").write_text('{"id": 1}\nnot JSON\n')
    odd = '[[migration]]\nname = "odd"\nsource = "rows.ndjson"\ntarget = "sqlite:///t.db#odd"\nmax_rejects = 0\n'
    write(MIGRATION + odd + users)
    first = call("book.toml", "--json")
    assert [each["status"] for each in first.summary["runs"]] == ["completed", "paused", "completed"]
    again = call("book.toml", "--json")
    assert again.code == 1, again
    assert [each["run"] for each in again.summary["runs"]] == [each["run"] for each in first.summary["runs"]]
    assert len(rows()) == len(rows(statement="SELECT * FROM u")) == 20


def test_a_runbook_that_is_done_is_refused_as_long_as_its_targets_hold_rows(call: Call) -> None:
    write(MIGRATION)
    assert call("book.toml", "--no-ui").code == 0
    assert_refused(call("book.toml", "--no-ui"), "holds rows already")
    Path("t.db").unlink()
    assert call("book.toml", "--no-ui").code == 0
    assert len(rows()) == 20
