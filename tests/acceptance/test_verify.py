from __future__ import annotations

import gzip
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.calling import Call, migrate, rejects
from tests.program import DATA, Result, finish, running, wait_until

CUSTOMERS = str(DATA / "customers.json")
SMALL = ("--window-rows", "50")


def verify(call: Call, run: str) -> Result:
    return call("verify", run, "--json", "--workspace", "w.db")


def moved(call: Call, target: str, *options: str, source: str = CUSTOMERS) -> str:
    result = migrate(call, source, target, *SMALL, *options)
    assert result.code in (0, 1), result
    return str(result.summary["runs"][0]["run"])


def username(line: int) -> str:
    return str(json.loads(Path(CUSTOMERS).read_text().splitlines()[line - 1])["username"])


def change(*statements: str) -> None:
    with closing(sqlite3.connect("t.db")) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


@pytest.mark.parametrize("target", ["sqlite:///t.db#t", "t.ndjson"])
def test_what_was_moved_is_equal(call: Call, target: str) -> None:
    result = verify(call, moved(call, target))
    assert result.code == 0, result
    (run,) = result.summary["runs"]
    assert (run["rows_read"], run["rejects"]) == (500, 0)


def test_differences_in_a_table_are_named_by_row_and_column(call: Call) -> None:
    run = moved(call, "sqlite:///t.db#t")
    change(
        f"UPDATE t SET username = 'mallory', email = NULL WHERE username = '{username(3)}'",
        f"DELETE FROM t WHERE username = '{username(200)}'",
        "INSERT INTO t (_id) VALUES ('extra 1'), ('extra 2')",
    )
    result = verify(call, run)
    assert result.code == 1, result
    assert result.summary["runs"][0]["rejects"] == 4
    found = [(each["window"], each["line"], each["column"], each["reason"]) for each in rejects(call, result)]
    window, line, column, reason = found[0]
    assert (window, line) == (1, 3)
    assert set(str(column).split(", ")) == {"username", "email"}
    assert "target username='mallory'" in reason
    assert found[1] == (4, 200, None, "missing in the target")
    assert sorted(reason for *_, reason in found[2:]) == [
        "only in the target: _id='extra 1'",
        "only in the target: _id='extra 2'",
    ]


def test_a_doubled_row_shows_in_a_table_without_a_key(call: Call) -> None:
    Path("rows.ndjson").write_text("".join(f'{{"a":{n},"b":"{n % 3}"}}\n' for n in range(300)))
    run = moved(call, "sqlite:///t.db#t", source="rows.ndjson")
    assert verify(call, run).code == 0
    change("INSERT INTO t SELECT * FROM t WHERE a = 7", "DELETE FROM t WHERE a = 8")
    result = verify(call, run)
    assert result.code == 1, result
    reasons = sorted(each["reason"] for each in rejects(call, result))
    assert reasons == ["missing in the target: source line 9", "only in the target: a='7', b='1'"]


def edited(lines: list[str]) -> list[str]:
    row = json.loads(lines[0]) | {"name": "Eve"}
    return [json.dumps(row), *lines[2:], lines[9]]


@pytest.mark.parametrize(
    ("edit", "code", "differences"),
    [(lambda lines: lines[::-1], 0, 0), (lambda lines: [*lines, "", "no json"], 1, 1), (edited, 1, 3)],
)
def test_lines_of_a_file_in_any_order(
    call: Call, edit: Callable[[list[str]], list[str]], code: int, differences: int
) -> None:
    run = moved(call, "t.ndjson")
    path = Path("t.ndjson")
    path.write_text("\n".join(edit(path.read_text().splitlines())) + "\n")
    result = verify(call, run)
    assert result.code == code, result
    assert len(rejects(call, result)) == result.summary["runs"][0]["rejects"] == differences


def test_rows_known_as_refused_are_left_out(call: Call) -> None:
    Path("rows.ndjson").write_text(
        '{"id":1,"a":"x"}\n{"id":1,"a":"y"}\nnot json\n{"id":2,"a":{"$numberDouble":"NaN"}}\n'
    )
    run = moved(call, "sqlite:///t.db#t", source="rows.ndjson")
    result = verify(call, run)
    assert result.code == 0, result
    assert result.summary["runs"][0]["rows_read"] == 1


def test_values_of_columns_named_like_secrets_are_not_told(call: Call) -> None:
    Path("rows.ndjson").write_text('{"id":1,"password":"hunter2"}\n')
    run = moved(call, "sqlite:///t.db#t", source="rows.ndjson")
    change("UPDATE t SET password = 'swordfish'")
    result = verify(call, run)
    (found,) = rejects(call, result)
    assert "swordfish" not in found["reason"]
    assert "hunter2" not in found["reason"]


