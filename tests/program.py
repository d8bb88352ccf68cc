"""The real program as a child process: started, waited for, signalled, killed."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

DATA = Path(__file__).parent / "data"

PROGRAM = (sys.executable, "-m", "streamconsole")

MOST_SECONDS = 60.0
"""However slow the machine, no single call of these tests takes longer."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a call of the program ended."""

    code: int
    out: str
    err: str

    @property
    def killed(self) -> bool:
        """Whether SIGKILL ended it."""
        return self.code == -signal.SIGKILL

    @property
    def events(self) -> list[dict[str, Any]]:
        """The JSON Lines on stdout."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def summary(self) -> dict[str, Any]:
        """The last of the JSON Lines."""
        return self.events[-1]


def start(
    *arguments: str,
    cwd: Path,
    faults: str = "",
    program: Sequence[str] = PROGRAM,
    env: Mapping[str, str] | None = None,
) -> subprocess.Popen[str]:
    """Start the program in a session of its own, so that no signal of ours reaches anybody else."""
    return subprocess.Popen(
        [*program, *arguments],
        cwd=cwd,
        env={**os.environ, "STREAMCONSOLE_FAULTS": faults, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str], within: float = MOST_SECONDS) -> Result:
    """Wait for the end of a started program."""
    try:
        out, err = process.communicate(timeout=within)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"still running after {within:.0f} s\n{out[-2000:]}\n{err[-2000:]}") from None
    return Result(process.returncode, out, err)


def run(
    *arguments: str,
    cwd: Path,
    faults: str = "",
    program: Sequence[str] = PROGRAM,
    env: Mapping[str, str] | None = None,
) -> Result:
    """Run the program to its end."""
    return finish(start(*arguments, cwd=cwd, faults=faults, program=program, env=env))


@contextmanager
def running(*arguments: str, cwd: Path, faults: str = "") -> Iterator[subprocess.Popen[str]]:
    """A started program that is gone at the end of the block, whatever happens in it."""
    process = start(*arguments, cwd=cwd, faults=faults)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_until(condition: Callable[[], object], what: str, within: float = 30.0) -> None:
    """Wait for a condition; fails with its name when it does not come."""
    deadline = monotonic() + within
    pause = Event()
    while not condition():
        assert monotonic() < deadline, f"not within {within:.0f} s: {what}"
        pause.wait(0.005)


def ledger(target: Path) -> dict[str, int]:
    """Windows that a target holds, by run; empty while there is none."""
    if target.suffix != ".db":
        return {
            folder.name.partition(".parts-")[2]: sum(1 for _ in folder.glob("*.part"))
            for folder in target.parent.glob(f"{target.name}.parts-*")
        }
    if not target.exists():
        return {}
    try:
        with closing(sqlite3.connect(f"file:{target}?mode=ro", uri=True, timeout=10)) as connection:
            return dict(connection.execute("SELECT run, count(*) FROM _streamconsole_windows GROUP BY run"))
    except sqlite3.OperationalError:
        return {}


def committed(target: Path) -> int:
    """Windows that a target holds, of all runs."""
    return sum(ledger(target).values())


def descendants(pid: int) -> list[int]:
    """The processes that a process has started, and theirs."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(") ")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        new = children.get(todo.pop(), [])
        found += new
        todo += new
    return found


def is_gone(pid: int) -> bool:
    """Whether a process has ended (somebody may yet have to collect it)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except OSError:
        return True


def kill(process: subprocess.Popen[str]) -> Result:
    """SIGKILL, and what it had said until then."""
    process.kill()
    return finish(process)
