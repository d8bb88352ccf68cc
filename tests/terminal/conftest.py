"""Programs on terminals of their own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.terminal.beats import Beats
from tests.terminal.console import Open, Workspace, consoles
from tests.terminal.pty_screen import PtyScreen

Start = Callable[..., PtyScreen]


@pytest.fixture
def beats(tmp_path: Path) -> Beats:
    """What the fixture program writes."""
    return Beats(tmp_path / "beats")


@pytest.fixture
def start(beats: Beats) -> Iterator[Start]:
    """Start the fixture program with options; keywords go to `PtyScreen.start`."""
    root = Path(__file__).parents[2]
    with ExitStack() as stack:

        def start_it(*options: str, rows: int = 24, cols: int = 80) -> PtyScreen:
            argv: list[str | Path] = [
                sys.executable,
                "-m",
                "tests.terminal.fixture_app",
                beats.path,
                *options,
            ]
            env = {"COLORTERM": "truecolor"}
            return stack.enter_context(PtyScreen.start(argv, cwd=root, env=env, rows=rows, cols=cols))

        yield start_it


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """What the files in the test's folder say."""
    return Workspace(tmp_path)


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Open]:
    """Open the real console in the test's folder: arguments; `rows`, `cols`, `faults` and environment by keyword."""
    with consoles(tmp_path) as open_it:
        yield open_it
