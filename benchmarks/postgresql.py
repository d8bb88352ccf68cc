"""Into and out of PostgreSQL by the command line, each way beside `psql` or its bare loop, on a server of its own."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from benchmarks.data import rows_file
from benchmarks.pairs import Ran, Result, pairs, ratio, run
from benchmarks.routes import count_of
from tests import postgresql

LIMIT_MIB = 250
"""Peak memory of the whole process tree, without the server."""


def measure(*, short: bool) -> list[Result]:
    """The benchmarks of all ways; none of them where there is no server."""
    psql = postgresql.program("psql")
    if psql is None or postgresql.program("initdb") is None:
        return [Result("into and out of PostgreSQL", "not measured: it is not installed (`make services`)", 0)]
    rows, count = (100_000, 3) if short else (1_000_000, 5)
    with postgresql.running() as server, postgresql.database(server) as url, tempfile.TemporaryDirectory() as made:
        return _Bench(rows, count, url, Path(made), psql).all()


@dataclass
class _Bench:
    """Runs commands in one folder and one database; what they leave is checked and removed."""

    rows: int
    count: int
    url: str
    folder: Path
    psql: str
    peaks: list[float] = field(default_factory=list)

    def all(self) -> list[Result]:
        source, database, table = rows_file(self.rows), self.folder / "in.db", f"{self.url}#rows"
        self._python("benchmarks.bare", str(source), str(database))
        self._python("benchmarks.bare_postgresql", "make_csv", str(database), str(self.folder / "in.csv"))
        sqlite = f"sqlite:///{database}#rows"
        results = [
            self.beside("NDJSON → PostgreSQL beside \\copy of a ready CSV", self.into(str(source)), self.copy, 1.0),
            self.beside("SQLite → PostgreSQL", self.into(sqlite), lambda: self.bare("from_sqlite", "in.db"), 1.0),
        ]
        self.into(str(source), keep=True)()
        results += [
            self.beside(
                "PostgreSQL → SQLite", self.out_of(table, "out.db"), lambda: self.bare("to_sqlite", "out.db"), 1.0
            ),
            self.beside(
                "PostgreSQL → NDJSON",
                self.out_of(table, "out.ndjson"),
                lambda: self.bare("to_ndjson", "out.ndjson"),
                1.0,
            ),
        ]
        peak = max(self.peaks)
        name = "peak memory of the process tree, PostgreSQL"
        return [*results, Result(name, f"{peak:.0f} MiB", peak, LIMIT_MIB, at_most=True)]

    def beside(self, name: str, ours: Callable[[], float], theirs: Callable[[], float], bar: float) -> Result:
        """Pairs of two commands."""
        return ratio(f"{name}, {self.rows:,} rows", pairs(self.count, ours, theirs), bar)

    def into(self, source: str, *, keep: bool = False) -> Callable[[], float]:
        """A migration into a new table."""

        def go() -> float:
            self._drop()
            seconds = self._migrate(source, f"{self.url}#rows")
            self._check_table()
            if not keep:
                self._drop()
            return seconds

        return go

    def out_of(self, source: str, target: str) -> Callable[[], float]:
        """A migration into a file."""
        path = self.folder / target
        location = f"sqlite:///{path}#rows" if target.endswith(".db") else str(path)

        def go() -> float:
            seconds = self._migrate(source, location)
            self._check_file(path)
            return seconds

        return go

    def copy(self) -> float:
        """The client's own copying of a file, into the same table."""
        self._python("benchmarks.bare_postgresql", "make", self.url, "-")
        command = (self.psql, self.url, "-qc", f"\\copy rows FROM '{self.folder / 'in.csv'}' CSV")
        seconds = run(command, self.folder).seconds
        self._check_table()
        self._drop()
        return seconds

    def bare(self, name: str, file: str) -> float:
        """A bare loop, as a process of its own."""
        seconds = self._python("benchmarks.bare_postgresql", name, self.url, str(self.folder / file)).seconds
        if name == "from_sqlite":
            self._check_table()
            self._drop()
        else:
            self._check_file(self.folder / file)
        return seconds

    def _migrate(self, source: str, target: str) -> float:
        workspace = ("--no-ui", "--workspace", str(self.folder / "work" / "workspace.db"))
        ran = self._python("streamconsole", "migrate", source, target, *workspace)
        self.peaks.append(ran.peak)
        shutil.rmtree(self.folder / "work")
        return ran.seconds

    def _python(self, module: str, *arguments: str) -> Ran:
        return run((sys.executable, "-m", module, *arguments), Path.cwd())

    def _check_table(self) -> None:
        with psycopg.connect(self.url) as connection:
            found = connection.execute("SELECT count(*) FROM rows").fetchone()
        if found != (self.rows,):
            raise SystemExit(f"{found} rows, expected {self.rows:,}")

    def _check_file(self, path: Path) -> None:
        if (found := count_of(path)) != self.rows:
            raise SystemExit(f"{path.name} has {found:,} rows, expected {self.rows:,}")
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()

    def _drop(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            for name in ("rows", "_streamconsole_windows", "_streamconsole_runs"):
                connection.execute(f"DROP TABLE IF EXISTS {name}".encode())
            # Else the server would write what came before while the next one is measured.
            connection.execute("CHECKPOINT")
