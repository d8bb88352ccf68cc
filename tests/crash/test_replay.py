"""A replay of refused rows that is killed: the same command again, and no row is lost or doubled."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.crash.outcome import Outcome, differences, dump, outcome_of
from tests.program import Result, run

WINDOWS = 120
ROWS = 10 * WINDOWS
TARGETS = ("target.db", "target.ndjson", "target.csv.gz", "target.json")
POINTS = (
    "window.after_claim:15",
    "window.after_write:25",
    "window.before_commit:35",
    "window.after_commit:45",
    "window.before_ledger:55",
    "window.after_ledger:65",
)
OPTIONS = ("--no-ui", "--workspace", "w.db")


def begin(folder: Path, target: str, *options: str) -> str:
    """A completed run that has refused a row or two in each window; gives its id."""
    folder.mkdir(exist_ok=True)
    bad = "".join(
        f'{{"_id":{n},"v":{n if n % 7 else chr(34) + "x" + str(n) + chr(34)},"w":"w{n}"}}\n' for n in range(ROWS)
    )
    (folder / "s.ndjson").write_text(bad)
    # What is asked for as a whole number and is none is refused; as a text all of it fits, but for one.
    (folder / "first.toml").write_text('[v]\ntype = "integer"\n')
    (folder / "mended.toml").write_text('[v]\ntype = "text"\n')
    where = f"sqlite:///{target}#t" if target.endswith(".db") else target
    sizes = ("--window-rows", "10", "--workers", "2", "--map", "first.toml", "--name", "moved")
    moved = run("migrate", "s.ndjson", where, *sizes, *options, *OPTIONS, cwd=folder)
    assert moved.code == 1, moved
    return str(ask(folder, "SELECT id FROM runs")[0][0])


def ask(folder: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(folder / "w.db")) as connection:
        return connection.execute(statement).fetchall()


def again(folder: Path, moved: str, faults: str = "") -> Result:
    return run("runs", "retry", moved, "--rejects", "--map", "mended.toml", *OPTIONS, cwd=folder, faults=faults)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Outcome]:
    """What a replay leaves that nothing interrupts."""
    known: dict[str, Outcome] = {}

    def work_out(target: str) -> Outcome:
        if target not in known:
            folder = tmp_path_factory.mktemp("uninterrupted")
            moved = begin(folder, target)
            before = outcome_of(folder / target, folder / "w.db", moved)
            assert len(before.rejects) > WINDOWS
            ended = again(folder, moved)
            assert ended.code == 0, ended
            known[target] = outcome_of(folder / target, folder / "w.db", moved)
            assert known[target].rows.total() == ROWS
            assert known[target].rejects == []
        return known[target]

    return work_out


@pytest.mark.parametrize("target", TARGETS)
def test_a_replay_killed_at_every_point_in_turn(
    target: str, tmp_path: Path, uninterrupted: Callable[[str], Outcome]
) -> None:
    moved = begin(tmp_path, target)
    ends = ("replay.before_hand_over", "replay.handed_over")
    joins = () if target.endswith(".db") else ("target.before_join", "target.after_join")
    points = POINTS if target in TARGETS[:2] else POINTS[3:4]
    for point in (*points, *joins, *ends):
        assert again(tmp_path, moved, f"kill@{point}").killed, point
    replays = ask(tmp_path, "SELECT id FROM runs WHERE name LIKE 'replay%'")
    assert len(replays) == 1, "the one that was begun goes on"
    left = ask(tmp_path, f"SELECT count(*) FROM rejects WHERE run = '{moved}'")[0][0]
    assert 0 < int(str(left)) < ROWS // 7, "some windows are handed over, others are not"
    ended = again(tmp_path, moved)
    assert ended.code == 0, ended
    assert differences(uninterrupted(target), outcome_of(tmp_path / target, tmp_path / "w.db", moved)) == []
    assert ask(tmp_path, "SELECT count(*) FROM rejects") == [(0,)]
    assert sorted(path.name for path in tmp_path.glob("target*")) == [target]
    before = dump(tmp_path / target, tmp_path / "w.db")
    once_more = again(tmp_path, moved)
    assert once_more.code == 0, once_more
    assert "nothing is left to do" in once_more.err
    assert dump(tmp_path / target, tmp_path / "w.db") == before


@pytest.mark.parametrize("target", ["target.db", "target.ndjson"])
def test_a_replay_that_was_cancelled_goes_on_where_it_was(
    target: str, tmp_path: Path, uninterrupted: Callable[[str], Outcome]
) -> None:
    """What it has written is known to it alone: another one would write it twice."""
    moved = begin(tmp_path, target)
    assert again(tmp_path, moved, "kill@window.after_commit:60").killed
    replay = str(ask(tmp_path, "SELECT id FROM runs WHERE name LIKE 'replay%'")[0][0])
    assert run("runs", "cancel", replay, *OPTIONS, cwd=tmp_path).code == 0
    kept = run("runs", "prune", replay, *OPTIONS, cwd=tmp_path)
    assert kept.code == 2, kept
    assert run("runs", "prune", "--older-than", "0", *OPTIONS, cwd=tmp_path).code == 0
    assert len(ask(tmp_path, "SELECT id FROM runs")) == 2
    ended = again(tmp_path, moved)
    assert ended.code == 0, ended
    assert differences(uninterrupted(target), outcome_of(tmp_path / target, tmp_path / "w.db", moved)) == []


def test_a_replay_resumed_as_any_other_run(tmp_path: Path, uninterrupted: Callable[[str], Outcome]) -> None:
    moved = begin(tmp_path, "target.db")
    assert again(tmp_path, moved, "kill@window.before_ledger:60").killed
    replay = str(ask(tmp_path, "SELECT id FROM runs WHERE name LIKE 'replay%'")[0][0])
    ended = run("runs", "resume", replay, *OPTIONS, cwd=tmp_path)
    assert ended.code == 0, ended
    found = outcome_of(tmp_path / "target.db", tmp_path / "w.db", moved)
    assert differences(uninterrupted("target.db"), found) == []


def test_a_window_that_failed_in_a_replay_by_children_is_done_by_the_next_call(
    tmp_path: Path, uninterrupted: Callable[[str], Outcome]
) -> None:
    """Every child that tries the window dies; what the others have written is handed over all the same."""
    moved = begin(tmp_path, "target.db", "--writers", "2")
    ended = again(tmp_path, moved, "kill-child@window.before_commit:40")
    assert ended.code == 1, ended
    assert "a child process died" in ended.err
    assert "1 window failed" in ended.out
    assert ask(tmp_path, 'SELECT DISTINCT "window" FROM rejects') == [(40,)]
    mended = again(tmp_path, moved)
    assert mended.code == 0, mended
    assert len(ask(tmp_path, "SELECT id FROM runs WHERE name LIKE 'replay%'")) == 1
    found = outcome_of(tmp_path / "target.db", tmp_path / "w.db", moved)
    assert differences(uninterrupted("target.db"), found) == []
