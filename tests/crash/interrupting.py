"""Interrupting a migration and going on with it, until it is done."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.crash.inputs import Case
from tests.crash.outcome import Outcome, outcome_of
from tests.program import PROGRAM, Result, committed, finish, start, wait_until


@dataclass(slots=True)
class Attempt:
    """One migration in a folder of its own, interrupted as often as one likes.

    Args:
        case: what is moved.
        folder: empty.
        program: what is run; the real program unless a test breaks it on purpose.
    """

    case: Case
    folder: Path
    program: Sequence[str] = PROGRAM
    run: str | None = field(default=None, init=False)

    @property
    def target(self) -> Path:
        """Where the rows go."""
        return self.folder / self.case.target

    @property
    def workspace(self) -> Path:
        """Where the ledger is kept."""
        return self.folder / "w.db"

    def begin(self, faults: str = "") -> subprocess.Popen[str]:
        """Start it, or go on with it where it has begun."""
        self.folder.mkdir(exist_ok=True)
        if self.case.found and not self.target.exists():
            if self.target.suffix == ".db":
                with closing(sqlite3.connect(self.target)) as connection:
                    connection.executescript(self.case.found)
            else:
                self.target.write_text(self.case.found)
        arguments = (
            self.case.arguments(self.folder)
            if self.run is None
            else ("migrate", "--resume", self.run, "--no-ui", "--workspace", "w.db")
        )
        return start(*arguments, cwd=self.folder, faults=faults, program=self.program)

    def end(self, process: subprocess.Popen[str]) -> Result:
        """Wait for its end; remembers the run, once there is one."""
        result = finish(process)
        self.run = self.run or self._recorded("id")
        return result

    def go(self, faults: str = "") -> Result:
        """Start or go on, to the end that comes first."""
        return self.end(self.begin(faults))

    def retry(self) -> Result:
        """Do the failed windows again."""
        assert self.run is not None
        arguments = ("runs", "retry", self.run, "--no-ui", "--workspace", "w.db")
        return finish(start(*arguments, cwd=self.folder, program=self.program))

    def lands(self) -> bool:
        """Whether a kill now is one that hits in the middle."""
        return 0 < committed(self.target) < self.case.windows

    def is_over(self) -> bool:
        """Whether it has come to its end (a kill may hit just after that)."""
        return self._recorded("state") == "completed"

    def complete(self) -> Outcome:
        """Go on without any more interruption; what is there then."""
        if self.is_over():
            return self.outcome()
        result = self.go()
        assert result.code == self.case.code, result
        assert "Traceback" not in result.err
        return self.outcome()

    def outcome(self) -> Outcome:
        """What is there now."""
        assert self.run is not None
        return outcome_of(self.target, self.workspace, self.run, self.case.stays)

    def _recorded(self, column: str) -> str | None:
        if not self.workspace.exists():
            return None
        with closing(sqlite3.connect(self.workspace)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'runs'").fetchone():
                return None
            row = connection.execute(f"SELECT {column} FROM runs").fetchone()
        return row[0] if row else None


def kill_at_random(attempt: Attempt, random: Random, seconds: float) -> Result:
    """Start it and SIGKILL it at a random instant, unless it has ended by itself before.

    Four of five kills come after it has committed something more than it found, so that most of them
    hit in the middle; the fifth comes at any time.

    Args:
        attempt: what is started.
        random: gives the instant.
        seconds: how long it takes in all.
    """
    found = committed(attempt.target)
    process = attempt.begin()
    instant = random.random() * seconds
    if random.random() < 0.8:
        instant *= 0.3
        wait_until(lambda: process.poll() is not None or committed(attempt.target) > found, "a window is committed")
    try:
        process.wait(timeout=instant)
    except subprocess.TimeoutExpired:
        process.kill()
    return attempt.end(process)
