"""A workspace on PostgreSQL: what a file gives by itself is there, too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import pytest_asyncio
from sqlalchemy import Connection, create_engine, text

from streamconsole.engines.errors import Refused, SideLost
from streamconsole.engines.states import EngineKind
from streamconsole.engines.workspace import Workspace, postgresql, runs, writer
from tests import postgresql as server_of_tests

pytestmark = pytest.mark.services


@pytest_asyncio.fixture
async def pair(postgresql_database: str) -> AsyncIterator[tuple[Workspace, Workspace]]:
    """Two openings of one workspace, as two processes have them."""
    opened = [await Workspace.open(postgresql_database) for _ in range(2)]
    for each in opened:
        await each.write(lambda connection: connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS t (n INTEGER)"))
    yield opened[0], opened[1]
    for each in opened:
        await each.close()


def look_then_write(connection: Connection) -> int:
    """What goes wrong when two do it at once."""
    found = int(connection.execute(text("SELECT coalesce(max(n), 0) FROM t")).scalar_one())
    connection.execute(text("SELECT pg_sleep(0.001)"))
    connection.execute(text("INSERT INTO t VALUES (:n)"), {"n": found + 1})
    return found + 1


async def test_writers_of_two_processes_come_one_after_the_other(pair: tuple[Workspace, Workspace]) -> None:
    one, other = pair
    numbers = await asyncio.gather(*(each.write(look_then_write) for _ in range(40) for each in (one, other)))
    assert sorted(numbers) == [*range(1, 81)]


def _tell(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    loop.call_soon_threadsafe(event.set)


async def test_a_change_by_another_process_is_told(pair: tuple[Workspace, Workspace]) -> None:
    one, other = pair
    noticed, mine, loop = asyncio.Event(), asyncio.Event(), asyncio.get_running_loop()
    one.listen(partial(_tell, loop, mine))
    other.listen(partial(_tell, loop, noticed))
    # Whoever listens first hears of what came before, too.
    await asyncio.sleep(3 * writer.WATCH)
    mine.clear()
    noticed.clear()
    await one.write(look_then_write)
    await asyncio.wait_for(noticed.wait(), 10)
    assert not mine.is_set()


async def test_a_reader_sees_one_moment(pair: tuple[Workspace, Workspace]) -> None:
    one, other = pair
    began, go = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def twice(connection: Connection) -> tuple[int, int]:
        first = int(connection.execute(text("SELECT count(*) FROM t")).scalar_one())
        loop.call_soon_threadsafe(began.set)
        asyncio.run_coroutine_threadsafe(go.wait(), loop).result(10)
        return first, int(connection.execute(text("SELECT count(*) FROM t")).scalar_one())

    reading = asyncio.create_task(one.read(twice))
    await began.wait()
    await other.write(look_then_write)
    go.set()
    assert await reading == (0, 0)


async def test_text_with_nul_is_kept(pair: tuple[Workspace, Workspace]) -> None:
    one, _ = pair
    run = await one.write(runs.create, EngineKind.MIGRATION, "a\0b", {}, {})
    assert run.name == "a␀b"


async def test_one_bad_operation_fails_alone(pair: tuple[Workspace, Workspace]) -> None:
    one, _ = pair

    def bad(connection: Connection) -> None:
        connection.execute(text("INSERT INTO nothing VALUES (1)"))

    told = await asyncio.gather(
        *(one.write(each) for each in (look_then_write, bad, look_then_write)), return_exceptions=True
    )
    assert [told[0], told[2]] == [1, 2]
    assert "nothing" in str(told[1])


async def test_a_lock_held_too_long_is_waited_for(postgresql_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql, "LOCK_TIMEOUT_MS", 200)
    one, other = [await Workspace.open(postgresql_database) for _ in range(2)]
    await one.write(lambda connection: connection.exec_driver_sql("CREATE TABLE t (n INTEGER)"))
    holding, go = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def hold(connection: Connection) -> None:
        loop.call_soon_threadsafe(holding.set)
        asyncio.run_coroutine_threadsafe(go.wait(), loop).result(30)

    held = asyncio.create_task(one.write(hold))
    await holding.wait()
    waiting = asyncio.create_task(other.write(look_then_write))
    await asyncio.sleep(0.7)
    assert not waiting.done()
    go.set()
    await held
    assert await waiting == 1
    for each in (one, other):
        await each.close()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://ann:s3cret@127.0.0.1:1/shop", "cannot be used"),
        ("postgresql://127.0.0.1", "names no database"),
    ],
)
async def test_a_server_that_cannot_be_had_is_refused(url: str, told: str) -> None:
    with pytest.raises(Refused, match=told) as refused:
        await Workspace.open(url)
    assert "s3cret" not in str(refused.value)


async def test_a_workspace_of_a_newer_program_is_refused(postgresql_database: str) -> None:
    workspace = await Workspace.open(postgresql_database)
    newer = text("UPDATE alembic_version SET version_num = '9999'")
    await workspace.write(lambda connection: connection.execute(newer).rowcount)
    await workspace.close()
    with pytest.raises(Refused, match="newer streamconsole"):
        await Workspace.open(postgresql_database)


async def test_a_place_that_cannot_be_made_is_refused(
    postgresql_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(Refused, match="XDG_STATE_HOME"):
        await Workspace.open(postgresql_database)


async def test_a_caller_whose_job_is_refused_finds_its_own_tables(postgresql_database: str) -> None:
    workspace = await Workspace.open(postgresql_database)
    engine = create_engine(postgresql_database.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE mine (n INTEGER)"))
        with suppress(ValueError), workspace.found_on(connection):
            connection.execute(text("SELECT count(*) FROM jobs"))
            raise ValueError("refused")
        connection.execute(text("INSERT INTO mine VALUES (1)"))
        path = connection.execute(text("SHOW search_path")).scalar_one()
    engine.dispose()
    await workspace.close()
    assert path == '"$user", public'


@pytest.fixture
def own_server() -> Iterator[server_of_tests.Server]:
    """A server that a test may kill."""
    if server_of_tests.program("initdb") is None:
        pytest.skip("PostgreSQL is not installed: `make services`")
    with TemporaryDirectory(prefix="streamconsole-postgresql-", ignore_cleanup_errors=True) as made:
        Path(made).chmod(0o755)
        server = server_of_tests.Server(Path(made))
        server.start(quick=False)
        yield server
        server.kill()


async def test_a_server_that_dies_is_told_and_used_again_when_it_is_back(own_server: server_of_tests.Server) -> None:
    workspace = await Workspace.open(own_server.url)
    told, loop = asyncio.Event(), asyncio.get_running_loop()
    workspace.listen(partial(_tell, loop, told))
    await workspace.write(lambda connection: connection.exec_driver_sql("CREATE TABLE t (n INTEGER)"))
    assert await workspace.write(look_then_write) == 1
    await asyncio.to_thread(own_server.kill)
    with pytest.raises(SideLost, match="cannot be reached"):
        await workspace.write(look_then_write)
    with pytest.raises(SideLost, match="cannot be reached"):
        await workspace.read(look_then_write)
    # Nothing is told while nothing can be known, and what may have been missed once it can.
    assert not told.is_set()
    await asyncio.to_thread(own_server.start, quick=False)
    await asyncio.wait_for(told.wait(), 20)
    # What was said to be done is there.
    assert await workspace.write(look_then_write) == 2
    await workspace.close()
