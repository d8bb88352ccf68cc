"""How long the program takes to say what it can do."""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median

from benchmarks.pairs import Result, run


def measure(*, short: bool) -> list[Result]:
    """The start-up benchmarks."""
    command = [sys.executable, "-m", "streamconsole", "--help"]
    seconds = median(run(command, Path.cwd()).seconds for _ in range(3 if short else 9))
    return [Result("streamconsole --help", f"{seconds * 1000:.0f} ms", seconds, 0.5, at_most=True)]
