"""Other ways than NDJSON → SQLite, each beside its bare loop; the cluster beside one process."""

from __future__ import annotations

import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.data import rows_file
from benchmarks.pairs import Ran, Result, pairs, ratio, run

LIMIT_MIB = 250
"""Peak memory of the whole process tree."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """The same rows in every form they are read from."""

    rows: int
    ndjson: Path
    database: Path
    csv: Path


def measure(*, short: bool) -> list[Result]:
    """The benchmarks of all routes."""
    rows, count = (300_000, 2) if short else (1_000_000, 5)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        inputs = _inputs(rows, folder)
        bench = _Bench(inputs, folder, count)
        table = f"sqlite:///{inputs.database}#rows"
        results = [
            bench.beside("SQLite → NDJSON", bench.ours(table, "out.ndjson"), bench.bare("to_ndjson"), 0.8),
            bench.beside("SQLite → SQLite", bench.ours(table, "out.db"), bench.bare("to_sqlite"), 0.8),
            bench.beside("CSV → SQLite", bench.ours(str(inputs.csv), "out.db"), bench.bare("csv"), 0.8),
            bench.beside(
                "2 writers beside one process, NDJSON → NDJSON",
                bench.ours(str(inputs.ndjson), "out.ndjson", "--writers", "2"),
                bench.ours(str(inputs.ndjson), "out.ndjson", "--writers", "0"),
                1.3,
            ),
        ]
    peak = max(bench.peaks)
    return [
        *results,
        Result("peak memory of the process tree on any route", f"{peak:.0f} MiB", peak, LIMIT_MIB, at_most=True),
    ]


class _Bench:
    """Runs commands in one folder; what they leave is checked and removed."""

    def __init__(self, inputs: Inputs, folder: Path, count: int) -> None:
        self.peaks: list[float] = []
        self._inputs = inputs
        self._folder = folder
        self._count = count

    def beside(self, name: str, ours: Callable[[], float], theirs: Callable[[], float], bar: float) -> Result:
        """Pairs of two commands."""
        return ratio(f"{name}, {self._inputs.rows:,} rows", pairs(self._count, ours, theirs), bar)

    def ours(self, source: str, target: str, *options: str) -> Callable[[], float]:
        """A migration by the command line, start-up included."""
        location = f"sqlite:///{self._folder / target}#rows" if target.endswith(".db") else str(self._folder / target)
        command = (sys.executable, "-m", "streamconsole", "migrate", source, location, *options, "--no-ui")

        def go() -> float:
            ran = self._run((*command, "--workspace", str(self._folder / "work" / "workspace.db")), target)
            self.peaks.append(ran.peak)
            return ran.seconds

        return go

    def bare(self, name: str) -> Callable[[], float]:
        """A bare loop, as a process of its own."""
        source = self._inputs.csv if name == "csv" else self._inputs.database
        target = "out.ndjson" if name == "to_ndjson" else "out.db"
        command = (sys.executable, "-m", "benchmarks.bare_routes", name, str(source), str(self._folder / target))
        return lambda: self._run(command, target).seconds

    def _run(self, command: tuple[str, ...], target: str) -> Ran:
        ran = run(command, Path.cwd())
        path = self._folder / target
        found = count_of(path)
        if found != self._inputs.rows:
            raise SystemExit(f"{' '.join(command)}: {found:,} rows, expected {self._inputs.rows:,}")
        for file in self._folder.glob(f"{target}*"):
            file.unlink()
        shutil.rmtree(self._folder / "work", ignore_errors=True)
        return ran


def count_of(path: Path) -> int:
    """Rows in what a command has left."""
    if path.suffix == ".ndjson":
        with path.open("rb") as file:
            return sum(block.count(b"\n") for block in iter(lambda: file.read(2**20), b""))
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM rows").fetchone()[0])


def _inputs(rows: int, folder: Path) -> Inputs:
    source = rows_file(rows)
    inputs = Inputs(rows, source, folder / "in.db", folder / "in.csv")
    run((sys.executable, "-m", "benchmarks.bare", str(source), str(inputs.database)), Path.cwd())
    run((sys.executable, "-m", "benchmarks.bare_routes", "make_csv", str(inputs.database), str(inputs.csv)), Path.cwd())
    return inputs
