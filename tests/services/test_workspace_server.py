"""The command line on a workspace that is on a PostgreSQL server."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from streamconsole import exit_codes
from streamconsole.engines.bus import Bus
from streamconsole.engines.queue import JobState, Queue
from streamconsole.engines.workspace import Workspace
from streamconsole.queue_work import QueueSummary, QueueWork, QueueWorkers
from tests import postgresql
from tests.program import Result, finish, start

pytestmark = pytest.mark.services


@pytest.fixture
def workspace(postgresql_database: str) -> str:
    return postgresql_database


def called(folder: Path, *arguments: str, faults: str = "") -> Result:
    return finish(start(*arguments, cwd=folder, faults=faults))


def test_a_killed_migration_goes_on(tmp_path: Path, workspace: str) -> None:
    migrate = ("migrate", "generate://users?count=3000", "sqlite:///t.db#t", "--window-rows", "100")
    asked = ("--json", "--workspace", workspace)
    assert called(tmp_path, *migrate, *asked, faults="kill@window.before_ledger:12").killed
    (run,) = called(tmp_path, "runs", "list", *asked).events
    assert run["status"] != "completed"
    resumed = called(tmp_path, "migrate", "--resume", run["run"], *asked)
    assert resumed.code == 0, resumed
    assert resumed.summary["runs"][0]["units"]["completed"] == 30
    with closing(sqlite3.connect(tmp_path / "t.db")) as connection:
        assert connection.execute("SELECT count(*), count(DISTINCT id) FROM t").fetchone() == (3000, 3000)
    assert not (tmp_path / ".streamconsole").exists()


def test_a_run_is_steered_from_another_process(tmp_path: Path, workspace: str) -> None:
    asked = ("--json", "--workspace", workspace)
    source = "generate://users?count=200000"
    running = start("migrate", source, "sqlite:///t.db#t", "--rate", "2000rows/s", *asked, cwd=tmp_path)
    try:
        assert running.stdout is not None
        run = json.loads(running.stdout.readline())["run"]
        paused = called(tmp_path, "runs", "pause", run, *asked)
        assert paused.code == 0, paused
        held = called(tmp_path, "runs", "resume", run, "--workspace", workspace)
        assert held.code == 0, held
        stopped = called(tmp_path, "runs", "cancel", run, *asked)
        assert stopped.code == 0, stopped
    finally:
        ended = finish(running)
    assert ended.summary["runs"][0]["status"] == "cancelled", ended


def test_jobs_are_added_and_done(tmp_path: Path, workspace: str) -> None:
    asked = ("--workspace", workspace)
    assert called(tmp_path, "queue", "add", "mail", "welcome", "--payload", '{"to": "ann"}', *asked).code == 0
    done = called(tmp_path, "queue", "work", "mail", "--processor", "exec:cat", "--until-empty", "--json", *asked)
    assert done.code == 0, done
    counts = called(tmp_path, "queue", "counts", "--json", *asked).events
    assert counts[0]["completed"] == 1


def test_runs_are_looked_at_and_pruned(tmp_path: Path, workspace: str) -> None:
    asked = ("--workspace", workspace)
    (tmp_path / "s.ndjson").write_text('{"_id": 1}\n{"_id": 2\n{"_id": 3}\n')
    moved = called(tmp_path, "migrate", "s.ndjson", "sqlite:///t.db#t", "--json", *asked)
    assert moved.code == 1, moved
    run = moved.summary["runs"][0]["run"]
    for look in (("show", run), ("history", run), ("rejects", run), ("list",)):
        shown = called(tmp_path, "runs", *look, *asked)
        assert shown.code == 0, shown
    verified = called(tmp_path, "verify", run, *asked)
    assert verified.code == 0, verified
    pruned = called(tmp_path, "runs", "prune", "--keep", "0", *asked)
    assert pruned.code == 0, pruned
    assert called(tmp_path, "runs", "list", "--json", *asked).out == ""


def test_what_only_a_file_can_do_is_refused_in_words(tmp_path: Path, workspace: str) -> None:
    copied = called(tmp_path, "workspace", "backup", "copy.db", "--workspace", workspace)
    assert copied.code == 2
    assert "pg_dump" in copied.err


def test_doctor_looks_at_it(tmp_path: Path, workspace: str) -> None:
    looked = called(tmp_path, "doctor", "--workspace", workspace)
    assert looked.code == 0, looked
    away = called(tmp_path, "doctor", "--workspace", "postgresql://ann:s3cret@127.0.0.1:1/shop")
    assert away.code != 0
    assert "s3cret" not in away.out + away.err
    assert "Traceback" not in away.err


async def test_work_on_a_queue_ends_when_its_server_does_not_come_back() -> None:
    if postgresql.program("initdb") is None:
        pytest.skip("PostgreSQL is not installed: see `make services`")
    with TemporaryDirectory(prefix="streamconsole-postgresql-", ignore_cleanup_errors=True) as made:
        Path(made).chmod(0o755)
        server = postgresql.Server(Path(made))
        server.start()
        try:
            workspace = await Workspace.open(server.url)
            try:
                (done,) = await _work_while_the_server_dies(workspace, server)
            finally:
                await workspace.close()
        finally:
            server.kill()
    assert done.exit_code() == exit_codes.FAILURE
    assert "stopped by a failure" in done.sentence()
    assert "queue work mail" in done.sentence()


async def _work_while_the_server_dies(workspace: Workspace, server: postgresql.Server) -> list[QueueSummary]:
    queue, said = Queue(workspace, "mail"), list[str]()
    await queue.add_bulk([("letter", None)] * 500)
    workers = QueueWorkers(workspace, Bus(), said.append, within=1, on_hangup="continue", patience=0.5)
    async with asyncio.timeout(90):
        working = asyncio.ensure_future(workers.work([QueueWork("mail", "exec:cat")], until_empty=True))
        while not (await queue.counts())[JobState.COMPLETED]:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(server.kill)
        return await working