def test_a_source_that_changed_since_is_told(call: Call) -> None:
    shutil.copy(CUSTOMERS, "c.json")
    run = moved(call, "sqlite:///t.db#t", source="c.json")
    Path("c.json").write_bytes(Path("c.json").read_bytes().replace(b"fmiller", b"gmiller"))
    result = verify(call, run)
    assert result.code == 1, result
    assert "has changed since" in result.summary["runs"][0]["source_changed"]


def test_a_column_that_is_gone_is_a_difference(call: Call) -> None:
    run = moved(call, "sqlite:///t.db#t")
    change("ALTER TABLE t DROP COLUMN email")
    result = verify(call, run)
    assert result.code == 1, result
    assert [each["reason"] for each in rejects(call, result)] == ["the target has no column email any more"]


@pytest.mark.parametrize("gone", ["t.db", "rows.ndjson"])
def test_a_side_that_is_gone_is_refused_before_anything_is_compared(call: Call, gone: str) -> None:
    shutil.copy(CUSTOMERS, "rows.ndjson")
    run = moved(call, "sqlite:///t.db#t", source="rows.ndjson")
    Path(gone).unlink()
    result = call("verify", run, "--no-ui", "--workspace", "w.db")
    assert result.code == 2, result
    assert gone in result.err


def test_appended_rows_are_found_among_others(call: Call) -> None:
    with closing(sqlite3.connect("t.db")) as connection:
        connection.execute("CREATE TABLE t (_id TEXT NOT NULL PRIMARY KEY, username TEXT)")
        connection.execute("INSERT INTO t VALUES ('was here', 'before')")
        connection.commit()
    run = moved(call, "sqlite:///t.db#t", "--mode", "append")
    assert verify(call, run).code == 0
    change("DELETE FROM t WHERE username = 'fmiller'")
    result = verify(call, run)
    assert result.code == 1
    assert [each["reason"] for each in rejects(call, result)] == ["missing in the target"]


def test_only_a_completed_migration_can_be_verified(call: Call) -> None:
    run = moved(call, "sqlite:///t.db#t")
    first: dict[str, Any] = verify(call, run).summary["runs"][0]
    result = call("verify", first["run"], "--no-ui", "--workspace", "w.db")
    assert result.code == 2
    assert "is no migration" in result.err


def test_transforms_and_compressed_sources_are_read_again_as_they_were_moved(call: Call) -> None:
    Path("rows.ndjson.gz").write_bytes(gzip.compress(Path(CUSTOMERS).read_bytes()))
    runs: dict[str, str] = {}
    for target in ("sqlite:///t.db#t", "t.ndjson"):
        runs[target] = moved(call, target, "--transform", "hash:username", source="rows.ndjson.gz")
        result = verify(call, runs[target])
        assert result.code == 0, result
        assert result.summary["runs"][0]["rows_read"] == 500
    change("INSERT INTO t (_id) VALUES ('extra')")
    result = verify(call, str(runs["sqlite:///t.db#t"]))
    assert [each["reason"] for each in rejects(call, result)] == ["only in the target: _id='extra'"]


@pytest.mark.parametrize("target", ["t.csv", "t.json", "t.ndjson.gz", "sqlite+pysqlite:///t.db#t"])
def test_a_target_of_any_kind_is_read_again(call: Call, target: str) -> None:
    run = moved(call, target)
    assert verify(call, run).code == 0
    Path("t.db" if "#" in target else target).unlink()
    result = call("verify", run, "--no-ui", "--workspace", "w.db")
    assert result.code == 2, result
    assert "does not exist any more" in result.err


def compared() -> int:
    with closing(sqlite3.connect("w.db")) as connection:
        return int(connection.execute("SELECT count(*) FROM digests").fetchone()[0])


@pytest.mark.parametrize(("target", "file"), [("sqlite:///t.db#t", "t.db"), ("t.ndjson", "t.ndjson")])
def test_a_target_lost_in_the_middle_stops_the_run(call: Call, tmp_path: Path, target: str, file: str) -> None:
    Path("rows.ndjson").write_text("".join(f'{{"_id":{n},"a":"x"}}\n' for n in range(10_000)))
    run = moved(call, target, "--window-rows", "20", source="rows.ndjson")
    with running("verify", run, "--no-ui", "--workspace", "w.db", cwd=tmp_path) as process:
        wait_until(lambda: compared() > 0, "a window is compared")
        Path(file).unlink()
        result = finish(process)
    assert result.code == 3, result
    assert file in result.err
    assert "Traceback" not in result.err
