"""Refused rows as an operator deals with them: listed, exported, mended, replayed; each is written once."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sqlite3
import stat
import sys
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from streamconsole.engines.states import RunState
from tests.acceptance.calling import Call, assert_refused, migrate, rejects, rows, write_lines
from tests.program import Result, ledger, running, wait_until

ROWS = 60
LEDGER = "_streamconsole_windows"
BAD = [number for number in range(ROWS) if number % 7 == 3]


def source(folder: Path, name: str = "s.ndjson") -> Path:
    """Rows of which every seventh has a text where a whole number belongs."""
    lines = []
    for number in range(ROWS):
        value = f'"{number}x"' if number in BAD else str(number)
        lines.append(f'{{"_id":{number},"v":{value},"w":"t{number}"}}')
    return write_lines(folder / name, *lines)


def make_table(statement: str = "CREATE TABLE t (_id INTEGER PRIMARY KEY, v INTEGER, w TEXT)") -> None:
    with closing(sqlite3.connect("t.db")) as connection:
        connection.executescript(statement)


def refused_run(call: Call, folder: Path, *options: str) -> tuple[Result, str]:
    """A run with refused rows, and its id."""
    make_table()
    result = migrate(call, str(source(folder)), "sqlite:///t.db#t", "--mode", "append", "--window-rows", "10", *options)
    assert result.code == 1, result
    return result, result.summary["runs"][0]["run"]


def runs(call: Call, *arguments: str) -> Result:
    return call("runs", *arguments, "--json", "--workspace", "w.db")


def replay(call: Call, run: str, *options: str) -> Result:
    return runs(call, "retry", run, "--rejects", *options)


def module(text: str) -> str:
    """A module of transforms, under a name that no other test has."""
    name = f"mend_{uuid4().hex}"
    Path(f"{name}.py").write_text(text)
    return name


def write_map(text: str = "[v]\ndrop = true\n") -> str:
    Path("map.toml").write_text(text)
    return "map.toml"


def listed(call: Call, run: str, *options: str) -> list[dict[str, Any]]:
    result = runs(call, "rejects", run, *options)
    assert result.code == 0, result
    return [json.loads(line) for line in result.out.splitlines()]


def test_refused_rows_are_listed_by_window_column_and_reason(call: Call, folder: Path) -> None:
    _, run = refused_run(call, folder)
    assert [each["line"] for each in listed(call, run)] == [number + 1 for number in BAD]
    assert [each["line"] for each in listed(call, run, "--window", "2")] == [11, 18]
    assert len(listed(call, run, "--column", "v")) == len(BAD)
    assert listed(call, run, "--column", "w") == []
    assert len(listed(call, run, "--reason", "VALUE IS text")) == len(BAD)
    assert listed(call, run, "--reason", "100%") == []
    assert len(listed(call, run, "--limit", "3")) == 3


def test_refused_rows_are_exported_to_a_file_of_the_users_own(call: Call, folder: Path) -> None:
    _, run = refused_run(call, folder)
    Path("bad.ndjson").write_text("of earlier")
    told = call("runs", "rejects", run, "--export", "bad.ndjson", "--workspace", "w.db")
    assert told.code == 0, told
    assert f"{len(BAD)} refused rows written to bad.ndjson" in told.out
    exported = [json.loads(line) for line in Path("bad.ndjson").read_text().splitlines()]
    assert exported == listed(call, run)
    assert exported[0] == {
        "window": 1,
        "line": 4,
        "offset": 75,
        "column": "v",
        "reason": "the column is integer, the value is text",
        "row": '{"_id":3,"v":"3x","w":"t3"}',
    }
    assert stat.S_IMODE(Path("bad.ndjson").stat().st_mode) == 0o600
    assert [path.name for path in folder.glob(".*tmp")] == []
    assert_refused(
        call("runs", "rejects", run, "--export", "none/bad.ndjson", "--workspace", "w.db"), "none/bad.ndjson"
    )
    assert_refused(call("runs", "rejects", run, "--export", ".", "--workspace", "w.db"), "folder")


def test_refused_rows_are_replayed_after_the_mapping_is_mended(call: Call, folder: Path) -> None:
    _, run = refused_run(call, folder)
    before = rows()
    result = replay(call, run, "--map", write_map())
    assert result.code == 0, result
    (ended,) = result.summary["runs"]
    assert (ended["replays"], ended["rows"], ended["rejects"]) == (run, len(BAD), 0)
    assert listed(call, run) == []
    assert sorted(rows()) == sorted(before + [(number, None, f"t{number}") for number in BAD])
    history = [json.loads(line) for line in runs(call, "history", run).out.splitlines()]
    assert sum(each["rows_written"] for each in history) == ROWS
    assert {(each["rows_read"], each["rejects"]) for each in history} == {(10, 0)}


def test_a_second_replay_does_nothing_and_says_so(call: Call, folder: Path) -> None:
    _, run = refused_run(call, folder)
    assert replay(call, run, "--map", write_map()).code == 0
    known = rows("w.db", "SELECT id FROM runs")
    again = replay(call, run, "--map", "map.toml")
    assert again.code == 0, again
    assert again.summary["runs"][0]["run"] == run
    assert "nothing is left to do" in call("runs", "retry", run, "--rejects", "--no-ui", "--workspace", "w.db").err
    assert len(rows()) == ROWS
    assert rows("w.db", "SELECT id FROM runs") == known


def test_rows_that_still_do_not_fit_stay_refused(call: Call, folder: Path) -> None:
    _, run = refused_run(call, folder)
    before = listed(call, run)
    same = replay(call, run)
    assert same.code == 1, same
    assert listed(call, run) == before
    # Half of them are mended by the table, the others by a cast.
    make_table("INSERT INTO t VALUES (3, 0, 'in the way')")
    result = replay(call, run, "--map", write_map())
    assert result.code == 1, result
    (left,) = listed(call, run)
    assert (left["line"], left["column"], left["reason"]) == (4, "_id", "duplicate key 3")
    assert len(rows()) == ROWS
    make_table("DELETE FROM t WHERE w = 'in the way'")
    assert replay(call, result.summary["runs"][0]["run"], "--map", "map.toml").code == 0
    assert (3, None, "t3") in rows()
    assert len(rows()) == ROWS


@pytest.mark.parametrize("mode", ["upsert", "replace", "insert"])
def test_each_mode_takes_replayed_rows(mode: str, call: Call, folder: Path) -> None:
    lines = [f'{{"_id":{n},"v":{n}}}' for n in range(20)]
    lines[5] = '{"v":5,"id of old":5}'
    made = write_lines(folder / "s.ndjson", *lines)
    if mode != "insert":
        make_table("CREATE TABLE t (_id INTEGER PRIMARY KEY, v INTEGER); INSERT INTO t VALUES (7, -7), (100, 100)")
    options = ("--mode", mode, "--key", "_id", "--window-rows", "4")
    result = migrate(call, str(made), "sqlite:///t.db#t", *options)
    assert result.code == 1, result
    assert listed(call, result.summary["runs"][0]["run"])[0]["reason"] == "the key has no value"
    mend = module("def key(row):\n    row['_id'] = row.pop('id of old', row.get('_id'))\n    return row\n")
    Path("book.toml").write_text(
        f'[[migration]]\nname = "t"\nsource = "s.ndjson"\ntarget = "sqlite:///t.db#t"\nmode = "{mode}"\n'
        'transform = [{ kind = "python", function = "' + mend + ':key" }]\n'
    )
    mended = replay(call, result.summary["runs"][0]["run"], "--runbook", "book.toml")
    assert mended.code == 0, mended
    expected = {n: n for n in range(20)} | ({100: 100} if mode == "upsert" else {})
    assert dict(rows(statement="SELECT _id, v FROM t")) == expected
    assert [name for (name,) in rows(statement="SELECT name FROM sqlite_master WHERE name LIKE '%new%'")] == []


def test_a_run_of_a_runbook_is_replayed_by_what_the_runbook_says_now(call: Call, folder: Path) -> None:
    make_table()
    source(folder)
    book = '[[migration]]\nname = "people"\nsource = "s.ndjson"\ntarget = "sqlite:///t.db#t"\nmode = "append"\n'
    Path("book.toml").write_text(book)
    result = call("book.toml", "--json", "--workspace", "w.db")
    assert result.code == 1, result
    run = result.summary["runs"][0]["run"]
    Path("book.toml").write_text(book + "[migration.columns]\nv = { drop = true }\n")
    assert replay(call, run).code == 0
    assert len(rows()) == ROWS
    # Whoever renames it there must say where to look.
    Path("book.toml").write_text(book.replace("people", "others"))
    make_table("DELETE FROM t")
    again = call("book.toml", "--json", "--workspace", "w.db")
    Path("book.toml").write_text(book)
    refused = call("runs", "retry", again.summary["runs"][0]["run"], "--rejects", "--no-ui", "--workspace", "w.db")
    assert_refused(refused, "no migration 'others'")


def target_rows(path: Path) -> list[dict[str, Any]]:
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    name = path.name.removesuffix(".gz")
    if name.endswith(".csv"):
        return list(csv.DictReader(io.StringIO(text, newline="")))
    return list(json.loads(text)) if name.endswith(".json") else [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("target", ["o.ndjson", "o.ndjson.gz", "o.json", "o.json.gz", "o.csv", "o.csv.gz"])
def test_replayed_rows_are_added_to_a_file(target: str, call: Call, folder: Path) -> None:
    """What the file lacked stands behind what it had, in one moment; a column that is new gets its place."""
    before_it = module("def mend(row):\n    if row['_id'] in (3, 4): row['v'] / 0\n    return row\n")
    made = write_lines(folder / "s.ndjson", *[f'{{"_id":{n},"v":"a,\\"{n}\\n","w":null}}' for n in range(9)])
    result = migrate(call, str(made), target, "--window-rows", "2", "--transform", f"python:{before_it}:mend")
    assert result.code == 1, result
    run = result.summary["runs"][0]["run"]
    before = target_rows(folder / target)
    assert len(before) == 7
    after_it = module("def mend(row):\n    if row['_id'] == 4: row['new'] = 'x'\n    return row\n")
    Path("book.toml").write_text(
        f'[[migration]]\nname = "o"\nsource = "s.ndjson"\ntarget = "{target}"\n'
        'transform = [{ kind = "python", function = "' + after_it + ':mend" }]\n'
    )
    replayed = replay(call, run, "--runbook", "book.toml")
    assert replayed.code == 0, replayed
    after = target_rows(folder / target)
    added = [{"_id": 3, "v": 'a,"3\n', "w": None}, {"_id": 4, "v": 'a,"4\n', "w": None, "new": "x"}]
    if ".csv" in target:
        before = [each | {"new": ""} for each in before]
        added = [{"_id": "3", "v": 'a,"3\n', "w": "", "new": ""}, {"_id": "4", "v": 'a,"4\n', "w": "", "new": "x"}]
    assert after == before + added
    assert list(folder.glob("*.parts-*")) == []
    assert replay(call, run).code == 0
    assert target_rows(folder / target) == after


def test_long_rows_are_read_again_from_the_source(call: Call, folder: Path) -> None:
    """What is kept of a refused row is cut; what is written is the row."""
    make_table("CREATE TABLE t (_id INTEGER PRIMARY KEY, v INTEGER, w TEXT)")
    long = "ü" * 9_000
    made = write_lines(folder / "s.ndjson", '{"_id":1,"v":1,"w":"x"}', f'{{"_id":2,"w":"{long}","v":"2x"}}')
    result = migrate(call, str(made), "sqlite:///t.db#t", "--mode", "append")
    assert len(rejects(call, result)[0]["row"]) == 1024
    assert replay(call, result.summary["runs"][0]["run"], "--map", write_map()).code == 0
    assert rows() == [(1, 1, "x"), (2, None, long)]


def test_hidden_values_stay_hidden_and_their_rows_are_replayed(call: Call, folder: Path) -> None:
    make_table("CREATE TABLE t (_id INTEGER PRIMARY KEY, v INTEGER, password TEXT)")
    lines = [f'{{"_id":{n},"password":"secret{n}","v":"{n}x"}}' for n in range(3)]
    made = write_lines(folder / "s.ndjson", '{"_id":9,"password":"p","v":1}', *lines)
    result = migrate(call, str(made), "sqlite:///t.db#t", "--mode", "append", "--transform", "hash:password")
    run = result.summary["runs"][0]["run"]
    call("runs", "rejects", run, "--export", "bad.ndjson", "--workspace", "w.db")
    assert "secret" not in Path("bad.ndjson").read_text()
    assert "***" in Path("bad.ndjson").read_text()
    assert replay(call, run, "--map", write_map()).code == 0
    assert {len(password) for _, _, password in rows()} == {64}
    assert len(rows()) == 4


def test_transforms_that_drop_and_add_rows_do_so_in_a_replay(call: Call, folder: Path) -> None:
    first = module(
        "def rows(row):\n"
        "    if row['_id'] in (1, 2, 3): raise ValueError('bad')\n"
        "    return [row, {**row, '_id': row['_id'] + 100}]\n"
    )
    then = module(
        "def rows(row):\n"
        "    if row['_id'] == 1: return None\n"
        "    return row if row['_id'] == 2 else [row, {**row, '_id': row['_id'] + 100}]\n"
    )
    made = write_lines(folder / "s.ndjson", *[f'{{"_id":{n}}}' for n in range(5)])
    result = migrate(call, str(made), "sqlite:///t.db#t", "--transform", f"python:{first}:rows")
    run = result.summary["runs"][0]["run"]
    assert len(rows()) == 4
    Path("book.toml").write_text(
        '[[migration]]\nname = "t"\nsource = "s.ndjson"\ntarget = "sqlite:///t.db#t"\n'
        'transform = [{ kind = "python", function = "' + then + ':rows" }]\n'
    )
    replayed = replay(call, run, "--runbook", "book.toml")
    assert replayed.code == 1, replayed
    (ended,) = replayed.summary["runs"]
    assert (ended["rows_read"], ended["rows"], ended["rejects"], ended["dropped"]) == (3, 1, 1, 1)
    assert sorted(n for (n,) in rows()) == [0, 2, 4, 100, 104]
    (left,) = listed(call, run)
    assert left["line"] == 4
    assert "several rows are made of this one" in left["reason"]


def test_rows_of_which_some_are_in_the_target_are_not_doubled(call: Call, folder: Path) -> None:
    """Of three rows made of one, one was refused: without a key the others would be written again."""
    make = module("def rows(row):\n    return [row, {**row, 'v': 'x'}, row] if row['_id'] == 1 else row\n")
    make_table("CREATE TABLE t (_id INTEGER, v INTEGER)")
    made = write_lines(folder / "s.ndjson", '{"_id":0,"v":1}', '{"_id":1,"v":2}')
    options = ("--mode", "append", "--transform", f"python:{make}:rows")
    result = migrate(call, str(made), "sqlite:///t.db#t", *options)
    run = result.summary["runs"][0]["run"]
    there = rows()
    assert sorted(there) == [(0, 1), (1, 2), (1, 2)]
    for _ in range(2):
        assert replay(call, run, "--map", write_map()).code == 1
        assert rows() == there
        assert len(listed(call, run)) == 1


def test_a_source_that_is_gone_or_another_is_refused_before_the_first_write(call: Call, folder: Path) -> None:
    _, run = refused_run(call, folder)
    made = folder / "s.ndjson"
    content, there = made.read_bytes(), rows("t.db", "SELECT * FROM _streamconsole_windows")
    again = ("runs", "retry", run, "--rejects", "--map", write_map(), "--no-ui", "--workspace", "w.db")
    made.write_bytes(content + b'{"_id":99}\n')
    assert_refused(call(*again), "s.ndjson", "has changed", "start a new run")
    made.unlink()
    assert_refused(call(*again), "s.ndjson")
    made.write_bytes(content)
    Path("map.toml").write_text('[nobody]\nrename = "x"\n')
    assert rows("t.db", "SELECT * FROM _streamconsole_windows") == there
    assert len(rows("w.db", "SELECT id FROM runs")) == 1


def test_a_target_that_is_gone_is_not_made_anew(call: Call, folder: Path) -> None:
    _, run = refused_run(call, folder)
    Path("t.db").unlink()
    again = ("runs", "retry", run, "--rejects", "--no-ui", "--workspace", "w.db")
    assert_refused(call(*again), "t.db", "does not exist any more")
    make_table()
    assert_refused(call(*again), "has no ledger of run")
    assert rows() == []


def test_rows_of_a_database_that_are_others_now_are_not_taken_for_those_refused(call: Call, folder: Path) -> None:
    with closing(sqlite3.connect("s.db")) as connection:
        connection.execute("CREATE TABLE s (id INTEGER PRIMARY KEY, v)")
        connection.executemany("INSERT INTO s VALUES (?, ?)", [(n, f"{n}x" if n in (3, 5, 7) else n) for n in range(9)])
        connection.commit()
    make_table("CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER)")
    result = migrate(call, "sqlite:///s.db#s", "sqlite:///t.db#t", "--mode", "append")
    assert result.code == 1, result
    run = result.summary["runs"][0]["run"]
    assert [each["line"] for each in listed(call, run)] == [4, 6, 8]
    with closing(sqlite3.connect("s.db")) as connection:
        # The row before the second one is gone: all that follow move up.
        connection.execute("DELETE FROM s WHERE id = 4")
        connection.commit()
    there = rows()
    mended = replay(call, run, "--map", write_map())
    assert mended.code == 1, mended
    assert sorted(rows()) == sorted([*there, (3, None)])
    assert [each["reason"] for each in listed(call, run)] == ["the source has another row in this place now"] * 2
    assert [json.loads(each["row"])["id"] for each in listed(call, run)] == [5, 7]


def test_a_run_that_is_no_completed_migration_has_nothing_to_replay(call: Call, folder: Path) -> None:
    source(folder)
    make_table()
    options = ("--mode", "append", "--window-rows", "10", "--max-rejects", "0", "--workers", "1")
    stopped = migrate(call, "s.ndjson", "sqlite:///t.db#t", *options)
    run = stopped.summary["runs"][0]["run"]
    where = ("--no-ui", "--workspace", "w.db")
    assert_refused(call("runs", "retry", run, "--rejects", *where), "is paused", "once it is completed")
    assert_refused(call("runs", "retry", run, "--map", "x", *where), "--rejects")
    assert_refused(call("runs", "retry", run, "--rejects", "--window", "2", *where), "--window")


def test_failed_windows_of_a_file_come_before_its_refused_rows(
    call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parts of such a run are joined again: what was added meanwhile would be gone."""
    made = write_lines(folder / "s.ndjson", '{"_id":1}', "{", '{"_id":2}', '{"_id":3}')
    Path("check.py").write_text(
        "import sys, os\nlines = sys.stdin.read()\nprint(lines, end='')\n"
        "sys.exit('3' in lines and os.path.exists('fail'))\n"
    )
    Path("fail").touch()
    options = ("--window-rows", "2", "--transform", f"exec:{sys.executable} check.py")
    result = migrate(call, str(made), "o.ndjson", *options)
    run = result.summary["runs"][0]["run"]
    assert result.summary["runs"][0]["units"]["failed"] == 1
    where = ("--no-ui", "--workspace", "w.db")
    assert_refused(call("runs", "retry", run, "--rejects", *where), f"runs retry {run}", "first")
    Path("fail").unlink()
    assert call("runs", "retry", run, *where).code == 1
    assert replay(call, run).code == 1
    assert Path("o.ndjson").read_text() == '{"_id":1}\n{"_id":2}\n{"_id":3}\n'


