"""What goes wrong in mid-run: exit status 3 and what is committed stays, or a failed window and 1."""

from __future__ import annotations

import json
import os
import re
import shlex
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from streamconsole.engines.migration.targets import sqlite_window
from streamconsole.engines.workspace import sqlite as workspace_file
from streamconsole.engines.workspace import writer
from tests.acceptance.calling import Call, assert_refused, rows
from tests.program import PROGRAM, Result, committed, finish, run, running, wait_until

ROWS = 12_000
PLACES = ("--no-ui", "--workspace", "w.db")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_source(tmp_path / "source.ndjson", ROWS)


def write_source(path: Path, count: int, padding: int = 100) -> Path:
    with path.open("w") as file:
        for number in range(count):
            file.write(f'{{"_id":{number},"text":"{number % 10}{"x" * padding}"}}\n')
    return path


@contextmanager
def in_the_middle(source: Path, target: str = "sqlite:///t.db#t", *options: str) -> Iterator[subprocess.Popen[str]]:
    """A migration with something done and something left."""
    arguments = ("migrate", str(source), target, "--window-rows", "50", *options, *PLACES)
    path = source.parent / target.removeprefix("sqlite:///").partition("#")[0]
    with running(*arguments, cwd=source.parent) as process:
        wait_until(lambda: committed(path), "a window is committed")
        yield process


def assert_lost(result: Result, *words: str) -> str:
    """Exit status 3, told why, nothing spilled; gives the command that the output says to resume it with."""
    assert result.code == 3, result
    assert "Traceback" not in result.err
    told = [line for line in result.err.splitlines() if line.startswith("streamconsole: ")]
    assert len(told) == 1, result.err
    for word in words:
        assert word in told[0]
    found = re.search(r"`streamconsole (runs resume .*?)`", result.out)
    assert found, result.out
    return found[1]


def resume(command: str, folder: Path) -> Result:
    return run(*shlex.split(command), "--no-ui", cwd=folder)


def count(folder: Path, name: str = "t.db") -> int:
    return int(rows(folder / name, "SELECT count(*) FROM t")[0][0])


# A side is gone ---------------------------------------------------------------------------------


@pytest.mark.parametrize("padding", [100, 1_900], ids=["read by a thread", "read by a process"])
def test_the_source_is_removed(padding: int, tmp_path: Path) -> None:
    source = write_source(tmp_path / "source.ndjson", ROWS, padding)
    with in_the_middle(source) as process:
        source.rename(tmp_path / "elsewhere")
        command = assert_lost(finish(process), "source.ndjson cannot be read any more")
    assert 0 < committed(tmp_path / "t.db") < ROWS / 50
    (tmp_path / "elsewhere").rename(source)
    assert resume(command, tmp_path).code == 0
    assert count(tmp_path) == ROWS


def test_the_source_is_truncated(source: Path, tmp_path: Path) -> None:
    with in_the_middle(source) as process:
        os.truncate(source, 500)
        result = finish(process)
    command = assert_lost(result, "source.ndjson", "shorter")
    done = count(tmp_path)
    assert 0 < done < ROWS
    again = resume(command, tmp_path)
    assert again.code == 2, again
    assert "source.ndjson has changed since" in again.err
    assert "size" in again.err
    assert count(tmp_path) == done


@pytest.mark.parametrize("change", ["appended to", "rewritten", "touched"])
def test_the_source_has_changed_when_the_run_is_resumed(change: str, source: Path, tmp_path: Path) -> None:
    with in_the_middle(source) as process:
        process.kill()
        finish(process)
    if change == "appended to":
        with source.open("a") as file:
            file.write("{}\n")
    elif change == "rewritten":
        source.write_bytes(source.read_bytes().replace(b"x", b"y"))
    else:
        os.utime(source, ns=(1, 1))
    name = str(rows(tmp_path / "w.db", "SELECT id FROM runs")[0][0])
    done = count(tmp_path)
    refused = run("migrate", "--resume", name, *PLACES, cwd=tmp_path)
    assert refused.code == 2, refused
    assert len(refused.err.splitlines()) == 1
    assert "has changed since" in refused.err
    assert {"appended to": "size", "rewritten": "sha256", "touched": "mtime_ns"}[change] in refused.err
    assert count(tmp_path) == done


def test_the_target_is_deleted(source: Path, tmp_path: Path) -> None:
    with in_the_middle(source) as process:
        for path in tmp_path.glob("t.db*"):
            path.unlink(missing_ok=True)
        result = finish(process)
    command = assert_lost(result, "t.db was removed or replaced")
    again = resume(command, tmp_path)
    assert again.code == 0, again
    assert count(tmp_path) == ROWS, "what went with the file is done again"


