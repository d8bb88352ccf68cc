"""NDJSON → SQLite by the command line, beside a bare loop; memory; the event loop's longest silence."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from time import monotonic

from benchmarks.data import rows_file
from benchmarks.pairs import Ran, Result, pairs, ratio, run

LIMIT_MIB = 250
"""Peak memory of the whole process tree."""

SILENCE_MS = 250
"""Longest time the event loop may answer nobody while it migrates without a screen."""


def measure(*, short: bool) -> list[Result]:
    """The migration benchmarks."""
    rows, count = (300_000, 3) if short else (1_000_000, 5)
    source = rows_file(rows)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        peaks: list[float] = []

        def ours() -> float:
            ran = migrate(source, folder, rows)
            peaks.append(ran.peak)
            return ran.seconds

        taken = pairs(count, ours, lambda: bare(source, folder, rows))
        silence = heartbeat(source, folder)
    size = source.stat().st_size / 2**20
    best = min(seconds for seconds, _ in taken)
    return [
        ratio(f"NDJSON → SQLite, {rows:,} rows, beside orjson + executemany", taken, 0.8),
        Result("peak memory of the process tree", f"{max(peaks):.0f} MiB", max(peaks), LIMIT_MIB, at_most=True),
        Result("longest silence of the event loop", f"{silence:.0f} ms", silence, SILENCE_MS, at_most=True),
        Result("best throughput", f"{rows / best:,.0f} rows/s, {size / best:.0f} MiB/s", rows / best),
        Result("plain reading of the same file", f"{size / plain_read(source):,.0f} MiB/s", 0),
    ]


def migrate(source: Path, folder: Path, rows: int) -> Ran:
    """One migration by the command line, start-up included; the result is checked and removed."""
    target = folder / "ours.db"
    command = [sys.executable, "-m", "streamconsole", "migrate", str(source), f"sqlite:///{target}#rows", "--no-ui"]
    ran = run([*command, "--workspace", str(folder / "workspace.db")], folder)
    _check(target, rows)
    return ran


def bare(source: Path, folder: Path, rows: int) -> float:
    """The bare loop over the same file, as a process of its own; the result is checked and removed."""
    target = folder / "bare.db"
    ran = run([sys.executable, "-m", "benchmarks.bare", str(source), str(target)], Path.cwd())
    _check(target, rows)
    return ran.seconds


def heartbeat(source: Path, folder: Path) -> float:
    """The longest silence of the event loop during a migration, in milliseconds."""
    command = [sys.executable, "-m", "benchmarks.headless", str(source), f"sqlite:///{folder / 'beat.db'}#rows"]
    done = subprocess.run([*command, str(folder / "beat-workspace.db")], capture_output=True, text=True, check=True)
    return float(done.stdout)


def plain_read(source: Path) -> float:
    """Seconds to read a file through."""
    began = monotonic()
    with source.open("rb") as file:
        while file.read(2**20):
            pass
    return monotonic() - began


def _check(target: Path, rows: int) -> None:
    with closing(sqlite3.connect(target)) as connection:
        found = connection.execute("SELECT count(*) FROM rows").fetchone()[0]
    if found != rows:
        raise SystemExit(f"{target.name} has {found:,} rows, expected {rows:,}")
    for file in target.parent.glob(f"{target.name}*"):
        file.unlink()