def test_runs_are_listed_by_state_and_windows_too(call: Call, folder: Path) -> None:
    _, run = refused_run(call, folder)
    assert len(runs(call, "list", "--state", "completed").out.splitlines()) == 1
    assert runs(call, "list", "--state", "failure,paused").out == ""
    assert replay(call, run).code == 1
    assert len(runs(call, "list", "--limit", "1").out.splitlines()) == 1
    assert runs(call, "history", run, "--state", "failed").out == ""
    assert len(runs(call, "history", run, "--state", "completed", "--state", "failed").out.splitlines()) == 6
    assert_refused(call("runs", "list", "--state", "broken", "--workspace", "w.db"), "broken", "completed")


def test_prune_keeps_what_is_asked_for(call: Call, folder: Path) -> None:
    made = write_lines(folder / "s.ndjson", *[f'{{"_id":{n}}}' for n in range(2_000)])
    ids = []
    for number in range(4):
        result = migrate(call, str(made), f"sqlite:///t.db#t{number}", "--window-rows", "10")
        ids.append(result.summary["runs"][0]["run"])
    prune = ("prune", "--workspace", "w.db")
    assert call("runs", *prune, "--older-than", "1d").out == "removed 0 runs\n"
    dry = call("runs", *prune, "--keep", "3", "--dry-run")
    assert dry.out == f"would remove 1 run: {ids[0]}\n"
    gone = json.loads(runs(call, "prune", "--keep", "2").out)
    assert sorted(gone["runs"]) == sorted(ids[:2])
    assert gone["bytes"] > 10_000
    assert [each["run"] for each in map(json.loads, runs(call, "list").out.splitlines())] == ids[:1:-1]
    assert call("runs", *prune, "--state", "failure,paused").out == "removed 0 runs\n"
    told = call("runs", *prune, "--older-than", "0h", "--state", "completed")
    assert "bytes are free again" in told.out
    assert runs(call, "list").out == ""
    assert rows("w.db", "SELECT (SELECT count(*) FROM windows), (SELECT count(*) FROM events)") == [(0, 0)]
    assert_refused(call("runs", *prune), "--keep")
    assert_refused(call("runs", *prune, "--older-than", "soon"), "soon")