def test_the_parts_are_deleted(source: Path, tmp_path: Path) -> None:
    with in_the_middle(source, "t.ndjson") as process:
        (parts,) = tmp_path.glob("t.ndjson.parts-*")
        parts.rename(tmp_path / "gone")
        result = finish(process)
    command = assert_lost(result, "t.ndjson")
    assert resume(command, tmp_path).code == 0
    assert len((tmp_path / "t.ndjson").read_bytes().splitlines()) == ROWS


# No space ---------------------------------------------------------------------------------------


def mounted(folder: Path, megabytes: float) -> bool:
    """Mount a small disk there, where that is allowed."""
    folder.mkdir()
    options = f"size={int(megabytes * 2**20)}"
    return os.geteuid() == 0 and _mount("-t", "tmpfs", "-o", options, "tmpfs", str(folder))


def grow(folder: Path) -> bool:
    return _mount("-o", "remount,size=64m", str(folder))


def _mount(*arguments: str) -> bool:
    try:
        return subprocess.run(["mount", *arguments], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[float], Path]]:
    disk = tmp_path / "disk"

    def make(megabytes: float) -> Path:
        if not mounted(disk, megabytes):
            pytest.skip("mount: a small disk needs root and tmpfs")
        return disk

    yield make
    subprocess.run(["umount", str(disk)], capture_output=True)


@pytest.mark.parametrize("target", ["sqlite:///disk/t.db#t", "disk/t.ndjson"], ids=["table", "file"])
def test_the_targets_disk_is_full(
    target: str, source: Path, tmp_path: Path, small_disk: Callable[[float], Path]
) -> None:
    disk = small_disk(1)
    result = run("migrate", str(source), target, "--window-rows", "200", *PLACES, cwd=tmp_path)
    command = assert_lost(result, "the disk that holds", "is full: free some space, then resume")
    path = disk / ("t.db" if "sqlite" in target else "t.ndjson")
    assert 0 < committed(path) < ROWS / 200
    assert grow(disk)
    again = resume(command, tmp_path)
    assert again.code == 0, again
    found = count(disk) if path.suffix == ".db" else len(path.read_bytes().splitlines())
    assert found == ROWS


def test_the_workspaces_disk_is_full(source: Path, tmp_path: Path, small_disk: Callable[[float], Path]) -> None:
    disk = small_disk(0.5)
    arguments = ("migrate", str(source), "sqlite:///t.db#t", "--window-rows", "10", "--no-ui")
    result = run(*arguments, "--workspace", "disk/w.db", cwd=tmp_path)
    assert 0 < committed(tmp_path / "t.db") < ROWS / 10
    assert grow(disk)
    again = resume(assert_lost(result, "the disk that holds workspace", "is full"), tmp_path)
    assert again.code == 0, again
    assert count(tmp_path) == ROWS


@pytest.mark.parametrize("target", ["sqlite:///t.db#t", "t.ndjson"], ids=["table", "file"])
def test_a_file_may_not_grow_any_more(target: str, source: Path, tmp_path: Path) -> None:
    """A quota, seen through a limit on the size of files."""
    limited = ("sh", "-c", 'ulimit -f 1500 && exec "$@"', "sh", *PROGRAM)
    arguments = ("migrate", str(source), target, "--window-rows", "2000", *PLACES)
    if target.endswith(".ndjson"):
        # A part is small; it is the joined file that is too large.
        assert source.stat().st_size > 1500 * 512
    result = run(*arguments, cwd=tmp_path, program=limited)
    command = assert_lost(result, "t.db" if "sqlite" in target else "t.ndjson")
    assert resume(command, tmp_path).code == 0
    found = count(tmp_path) if "sqlite" in target else len((tmp_path / "t.ndjson").read_bytes().splitlines())
    assert found == ROWS


# Held by somebody else --------------------------------------------------------------------------


