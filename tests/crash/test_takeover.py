"""One run, two processes: the living one keeps it, a dead one's is taken over at once."""

from __future__ import annotations

import signal
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic

import pytest

from streamconsole.engines.errors import StaleEpoch
from streamconsole.engines.migration.batch import Batch, DecodeTask, decode
from streamconsole.engines.migration.locations import source_of, target_of
from streamconsole.engines.migration.planning import plan
from streamconsole.engines.migration.settings import MigrationSettings
from streamconsole.engines.units import Window
from tests.crash.conftest import Uninterrupted
from tests.crash.inputs import CUSTOMERS_IN_MANY
from tests.crash.interrupting import Attempt
from tests.crash.outcome import differences
from tests.program import Result, committed, finish, run, wait_until
from tests.unit.loading import write


@contextmanager
def stopped_in_the_middle(attempt: Attempt) -> Iterator[int]:
    """The run's owner, halted (and alive) with something done and something left."""
    process = attempt.begin()
    try:
        wait_until(lambda: committed(attempt.target), "a window is committed")
        wait_until(lambda: _halted_between_transactions(process, attempt.workspace), "it is halted")
        assert attempt.lands()
        attempt.run = _run_of(attempt)
        yield process.pid
        process.send_signal(signal.SIGCONT)
        result = finish(process)
        assert result.code == 0, result
    finally:
        process.kill()
        process.communicate()


def _halted_between_transactions(process: subprocess.Popen[str], workspace: Path) -> bool:
    """Halt it; not where it holds the workspace itself, or nobody could even read who owns what."""
    process.send_signal(signal.SIGSTOP)
    wait_until(lambda: "T (stopped)" in Path(f"/proc/{process.pid}/status").read_text(), "it is halted")
    with closing(sqlite3.connect(workspace, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            process.send_signal(signal.SIGCONT)
            return False
    return True


def _run_of(attempt: Attempt) -> str:
    with closing(sqlite3.connect(f"file:{attempt.workspace}?mode=ro", uri=True)) as connection:
        return str(connection.execute("SELECT id FROM runs").fetchone()[0])


def _resume(attempt: Attempt) -> Result:
    assert attempt.run is not None
    return run("migrate", "--resume", attempt.run, "--no-ui", "--workspace", "w.db", cwd=attempt.folder)


def test_a_held_run_is_refused(tmp_path: Path, uninterrupted: Uninterrupted) -> None:
    """Not even a halted owner is taken for dead on its own host."""
    attempt = Attempt(CUSTOMERS_IN_MANY, tmp_path)
    with stopped_in_the_middle(attempt) as owner:
        refused = _resume(attempt)
        assert refused.code == 2, refused
        assert f"held by {socket.gethostname()} pid {owner}" in refused.err
        assert len(refused.err.splitlines()) == 1
    assert differences(uninterrupted(CUSTOMERS_IN_MANY)[0], attempt.outcome()) == []


def test_a_dead_owners_run_is_taken_over_at_once(tmp_path: Path, uninterrupted: Uninterrupted) -> None:
    attempt = Attempt(CUSTOMERS_IN_MANY, tmp_path)
    process = attempt.begin()
    wait_until(lambda: committed(attempt.target), "a window is committed")
    process.kill()
    attempt.end(process)
    assert attempt.lands()
    before = committed(attempt.target)
    began = monotonic()
    process = attempt.begin()
    wait_until(lambda: committed(attempt.target) > before, "the new owner commits a window")
    # Two seconds for noticing, the rest for starting a program on a busy machine.
    assert monotonic() - began < 2.0 + uninterrupted(CUSTOMERS_IN_MANY)[1]
    assert attempt.end(process).code == 0
    assert differences(uninterrupted(CUSTOMERS_IN_MANY)[0], attempt.outcome()) == []


@pytest.mark.parametrize("ahead", [1, 2], ids=["by one", "by two"])
@pytest.mark.parametrize("name", ["target.db", "target.ndjson"])
async def test_a_late_owner_writes_nothing(name: str, ahead: int, tmp_path: Path) -> None:
    path = tmp_path / name
    location = str(path) if path.suffix == ".ndjson" else f"sqlite:///{path}#t"
    settings = MigrationSettings(source="generate://orders?count=20", target=location, window_rows=10)
    planned = plan(settings).data
    late, new = target_of(settings), target_of(settings)
    for target, epoch in ((late, 1), (new, 1 + ahead)):
        if "schema" in planned:
            target.use(planned["schema"])
        await target.open("run-1", epoch)
    window = Window(1, 0, 10, 0, 10)
    reader = source_of(settings).reader
    batch: Batch = decode(DecodeTask(reader, late.writer().normalizer, window))
    with pytest.raises(StaleEpoch):
        write(late, window, batch, reader)
    assert committed(path) == 0
    write(new, window, batch, reader)
    assert committed(path) == 1
    await late.close()
    await new.close()
