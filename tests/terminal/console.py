"""The real console on a terminal of its own, with what its workspace and its target say meanwhile."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from tests.program import PROGRAM, Result, committed, run
from tests.terminal.pty_screen import PtyScreen

WORKSPACE = "w.db"
TARGET = "target.db"
LONG = 50_000
"""Rows of a run that outlives most tests: 2,500 windows of 20, some 5 ms each, decoded in this process."""

Open = Callable[..., PtyScreen]


def migration(rows: int = LONG, window: int = 20, *options: str) -> list[str]:
    """Arguments that migrate made-up rows in small windows."""
    sizes = ("--window-rows", str(window), "--workers", "2")
    return ["migrate", f"generate://orders?count={rows}&seed=1", f"sqlite:///{TARGET}#t", *sizes, *options]


@contextmanager
def consoles(folder: Path) -> Iterator[Open]:
    """Opens consoles in a folder; those still open at the end are killed."""
    with ExitStack() as stack:

        def open_it(*arguments: str, rows: int = 24, cols: int = 80, faults: str = "", **env: str) -> PtyScreen:
            argv = [*PROGRAM, *arguments, "--workspace", WORKSPACE]
            env = {"COLORTERM": "truecolor", "STREAMCONSOLE_FAULTS": faults, **env}
            return stack.enter_context(PtyScreen.start(argv, cwd=folder, env=env, rows=rows, cols=cols))

        yield open_it


def said(screen: PtyScreen) -> str:
    """What a console that has ended left on the shell's screen, as one line."""
    left = screen.raw.decode(errors="replace").rpartition("\x1b[?1049l")[2]
    return " ".join(re.sub(r"\x1b(\[[0-9;?<>=]*[a-zA-Z]|[^\[])", "", left).split())


class Workspace:
    """What the files of a folder say, read by nobody's program but sqlite3."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def ask(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of the workspace; none while it is not there yet."""
        return self._ask(self.folder / WORKSPACE, statement, *values)

    @staticmethod
    def _ask(path: Path, statement: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as connection:
                return connection.execute(statement, values).fetchall()
        except sqlite3.OperationalError:
            return []

    @property
    def run(self) -> str:
        """The id of the newest run."""
        return str(self.ask("SELECT id FROM runs ORDER BY created_at DESC LIMIT 1")[0][0])

    @property
    def state(self) -> str:
        """The state of the newest run; empty while there is none."""
        found = self.ask("SELECT state FROM runs ORDER BY created_at DESC LIMIT 1")
        return str(found[0][0]) if found else ""

    @property
    def windows(self) -> dict[str, int]:
        """How many windows are in each state."""
        return dict(self.ask("SELECT state, count(*) FROM windows GROUP BY state"))

    @property
    def committed(self) -> int:
        """Windows that the target holds."""
        return committed(self.folder / TARGET)

    @property
    def rows(self) -> int:
        """Rows that the target holds."""
        return int(self._ask(self.folder / TARGET, "SELECT count(*) FROM t")[0][0])

    def runs(self, verb: str, *arguments: str, run_id: str | None = None) -> Result:
        """`streamconsole runs VERB RUN …` in a process without a terminal."""
        where = ("--workspace", WORKSPACE, "--no-ui")
        return run("runs", verb, run_id or self.run, *arguments, *where, cwd=self.folder)
