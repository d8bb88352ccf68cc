"""What transforms cost: NDJSON → SQLite with one, beside the same without."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.data import rows_file
from benchmarks.migration import _check
from benchmarks.pairs import Result, pairs, ratio, run

HASH_BAR = 0.8
"""A hash may cost a quarter more."""

EXEC_BAR = 60_000
"""Rows a second through a program that gives back what it is given."""


def measure(*, short: bool) -> list[Result]:
    """The benchmarks of transforms."""
    rows, count = (300_000, 3) if short else (1_000_000, 5)
    source = rows_file(rows)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        hashed = pairs(
            count, lambda: _seconds(source, folder, rows, "hash:email"), lambda: _seconds(source, folder, rows)
        )
        program = median(_seconds(source, folder, rows, "exec:cat") for _ in range(3))
    return [
        ratio(f"hash of a field, {rows:,} rows, beside none", hashed, HASH_BAR),
        Result("rows through cat", f"{rows / program:,.0f} rows/s", rows / program, EXEC_BAR),
    ]


def _seconds(source: Path, folder: Path, rows: int, *transforms: str) -> float:
    target = folder / "ours.db"
    command = [sys.executable, "-m", "streamconsole", "migrate", str(source), f"sqlite:///{target}#rows", "--no-ui"]
    command += [word for text in transforms for word in ("--transform", text)]
    ran = run([*command, "--workspace", str(folder / "workspace.db")], folder)
    _check(target, rows)
    return ran.seconds
