"""Migrations that verify themselves: by option, by runbook, whole databases."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.calling import Call, assert_refused, migrate
from tests.program import DATA, Result, run

CUSTOMERS = str(DATA / "customers.json")
OPTIONS = ("--no-ui", "--workspace", "w.db")


def entries(result: Result) -> list[tuple[str | None, str, int]]:
    """Of each run in the summary what it verifies, its state, and rows refused (or that differ)."""
    return [(each.get("verifies"), each["status"], each["rejects"]) for each in result.summary["runs"]]


def spoil(statement: str, path: str = "t.db") -> None:
    """Let a table change by itself, as soon as a row of it is written."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(statement)


SPOILED = (
    "CREATE TABLE t (_id TEXT NOT NULL PRIMARY KEY, username TEXT);"
    "CREATE TRIGGER spoil AFTER INSERT ON t WHEN new.username = 'fmiller'"
    " BEGIN UPDATE t SET username = 'mallory' WHERE _id = new._id; END"
)


@pytest.mark.parametrize("target", ["sqlite:///t.db#t", "t.csv.gz"])
def test_what_is_equal_ends_well(call: Call, target: str) -> None:
    result = migrate(call, CUSTOMERS, target, "--verify")
    assert result.code == 0, result
    moved, verified = result.summary["runs"]
    assert verified["verifies"] == moved["run"]
    assert (verified["rows_read"], verified["rejects"]) == (500, 0)


def test_a_difference_is_named_and_the_exit_status_is_1(call: Call) -> None:
    spoil(SPOILED)
    result = call("migrate", CUSTOMERS, "sqlite:///t.db#t", "--verify", *OPTIONS)
    assert result.code == 1, result
    assert "1 row differs" in result.out
    assert "both sides are equal" not in result.out
    moved = json.loads(call("runs", "list", "--json", "--workspace", "w.db").out.splitlines()[1])["run"]
    shown = call("runs", "show", moved, "--workspace", "w.db")
    assert "1 row differs in 1 window" in " ".join(shown.out.split())
    told = json.loads(call("runs", "show", moved, "--json", "--workspace", "w.db").out)["verification"]
    assert (told["state"], told["equal"], told["rows_differing"], told["windows_differing"]) == (
        "completed",
        False,
        1,
        1,
    )


def test_without_it_nothing_is_verified(call: Call) -> None:
    result = migrate(call, CUSTOMERS, "sqlite:///t.db#t")
    assert [each.get("verifies") for each in result.summary["runs"]] == [None]


def test_a_whole_database_table_by_table(call: Call) -> None:
    spoil(
        "CREATE TABLE a (id INTEGER PRIMARY KEY, v TEXT); CREATE TABLE b (id INTEGER PRIMARY KEY, v TEXT);"
        "INSERT INTO a VALUES (1, 'x'); INSERT INTO b VALUES (1, 'y'), (2, 'z');",
        "in.db",
    )
    result = migrate(call, "sqlite:///in.db", "sqlite:///t.db", "--tables", "all", "--verify")
    assert result.code == 0, result
    names = [(each["name"], each["rows_read"]) for each in result.summary["runs"]]
    assert names == [("a", 1), ("verify a", 1), ("b", 2), ("verify b", 2)]


def runbook(text: str) -> None:
    Path("rows.ndjson").write_text('{"id":1}\n{"id":2}\n')
    Path("streamconsole.toml").write_text(text)


MIGRATION = '[[migration]]\nname = "{0}"\nsource = "rows.ndjson"\ntarget = "{0}.ndjson"\n'


@pytest.mark.parametrize(
    ("text", "verified"),
    [
        (MIGRATION.format("one") + "verify = true\n" + MIGRATION.format("two"), ["verify one"]),
        ("verify = true\n" + MIGRATION.format("one") + MIGRATION.format("two") + "verify = false\n", ["verify one"]),
        ("verify = true\n" + MIGRATION.format("one") + MIGRATION.format("two"), ["verify one", "verify two"]),
    ],
)
def test_a_runbook_says_which(call: Call, text: str, verified: list[str]) -> None:
    runbook(text)
    result = call("--json", "streamconsole.toml", "--workspace", "w.db")
    assert result.code == 0, result
    assert [each["name"] for each in result.summary["runs"] if each.get("verifies")] == verified


def test_a_runbook_that_says_something_else_is_refused(call: Call) -> None:
    runbook('verify = "sometimes"\n' + MIGRATION.format("one"))
    assert_refused(call("--no-ui", "streamconsole.toml", "--workspace", "w.db"), "verify")


@pytest.mark.parametrize("point", ["verify.start", "verify.conclude"])
def test_a_runbook_that_was_killed_in_its_verification_goes_on_with_it(tmp_path: Path, point: str) -> None:
    (tmp_path / "rows.ndjson").write_text('{"id":1}\n{"id":2}\n')
    (tmp_path / "streamconsole.toml").write_text("verify = true\n" + MIGRATION.format("one"))
    arguments = ("streamconsole.toml", "--json", "--workspace", "w.db")
    assert run(*arguments, cwd=tmp_path, faults=f"kill@{point}").killed
    result = run(*arguments, cwd=tmp_path)
    assert result.code == 0, result
    assert entries(result) == [(None, "completed", 0), (result.summary["runs"][0]["run"], "completed", 0)]
    names: list[Any] = [each["name"] for each in result.summary["runs"]]
    assert names == ["one", "verify one"]


def test_a_resumed_run_is_verified_too(tmp_path: Path) -> None:
    arguments = ("migrate", CUSTOMERS, "t.ndjson", "--verify", "--name", "c", "--window-rows", "50", *OPTIONS)
    assert run(*arguments, cwd=tmp_path, faults="kill@window.before_ledger:4").killed
    result = run("runs", "resume", "c-", "--json", "--workspace", "w.db", cwd=tmp_path)
    assert result.code == 0, result
    assert [each["name"] for each in result.summary["runs"]] == ["c", "verify c"]
