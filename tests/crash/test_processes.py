"""Child processes and their parent: neither outlives nor stops the other."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

from tests.crash.conftest import Uninterrupted
from tests.crash.inputs import LARGE
from tests.crash.interrupting import Attempt
from tests.crash.outcome import differences
from tests.program import committed, descendants, is_gone, wait_until


def test_children_are_gone_when_their_parent_is_killed(tmp_path: Path, uninterrupted: Uninterrupted) -> None:
    attempt = Attempt(LARGE, tmp_path)
    process = attempt.begin()
    wait_until(lambda: committed(attempt.target), "a window is committed")
    children = descendants(process.pid)
    assert children, "nothing was moved by a child"
    process.kill()
    process.wait()
    wait_until(lambda: all(map(is_gone, children)), "the children are gone", within=2.0)
    attempt.end(process)
    assert differences(uninterrupted(LARGE)[0], attempt.complete()) == []


def test_a_killed_child_costs_only_another_attempt(
    crash_count: int, tmp_path: Path, uninterrupted: Uninterrupted
) -> None:
    """Wherever it is hit: at its work, or in the middle of its answer."""
    attempt = Attempt(LARGE, tmp_path)
    process = attempt.begin()
    for kills in range(min(crash_count, 10)):
        wait_until(partial(_has_more_than, attempt, 10 * kills), "windows are committed")
        if process.poll() is None:
            os.kill(_moving(process.pid), signal.SIGKILL)
    result = attempt.end(process)
    assert result.code == 0, result
    assert "a child process died" in result.err
    assert "Traceback" not in result.err
    assert _attempts(attempt) > 1
    assert differences(uninterrupted(LARGE)[0], attempt.outcome()) == []


def _has_more_than(attempt: Attempt, windows: int) -> bool:
    return committed(attempt.target) > windows


def _moving(parent: int) -> int:
    """A child that moves windows, not the one that only tidies up after the others."""
    found: list[int] = []

    def look() -> bool:
        for child in descendants(parent):
            with suppress(OSError):
                if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.append(child)
        return bool(found)

    wait_until(look, "a child is at work")
    return found[0]


def _attempts(attempt: Attempt) -> int:
    with closing(sqlite3.connect(attempt.workspace)) as connection:
        return int(connection.execute("SELECT max(attempt) FROM windows").fetchone()[0])
