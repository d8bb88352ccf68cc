"""Migrations of PostgreSQL cut short: the program killed, the server killed, connections cut, locks held."""

from __future__ import annotations

import shlex
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest

from streamconsole.engines.migration import postgresql as connections
from streamconsole.engines.migration.targets import postgresql as target
from streamconsole.engines.states import RunState
from tests import postgresql
from tests.crash.inputs import write_hostile
from tests.crash.test_named_points import POINTS
from tests.integration.running import Waiter, house
from tests.program import Result, finish, run, running, start, wait_until

pytestmark = [pytest.mark.services, pytest.mark.crash]

PLACES = ("--no-ui", "--workspace", "w.db")

WINDOW_ROWS, WINDOWS = 20, 60

LEDGER = "_streamconsole_windows"


@pytest.fixture
def url(postgresql_database: str) -> str:
    return postgresql_database


def ask(url: str, statement: str) -> list[tuple[Any, ...]]:
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        return connection.execute(statement.encode()).fetchall()


def committed(url: str) -> int:
    """Windows that the target holds; 0 while there is no ledger, or no server."""
    try:
        return int(ask(url, f"SELECT count(*) FROM {LEDGER}")[0][0])
    except psycopg.Error:
        return 0


def recorded(folder: Path, column: str = "id") -> str:
    with closing(sqlite3.connect(folder / "w.db")) as connection:
        return str(connection.execute(f"SELECT {column} FROM runs").fetchone()[0])


class Outcome:
    """What a run has left behind: rows, refused rows, and that the ledgers say the same."""

    def __init__(self, folder: Path, url: str) -> None:
        names = [name for (name,) in ask(url, "SELECT attname::text FROM pg_attribute WHERE attrelid = 't'::regclass "
                                              "AND attnum > 0 AND NOT attisdropped ORDER BY 1")]  # fmt: skip
        columns = ", ".join(f'"{name}"::text' for name in names)
        self.columns = dict(
            ask(url, "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 't'")
        )
        self.rows = Counter(ask(url, f"SELECT {columns} FROM t"))
        proven = set(ask(url, f"SELECT lo, hi, rows_read, rows_written, rejects FROM {LEDGER}"))
        with closing(sqlite3.connect(folder / "w.db")) as connection:
            kept = connection.execute("SELECT lo, hi, rows_read, rows_written, rejects FROM windows").fetchall()
            self.rejects = connection.execute(
                'SELECT line, "column", reason, row FROM rejects ORDER BY line, id'
            ).fetchall()
            states = connection.execute("SELECT DISTINCT state FROM windows").fetchall()
        assert states == [("completed",)]
        assert set(kept) == proven
        assert sum(each[4] for each in kept) == len(self.rejects)
        self.written = sum(each[3] for each in kept)

    def __eq__(self, other: object) -> bool:
        assert isinstance(other, Outcome)
        assert self.columns == other.columns
        assert (self.rows - other.rows, other.rows - self.rows) == (Counter(), Counter())
        assert self.rejects == other.rejects
        return True

    __hash__ = None  # type: ignore[assignment]


class Attempt:
    """One migration of hostile rows, interrupted as often as one likes."""

    def __init__(self, folder: Path, url: str, *options: str) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.url, self.options = folder, url, options
        write_hostile(folder / "hostile.ndjson", WINDOW_ROWS, WINDOWS)

    def begin(self, faults: str = "") -> subprocess.Popen[str]:
        """Start it, or go on with it."""
        sizes = ("--window-rows", str(WINDOW_ROWS), "--workers", "4")
        arguments: tuple[str, ...] = ("migrate", "hostile.ndjson", f"{self.url}#t", *sizes, *self.options)
        if (self.folder / "w.db").exists():
            arguments = ("migrate", "--resume", recorded(self.folder))
        return start(*arguments, *PLACES, cwd=self.folder, faults=faults)

    def go(self, faults: str = "") -> Result:
        """The same, to the end that comes first."""
        return finish(self.begin(faults))

    def complete(self) -> Outcome:
        """Go on to the end."""
        result = self.go()
        assert result.code == 1, result
        assert "Traceback" not in result.err
        return Outcome(self.folder, self.url)


