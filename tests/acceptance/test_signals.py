"""Signals without a screen: drained, saved, resumable, and the program says with which command."""

from __future__ import annotations

import re
import shlex
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.program import committed, finish, run, running, start, wait_until

ROWS = 20_000
MIGRATE = (
    *("migrate", f"generate://orders?count={ROWS}", "sqlite:///target.db#t"),
    *("--window-rows", "100", "--no-ui", "--workspace", "w.db"),
)


@contextmanager
def in_the_middle(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The program with something done and something left."""
    with running(*MIGRATE, *options, cwd=folder) as process:
        wait_until(lambda: committed(folder / "target.db"), "a window is committed")
        yield process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_drains_and_the_named_command_resumes(number: signal.Signals, tmp_path: Path) -> None:
    with in_the_middle(tmp_path) as process:
        process.send_signal(number)
        result = finish(process)
    assert result.code == 128 + number, result
    assert "Traceback" not in result.err
    done = committed(tmp_path / "target.db")
    assert 0 < done < ROWS / 100
    assert "running" not in states(tmp_path), "what was active finishes"
    resumed = run(*command_in(result.out), "--no-ui", "--workspace", "w.db", cwd=tmp_path)
    assert resumed.code == 0, resumed
    assert rows(tmp_path) == ROWS


def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    with running(*MIGRATE, cwd=tmp_path, faults="hang@window.after_write:20") as process:
        # The window's thread waits for ever, so a drain never ends by itself.
        wait_until(lambda: committed(tmp_path / "target.db") > 0, "a window is committed")
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        wait_until(lambda: "once more" in process.stderr.readline(), "it says that it is stopping")  # type: ignore[union-attr]
        process.send_signal(signal.SIGTERM)
        result = finish(process, within=5.0)
    assert result.code == 143, result


def test_what_does_not_finish_in_time_is_handed_back(tmp_path: Path) -> None:
    """The source's rows are slow to make: the windows are larger than the time they get."""
    large = ("migrate", "generate://orders?count=400000", "sqlite:///target.db#t", "--window-rows", "100000")
    with running(*large, "--no-ui", "--workspace", "w.db", "--drain-timeout", "0", cwd=tmp_path) as process:
        wait_until(lambda: "running" in states(tmp_path), "a window is begun")
        process.send_signal(signal.SIGTERM)
        result = finish(process)
    assert result.code == 143, result
    assert "did not finish in time" in result.err
    assert "Traceback" not in result.err
    assert states(tmp_path) == {"pending"}
    assert command_in(result.out)[:2] == ["runs", "resume"]


def test_a_signal_before_the_first_window_is_not_lost(tmp_path: Path) -> None:
    """The target is locked by another program, so that the run is caught while it is being made ready."""
    with closing(sqlite3.connect(tmp_path / "target.db", isolation_level=None)) as other:
        other.execute("CREATE TABLE other (a)")
        with running(*MIGRATE, cwd=tmp_path) as process:
            wait_until(lambda: claimed(tmp_path), "the run is claimed")
            other.execute("BEGIN IMMEDIATE")
            process.send_signal(signal.SIGTERM)
            assert process.stderr is not None
            wait_until(lambda: "once more" in process.stderr.readline(), "it says that it is stopping")  # type: ignore[union-attr]
            other.execute("ROLLBACK")
            result = finish(process)
    assert result.code == 143, result
    assert committed(tmp_path / "target.db") < ROWS / 100


def test_a_lost_terminal_does_not_stop_the_work(tmp_path: Path) -> None:
    with in_the_middle(tmp_path) as process:
        process.send_signal(signal.SIGHUP)
        result = finish(process)
    assert result.code == 0, result
    assert rows(tmp_path) == ROWS


def test_a_lost_terminal_drains_when_asked_to(tmp_path: Path) -> None:
    with in_the_middle(tmp_path, "--on-hangup", "drain") as process:
        process.send_signal(signal.SIGHUP)
        result = finish(process)
    assert result.code == 129, result
    assert "resume" in result.out
    assert 0 < committed(tmp_path / "target.db") < ROWS / 100


def test_a_reader_that_goes_away_does_no_harm(tmp_path: Path) -> None:
    process = start(*MIGRATE, "--json", cwd=tmp_path)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    result = finish(process)
    assert "Traceback" not in result.err
    assert "Exception" not in result.err
    assert result.code in (0, 141), result


def command_in(text: str) -> list[str]:
    """The arguments of the command that a text tells to resume with."""
    found = re.search(r"`streamconsole (.*?)`", text)
    assert found, text
    return shlex.split(found[1])


def states(folder: Path) -> set[str]:
    return {str(state) for (state,) in _of_workspace(folder, "SELECT DISTINCT state FROM windows")}


def claimed(folder: Path) -> bool:
    return bool(_of_workspace(folder, "SELECT 1 FROM runs WHERE owner IS NOT NULL"))


def rows(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "target.db")) as connection:
        return int(connection.execute("SELECT count(*) FROM t").fetchone()[0])


def _of_workspace(folder: Path, statement: str) -> list[tuple[object, ...]]:
    try:
        with closing(sqlite3.connect(f"file:{folder / 'w.db'}?mode=ro", uri=True)) as connection:
            return connection.execute(statement).fetchall()
    except sqlite3.OperationalError:
        return []
