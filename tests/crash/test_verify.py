"""A verification that is killed goes on where it was, and finds what an uninterrupted one finds."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_verifying import edit
from tests.program import DATA, run

WINDOWS = 50


def look(folder: Path, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "w.db")) as connection:
        return connection.execute(statement, values).fetchall()


def found(folder: Path, verification: str) -> tuple[Any, ...]:
    return (
        look(
            folder, 'SELECT "window", line, "column", reason FROM rejects WHERE run = ? ORDER BY 1, 2, 4', verification
        ),
        look(folder, "SELECT number, state, rows_read, rejects FROM windows WHERE run = ? ORDER BY 1", verification),
        look(
            folder,
            'SELECT "window", source, target, source_rows, target_rows FROM digests WHERE run = ? ORDER BY 1',
            verification,
        ),
    )


def verification(folder: Path) -> str:
    return str(look(folder, "SELECT id FROM runs WHERE id LIKE 'verify-%' ORDER BY created_at DESC")[0][0])


def spoil(folder: Path, target: str) -> None:
    """Change, lose and add some rows."""
    if "#" not in target:
        edit(folder / target, target.partition(".")[2], lambda rows: [*rows[3:], rows[7]])
        return
    with closing(sqlite3.connect(folder / "t.db")) as connection:
        connection.execute("UPDATE t SET name = 'x' WHERE rowid IN (7, 300)")
        connection.execute("INSERT INTO t (_id) VALUES ('more')")
        connection.commit()


@pytest.mark.parametrize(
    "target",
    [
        "sqlite:///t.db#t",
        "sqlite+pysqlite:///t.db#t",
        "bare sqlite+pysqlite:///t.db#t",
        "t.ndjson",
        "t.csv.gz",
        "t.json",
    ],
)
def test_a_killed_verification_goes_on(tmp_path: Path, target: str) -> None:
    options = ("--no-ui", "--workspace", "w.db")
    target, bare = target.removeprefix("bare "), target.startswith("bare ")
    if bare:
        with closing(sqlite3.connect(tmp_path / "t.db")) as connection:
            connection.execute("CREATE TABLE t (_id TEXT)")
    moved = run(
        "migrate", str(DATA / "customers.json"), target, "--window-rows", "10", "--name", "c", *options, cwd=tmp_path
    )
    assert moved.code == 0, moved
    spoil(tmp_path, target)
    assert run("verify", "c-", *options, cwd=tmp_path).code == 1
    whole = found(tmp_path, verification(tmp_path))
    killed = run("verify", "c-", *options, cwd=tmp_path, faults="kill@verify.before_ledger:31")
    assert killed.killed
    second = verification(tmp_path)
    done = {
        number
        for (number,) in look(tmp_path, "SELECT number FROM windows WHERE run = ? AND state = 'completed'", second)
    }
    assert 0 < len(done) < WINDOWS
    # Twice more: before the last window, and when all of them are compared.
    assert run("runs", "resume", second, *options, cwd=tmp_path, faults="kill@verify.start:50").killed
    assert run("runs", "resume", second, *options, cwd=tmp_path, faults="kill@verify.conclude").killed
    attempts = dict(look(tmp_path, "SELECT number, attempt FROM windows WHERE run = ?", second))
    assert {attempts[number] for number in done} == {1}, "what was compared is not compared again"
    assert run("runs", "resume", second, *options, cwd=tmp_path).code == 1
    assert found(tmp_path, second) == whole