@contextmanager
def locked(path: Path) -> Iterator[sqlite3.Connection]:
    """Another program that keeps a file to itself."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


@pytest.mark.slow
def test_a_locked_target_fails_a_window_that_is_retried_later(source: Path, tmp_path: Path) -> None:
    (tmp_path / "book.toml").write_text(
        f"""
        [[migration]]
        name = "locked"
        source = "{source.name}"
        target = "sqlite:///t.db#t"
        workers = 1
        window_rows = 50
        retry = {{attempts = 1}}
        """
    )
    with running("book.toml", "--json", "--workspace", "w.db", cwd=tmp_path) as process:
        wait_until(lambda: committed(tmp_path / "t.db"), "a window is committed")
        with locked(tmp_path / "t.db"):
            wait_until(lambda: "failed" in states(tmp_path), "a window has failed")
        result = finish(process)
    assert result.code == 1, result
    (ended,) = result.summary["runs"]
    assert ended["status"] == "completed"
    assert ended["units"]["failed"] == 1
    (failed,) = [event for event in result.events if event["event"] == "WindowFailed"]
    assert "locked" in failed["message"]
    again = run("runs", "retry", ended["run"], *PLACES, cwd=tmp_path)
    assert again.code == 0, again
    assert count(tmp_path) == ROWS


def states(folder: Path) -> set[str]:
    try:
        return {str(state) for (state,) in rows(folder / "w.db", "SELECT DISTINCT state FROM windows")}
    except sqlite3.OperationalError:
        return set()


def test_failed_windows_are_kept_and_retried(source: Path, tmp_path: Path) -> None:
    arguments = ("migrate", str(source), "sqlite:///t.db#t", "--window-rows", "1000", "--json", "--workspace", "w.db")
    result = run(*arguments, cwd=tmp_path, faults="fail@window.after_write:3*3;fail@window.before_commit:7*3")
    assert result.code == 1, result
    (ended,) = result.summary["runs"]
    assert ended["units"] == {"completed": 10, "failed": 2, "pending": 0}
    assert count(tmp_path) == ROWS - 2000
    retried = run("runs", "retry", ended["run"], "--json", "--workspace", "w.db", cwd=tmp_path)
    assert retried.code == 0, retried
    done = [event["window"] for event in retried.events if event["event"] == "WindowCompleted"]
    assert sorted(done) == [3, 7], "just the failed ones"
    assert count(tmp_path) == ROWS


def test_a_passing_error_costs_only_another_attempt(source: Path, tmp_path: Path) -> None:
    arguments = ("migrate", str(source), "sqlite:///t.db#t", "--window-rows", "1000", "--json", "--workspace", "w.db")
    result = run(*arguments, cwd=tmp_path, faults="fail@window.after_write:3*2")
    assert result.code == 0, result
    assert [event["attempt"] for event in result.events if event["event"] == "WindowRetried"] == [1, 2]
    assert count(tmp_path) == ROWS


def test_a_workspace_locked_for_a_while_is_waited_for(source: Path, tmp_path: Path) -> None:
    with in_the_middle(source) as process:
        with locked(tmp_path / "w.db"):
            seen = committed(tmp_path / "t.db")
            assert process.poll() is None
        wait_until(lambda: committed(tmp_path / "t.db") > seen, "it goes on")
        result = finish(process)
    assert result.code == 0, result
    assert "is locked" not in result.err


@pytest.mark.parametrize("used", [False, True], ids=["new", "in use"])
def test_a_workspace_that_stays_locked(used: bool, source: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace_file, "BUSY_TIMEOUT_MS", 100)
    monkeypatch.setattr(writer, "PATIENCE", 0.3)
    if used:
        assert call("migrate", "generate://orders?count=1", "p.ndjson", *PLACES).code == 0
    with locked(Path("w.db")):
        refused = call("migrate", str(source), "t.ndjson", *PLACES)
    assert_refused(refused, "workspace", "another program")
    assert not Path("t.ndjson").exists()


def test_a_target_that_is_locked_from_the_start(source: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_window, "BUSY_TIMEOUT_S", 0.2)
    with closing(sqlite3.connect("t.db")) as connection:
        connection.execute("CREATE TABLE other (a)")
    with locked(Path("t.db")):
        refused = call("migrate", str(source), "sqlite:///t.db#t", *PLACES)
    assert_refused(refused, "t.db", "another program holds it")


def test_the_history_is_kept_beside_the_workspace_when_a_side_is_lost(source: Path, tmp_path: Path) -> None:
    arguments = ("migrate", str(source), "sqlite:///t.db#t", "--window-rows", "1000")
    result = run(*arguments, *PLACES, cwd=tmp_path, faults="lost@window.after_claim:6")
    assert_lost(result, "fault injected")
    (path,) = tmp_path.glob("history-*.json")
    assert path.stat().st_mode & 0o077 == 0
    history = json.loads(path.read_text())
    assert {window["state"] for window in history} == {"completed", "pending"}