@pytest.mark.parametrize("target", ["sqlite:///t.db#t", "o.ndjson", "o.csv.gz"])
def test_a_run_whose_refused_rows_were_replayed_is_verified_with_them(target: str, call: Call, folder: Path) -> None:
    """Each row is compared as the run, or the replay, made it: by their own mappings."""
    lines = [f'{{"_id":{n},"v":{n},"w":"w"}}' for n in range(20)]
    lines[7], lines[13] = '{"_id":7,"v":"7x","w":"w"}', '{"_id":13,"v":"13x","w":"w"}'
    made = write_lines(folder / "s.ndjson", *lines)
    options = ("--map", write_map('[v]\ntype = "integer"\n'), "--window-rows", "5", "--key", "_id")
    result = migrate(call, str(made), target, *options)
    run = result.summary["runs"][0]["run"]
    assert replay(call, run, "--map", write_map('[v]\ntype = "text"\n[w]\ndrop = true\n')).code == 0
    checked = call("verify", run, "--json", "--workspace", "w.db")
    assert checked.code == 0, checked
    assert checked.summary["runs"][0]["rows_read"] == 20
    replayed = str(rows("w.db", "SELECT id FROM runs WHERE id LIKE 'replay-%'")[0][0])
    assert_refused(call("verify", replayed, "--no-ui", "--workspace", "w.db"), run, "verify that one")
    if target.startswith("sqlite"):
        make_table("UPDATE t SET w = 'w' WHERE _id = 13")
        assert call("verify", run, "--json", "--workspace", "w.db").code == 1