@pytest.fixture(scope="module")
def uninterrupted(postgresql: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    made = {}
    for name, options in OPTIONS.items():
        with postgresql_database_of(postgresql, name) as url:
            made[name] = Attempt(tmp_path_factory.mktemp(name), url, *options).complete()
    return made


OPTIONS = {
    "insert": ("--writers", "0"),
    "children": ("--writers", "2"),
    "upsert": ("--mode", "upsert", "--writers", "0"),
    "replace": ("--mode", "replace", "--writers", "0"),
}


@contextmanager
def postgresql_database_of(server: str, name: str) -> Iterator[str]:
    with postgresql.database(server) as url:
        if name in ("upsert", "replace"):
            ask_nothing(url, "CREATE TABLE t (_id text PRIMARY KEY, note text); INSERT INTO t VALUES ('old', 'kept')")
        yield url


def ask_nothing(url: str, statement: str) -> None:
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        connection.execute(statement.encode())


# The program is killed ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIONS)
def test_one_run_killed_at_every_point_in_turn(
    name: str, tmp_path: Path, postgresql: str, uninterrupted: dict[str, Outcome]
) -> None:
    with postgresql_database_of(postgresql, name) as url:
        attempt = Attempt(tmp_path / "a", url, *OPTIONS[name])
        points = POINTS if name == "insert" else POINTS[3:6]
        for number, point in enumerate(points, start=1):
            window = number * WINDOWS // (len(points) + 1)
            assert attempt.go(f"kill@{point}:{window}").killed, point
            assert 0 < committed(url) < WINDOWS, point
        assert uninterrupted[name] == attempt.complete()


def test_a_kill_in_the_swap_of_a_replaced_table(
    tmp_path: Path, postgresql: str, uninterrupted: dict[str, Outcome]
) -> None:
    with postgresql_database_of(postgresql, "replace") as url:
        attempt = Attempt(tmp_path / "a", url, *OPTIONS["replace"])
        assert attempt.go("kill@target.before_swap").killed
        wait_until(lambda: ask(url, "SELECT note FROM t") == [("kept",)], "the old table is there")
        assert uninterrupted["replace"] == attempt.complete()


def test_a_child_that_dies_costs_no_restart(tmp_path: Path, url: str, uninterrupted: dict[str, Outcome]) -> None:
    attempt = Attempt(tmp_path / "a", url, *OPTIONS["children"])
    # Two children, each of which dies once; the third knows the window, too.
    result = attempt.go("kill-child@window.before_commit:12;kill-child@window.after_write:40")
    assert result.code == 1, result
    assert "replaced" in result.err
    again = run("runs", "retry", recorded(attempt.folder), *PLACES, cwd=attempt.folder)
    assert again.code == 1, again
    assert uninterrupted["children"] == Outcome(attempt.folder, url)


# The server is killed -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own_server() -> Iterator[postgresql.Server]:
    """A server that may be killed."""
    if postgresql.program("initdb") is None:
        pytest.skip("PostgreSQL is not installed: `make services`")
    with TemporaryDirectory(prefix="streamconsole-postgresql-", ignore_cleanup_errors=True) as made:
        Path(made).chmod(0o755)
        server = postgresql.Server(Path(made))
        try:
            server.start()
            yield server
        finally:
            server.kill()


def assert_lost(result: Result) -> tuple[str, ...]:
    """Exit status 3, told why in one line, nothing spilled; gives the command that it says to resume it with."""
    assert result.code == 3, result
    assert "Traceback" not in result.err
    told = [line for line in result.err.splitlines() if line.startswith("streamconsole: ")]
    assert len(told) == 1, result.err
    assert "cannot be reached any more" in told[0]
    (command,) = [line.split("`")[1] for line in result.out.splitlines() if "`streamconsole runs resume" in line]
    return tuple(shlex.split(command)[1:])


@pytest.mark.parametrize("side", ["target", "source", "both"])
def test_a_server_killed_in_mid_run(side: str, tmp_path: Path, own_server: postgresql.Server) -> None:
    rows, url = 60_000, f"{own_server.url.rpartition('/')[0]}/of_{side}"
    ask_nothing(own_server.url, f"CREATE DATABASE of_{side}")
    ask_nothing(url, f"CREATE TABLE s AS SELECT n AS id, 'row ' || n AS v FROM generate_series(1, {rows}) n")
    ask_nothing(url, "ALTER TABLE s ADD PRIMARY KEY (id)")
    source = f"generate://users?count={rows}" if side == "target" else f"{url}#s"
    filled = "sqlite:///t.db#t" if side == "source" else f"{url}#t"
    random = Random(7)
    arguments: tuple[str, ...] = ("migrate", source, filled, "--window-rows", "100", "--workers", "4", *PLACES)
    for _ in range(3):
        after = _done(tmp_path) + random.randrange(5, 40)
        with running(*arguments, cwd=tmp_path) as process:
            wait_until(lambda after=after: _done(tmp_path) > after, "windows")  # type: ignore[misc]
            own_server.kill()
            try:
                result = finish(process)
            finally:
                own_server.start()
        arguments = (*assert_lost(result), "--no-ui")
        assert _done(tmp_path) < rows // 100
    last = run(*arguments, cwd=tmp_path)
    assert last.code == 0, last
    if side == "source":
        with closing(sqlite3.connect(tmp_path / "t.db")) as connection:
            found = connection.execute("SELECT count(*), count(DISTINCT id) FROM t").fetchone()
    else:
        (found,) = ask(url, "SELECT count(*), count(DISTINCT id) FROM t")
    assert found == (rows, rows)


def _done(folder: Path) -> int:
    if not (folder / "w.db").exists():
        return 0
    with closing(sqlite3.connect(f"file:{folder / 'w.db'}?mode=ro", uri=True, timeout=10)) as connection:
        try:
            return int(connection.execute("SELECT count(*) FROM windows WHERE state = 'completed'").fetchone()[0])
        except sqlite3.OperationalError:
            return 0


# What passes --------------------------------------------------------------------------------------


def test_connections_that_are_cut_are_made_again(tmp_path: Path, url: str) -> None:
    arguments = ("migrate", "generate://users?count=30000", f"{url}#t", "--window-rows", "100", "--workers", "4")
    cut = 0
    with running(*arguments, "--writers", "0", *PLACES, cwd=tmp_path) as process:
        for after in (5, 60, 120):
            wait_until(lambda after=after: committed(url) > after, "windows")  # type: ignore[misc]
            cut += len(ask(url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                                "WHERE datname = current_database() AND pid <> pg_backend_pid()"))  # fmt: skip
        result = finish(process)
    assert cut
    assert result.code == 0, result
    assert ask(url, "SELECT count(*), count(DISTINCT id) FROM t") == [(30_000, 30_000)]


async def test_a_lock_that_lasts_is_a_passing_error(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections.SETTINGS, connections.Purpose.WRITING, "SET lock_timeout = 100")
    async with house(tmp_path / "w.db") as here:
        await here.migrate("generate://users?count=300", f"{url}#t")
        ask_nothing(url, "TRUNCATE t")
        retry = {"attempts": 50, "delay": 0.05, "jitter": 0}
        created = await here.create("generate://users?count=300", f"{url}#t", window_rows=100, retry=retry)
        waiter = Waiter(here.bus)
        with closing(psycopg.connect(url)) as holder:
            holder.execute("LOCK TABLE t IN EXCLUSIVE MODE")
            task = await here.supervisor.start(created.id)
            event = await waiter.until("WindowRetried")
        assert "lock timeout" in str(event)
        assert (await task).state is RunState.COMPLETED
    assert ask(url, "SELECT count(*) FROM t") == [(300,)]


async def test_a_table_that_stays_locked_is_refused(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "LOCK_TIMEOUT_MS", 100)
    ask_nothing(url, "CREATE TABLE t (id bigint PRIMARY KEY)")
    async with house(tmp_path / "w.db") as here:
        created = await here.create("generate://users?count=300", f"{url}#t")
        with closing(psycopg.connect(url)) as holder:
            holder.execute("LOCK TABLE t IN EXCLUSIVE MODE")
            ended = await here.work(created)
        assert "lock timeout" in str(ended.error)
        assert (await here.work(created)).state is RunState.COMPLETED


def test_a_server_that_takes_no_writes_is_a_lost_target(tmp_path: Path, url: str) -> None:
    arguments = ("migrate", "generate://users?count=30000", f"{url}#t", "--window-rows", "100", "--workers", "2")
    with running(*arguments, "--writers", "0", *PLACES, cwd=tmp_path) as process:
        wait_until(lambda: committed(url) > 5, "windows")
        ask_nothing(url, f'ALTER DATABASE "{url.rpartition("/")[2]}" SET default_transaction_read_only = on')
        # Sessions that are there go on as they were: new ones are told.
        ask(url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                 "WHERE datname = current_database() AND pid <> pg_backend_pid()")  # fmt: skip
        result = finish(process)
    assert result.code == 3, result
    assert "takes no writes" in result.err
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(f'ALTER DATABASE "{url.rpartition("/")[2]}" RESET default_transaction_read_only'.encode())
    assert run("migrate", "--resume", recorded(tmp_path), *PLACES, cwd=tmp_path).code == 0
    assert ask(url, "SELECT count(*), count(DISTINCT id) FROM t") == [(30_000, 30_000)]


# Before it begins ---------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
@pytest.mark.parametrize("side", ["source", "target"])
def test_a_server_that_is_not_there_is_refused_in_one_line(tmp_path: Path, scheme: str, side: str) -> None:
    away = f"{scheme}://ann:s3cret@127.0.0.1:1/shop#t"
    given = (away, "out.ndjson") if side == "source" else ("generate://users?count=5", away)
    result = run("migrate", *given, *PLACES, cwd=tmp_path)
    assert result.code == 2, result
    assert "s3cret" not in result.out + result.err
    assert len(result.err.strip().splitlines()) == 1
    assert f"{side} postgresql://ann:***@127.0.0.1:1/shop" in result.err
