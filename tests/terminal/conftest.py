"""Programs on terminals of their own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.terminal.beats import Beats
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