def test_any_database_takes_replayed_rows(call: Call, folder: Path) -> None:
    """The target that goes by SQLAlchemy alone; its columns are widened for them, too."""
    lines = [f'{{"_id":{n},"v":{n}}}' for n in range(20)]
    lines[4], lines[11] = '{"_id":4,"v":"4x"}', "[11]"
    made = write_lines(folder / "s.ndjson", *lines)
    options = ("--map", write_map('[v]\ntype = "integer"\n'), "--window-rows", "5")
    result = migrate(call, str(made), "sqlite+pysqlite:///t.db#t", *options)
    run = result.summary["runs"][0]["run"]
    assert len(listed(call, run)) == 2
    mended = replay(call, run, "--map", write_map('[v]\ntype = "text"\n'))
    assert mended.code == 1, mended
    assert [each["line"] for each in listed(call, run)] == [12]
    assert rows(statement="SELECT v FROM t WHERE _id = 4") == [("4x",)]
    assert len(rows()) == 19
    ledger = rows(statement=f"SELECT sum(rows_read), sum(rows_written), sum(rejects) FROM {LEDGER} WHERE run = '{run}'")
    assert ledger == [(20, 19, 1)]
    assert replay(call, run, "--map", "map.toml").code == 1
    assert len(rows()) == 19


def test_a_wider_type_is_made_for_replayed_rows(call: Call, folder: Path) -> None:
    lines = [f'{{"_id":{n},"v":{n}}}' for n in range(20)]
    lines[4] = '{"_id":4,"v":"4x","late":[1]}'
    made = write_lines(folder / "s.ndjson", *lines)
    options = ("--map", write_map('[v]\ntype = "integer"\n'), "--window-rows", "5")
    result = migrate(call, str(made), "sqlite:///t.db#t", *options)
    assert replay(call, result.summary["runs"][0]["run"], "--map", write_map("[_id]\n")).code == 0
    assert rows(statement="SELECT v, late FROM t WHERE _id IN (3, 4) ORDER BY _id") == [("3", None), ("4x", "[1]")]
    assert rows(statement="SELECT DISTINCT typeof(v) FROM t") == [("text",)]


def test_a_run_that_asks_for_it_is_verified_after_its_replay(call: Call, folder: Path) -> None:
    _, run = refused_run(call, folder, "--verify")
    mended = replay(call, run, "--map", write_map())
    assert mended.code == 0, mended
    replayed, verified = mended.summary["runs"]
    assert (replayed["replays"], verified["verifies"]) == (run, run)
    assert verified["rows_read"] == ROWS
    assert len(rows("w.db", "SELECT id FROM runs WHERE id LIKE 'verify-%'")) == 2


def test_what_somebody_works_on_is_left_alone(call: Call, folder: Path) -> None:
    """A replay owns both runs: neither is replayed again, verified, retried or removed meanwhile."""
    _, run = refused_run(call, folder)
    write_map()
    where = ("--no-ui", "--workspace", "w.db")
    again = ("runs", "retry", run, "--rejects", "--map", "map.toml", *where)
    with running(*again, cwd=folder, faults="hang@replay.before_hand_over"):
        wait_until(lambda: ledger(folder / "t.db").keys() - {run}, "replayed windows")
        wait_until(lambda: len(rows()) == ROWS, "all rows")
        (replayed,) = ledger(folder / "t.db").keys() - {run}
        assert_refused(call(*again), run, "is held by")
        assert_refused(call("verify", run, *where), "once its refused rows are replayed")
        for each in (run, replayed):
            assert_refused(call("runs", "prune", each, *where), each)
        everything = ("--state", ",".join(state.value for state in RunState), "--older-than", "0")
        assert json.loads(runs(call, "prune", *everything).out)["runs"] == []
    assert call(*again).code == 0
    assert len(rows()) == ROWS
    assert listed(call, run) == []
