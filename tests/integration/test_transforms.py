"""Transforms in whole runs: threads and children alike, crashes, retries, programs that have to be ended."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from streamconsole.engines.control import Verb
from streamconsole.engines.errors import Refused
from streamconsole.engines.migration.transforms.settings import TransformSettings, at_home
from streamconsole.engines.migration.transforms.spelling import parse
from streamconsole.engines.states import RunState, WindowState
from streamconsole.engines.supervisor import Ended
from tests.integration.running import QUICK, House, Waiter, house, inject, rows_of, write_lines
from tests.unit.test_program_transform import wait_gone


def users(path: Path, count: int = 200) -> Path:
    return write_lines(path, ({"id": n, "password": f"p{n}", "age": str(n)} for n in range(count)))


def table(tmp_path: Path, name: str = "t") -> str:
    return f"sqlite:///{tmp_path}/out.db#{name}"


def transforms(folder: Path, *texts: str) -> list[TransformSettings]:
    return [at_home(parse(text), folder) for text in texts]


def python(code: str) -> str:
    return f"exec:{shlex.quote(sys.executable)} -c {shlex.quote(code)}"


def wanted(count: int = 200) -> list[dict[str, Any]]:
    return [{"id": n, "password": hashlib.sha256(f"p{n}".encode()).hexdigest(), "age": n} for n in range(count)]


@pytest.mark.parametrize("pool", ["threads", "processes"])
async def test_rows_arrive_transformed_by_threads_and_by_processes(here: House, tmp_path: Path, pool: str) -> None:
    steps = transforms(tmp_path, "hash:password", "exec:cat", "cast:age=integer")
    run = await here.migrate(
        users(tmp_path / "in.ndjson"), table(tmp_path), window_rows=15, pool=pool, transform=steps, workers=3
    )
    assert rows_of(tmp_path / "out.db", order="id") == wanted()
    columns = {each["key"]: each["type"] for each in run.plan["schema"]["columns"]}
    assert columns == {"id": "integer", "password": "text", "age": "integer"}


async def test_rows_dropped_and_added_are_explained(here: House, tmp_path: Path) -> None:
    (tmp_path / "some_transforms_of_a_run.py").write_text(
        "def f(row):\n"
        "    if row['id'] % 3 == 0: return None\n"
        "    if row['id'] % 3 == 1: return row\n"
        "    if row['id'] == 5: raise ValueError('five')\n"
        "    return [row, {**row, 'id': row['id'] + 1000}, {**row, 'id': row['id'] + 2000}]\n"
    )
    steps = transforms(tmp_path, "python:some_transforms_of_a_run:f")
    run = await here.migrate(users(tmp_path / "in.ndjson", 90), table(tmp_path), window_rows=7, transform=steps)
    totals = await here.totals(run)
    assert (totals.rows_read, totals.rejects) == (90, 1)
    assert totals.rows_written == 30 + 29 * 3 == len(rows_of(tmp_path / "out.db"))
    assert totals.dropped == 90 - 1 - totals.rows_written
    assert [each["line"] for each in await here.rejects(run)] == [6]


async def test_a_run_that_was_lost_goes_on_with_its_transforms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = transforms(tmp_path, "hash:password", "exec:cat", "cast:age=integer")
    source = users(tmp_path / "in.ndjson")
    async with house(tmp_path / "workspace.db") as here:
        inject(monkeypatch, "lost@window.after_write:5")
        run = await here.create(source, table(tmp_path), window_rows=15, transform=steps, workers=2, pool="threads")
        ended = await here.work(run)
        assert ended.state is not RunState.COMPLETED
        inject(monkeypatch, "")
    async with house(tmp_path / "workspace.db") as here:
        assert await here.work(run) == Ended(run.id, RunState.COMPLETED)
    assert rows_of(tmp_path / "out.db", order="id") == wanted()


@pytest.mark.parametrize("pool", ["threads", "processes"])
async def test_a_program_that_fails_for_one_window_is_mended_and_the_window_done_again(
    here: House, tmp_path: Path, pool: str
) -> None:
    program = tmp_path / "check"
    program.write_text("#!/bin/sh\nif grep -q '\"id\":44,'; then echo 'no 44 please' >&2; exit 7; fi\n")
    # What it reads for looking is gone for printing: the whole is kept first.
    program.write_text(
        "#!/bin/sh\nall=$(cat)\n"
        'if echo "$all" | grep -q \'"id":44,\'; then echo \'no 44 please\' >&2; exit 7; fi\necho "$all"\n'
    )
    program.chmod(0o755)
    steps = transforms(tmp_path, "exec:./check", "hash:password", "cast:age=integer")
    # The sample holds all rows, the bad one too: that is no reason to refuse the run.
    run = await here.migrate(users(tmp_path / "in.ndjson"), table(tmp_path), window_rows=20, transform=steps, pool=pool)
    records = await here.windows(run)
    failed = [record for record in records if record.state is WindowState.FAILED]
    assert [record.window.number for record in failed] == [3]
    assert failed[0].error == "check: it ended with exit status 7: no 44 please"
    assert len(rows_of(tmp_path / "out.db")) == 180
    stderr = here.workspace.path.with_name(f"stderr-{run.id}") / "00000003-check.txt"
    assert stderr.read_text() == "no 44 please\n"
    assert stderr.stat().st_mode & 0o077 == 0
    program.write_text("#!/bin/sh\nexec cat\n")
    assert (await here.say(run, Verb.RETRY)).done
    assert await here.supervisor.wait() == [Ended(run.id, RunState.COMPLETED)]
    assert rows_of(tmp_path / "out.db", order="id") == wanted()


@pytest.mark.parametrize("pool", ["threads", "processes"])
async def test_a_program_that_never_ends_is_ended_when_a_drain_runs_out_of_time(tmp_path: Path, pool: str) -> None:
    mark = f"never-ends-{pool}-{os.getpid()}"
    begun = tmp_path / "begun"
    program = tmp_path / "check"
    program.write_text("#!/bin/sh\nexec cat\n")
    program.chmod(0o755)
    async with house(tmp_path / "workspace.db") as here:
        steps = transforms(tmp_path, "exec:./check")
        source = users(tmp_path / "in.ndjson")
        run = await here.create(source, table(tmp_path), window_rows=50, transform=steps, pool=pool)
        os.mkfifo(begun)
        program.write_text(f"#!/bin/bash\necho > {begun}\nexec -a {mark} sleep 1000\n")
        task = await here.supervisor.start(run.id)
        await asyncio.to_thread(begun.read_bytes)
        leftover = await here.engine.drain(run.id, 0.1)
        assert not leftover.finished
        ended = await asyncio.wait_for(task, 30)
        assert ended.state is RunState.PAUSED
        assert await asyncio.to_thread(wait_gone, mark)
        begun.unlink()
        program.write_text("#!/bin/sh\nexec cat\n")
        assert {record.state for record in await here.windows(run)} <= {WindowState.PENDING, WindowState.COMPLETED}
        assert await here.work(run) == Ended(run.id, RunState.COMPLETED)
    assert len(rows_of(tmp_path / "out.db")) == 200


async def test_a_program_that_takes_too_long_fails_its_window(here: House, tmp_path: Path) -> None:
    program = tmp_path / "check"
    program.write_text("#!/bin/sh\nexec cat\n")
    program.chmod(0o755)
    steps = [each.model_copy(update={"timeout": 0.3}) for each in transforms(tmp_path, "exec:./check")]
    run = await here.create(
        users(tmp_path / "in.ndjson", 5), table(tmp_path), transform=steps, retry=QUICK | {"attempts": 1}
    )
    program.write_text("#!/bin/sh\nexec sleep 1000\n")
    waiter = Waiter(here.bus)
    await here.work(run)
    event: Any = await waiter.until("WindowFailed")
    assert event.message == "check: it took longer than 0.3 s"


async def test_what_is_gone_at_the_resume_is_refused_and_nothing_is_lost(here: House, tmp_path: Path) -> None:
    program = tmp_path / "check"
    program.write_text("#!/bin/sh\nexec cat\n")
    program.chmod(0o755)
    run = await here.create(
        users(tmp_path / "in.ndjson"), table(tmp_path), transform=transforms(tmp_path, "exec:./check")
    )
    program.unlink()
    ended = await here.work(run)
    assert isinstance(ended.error, Refused)
    assert "check" in str(ended.error)


async def test_a_key_that_changed_is_noticed_at_the_resume(
    here: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PEPPER", "a very secret pepper")
    run = await here.create(
        users(tmp_path / "in.ndjson"), table(tmp_path), transform=transforms(tmp_path, "hash:password::PEPPER")
    )
    monkeypatch.setenv("PEPPER", "another")
    ended = await here.work(run)
    assert isinstance(ended.error, Refused)
    assert "PEPPER" in str(ended.error)
    monkeypatch.setenv("PEPPER", "a very secret pepper")
    assert await here.work(run) == Ended(run.id, RunState.COMPLETED)
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"very secret" not in kept


async def test_a_map_fixes_types_and_never_widens_them(here: House, tmp_path: Path) -> None:
    rows = [{"id": n, "zip": n if n < 50 else f"{n:05d}", "n": n if n != 60 else "sixty", "x": 1} for n in range(100)]
    columns = {"zip": {"type": "text", "rename": "postcode"}, "n": {"type": "integer"}, "x": {"drop": True}}
    source = write_lines(tmp_path / "in.ndjson", rows)
    run = await here.migrate(source, table(tmp_path), window_rows=9, columns=columns)
    found = rows_of(tmp_path / "out.db", order="id")
    assert [row["postcode"] for row in found] == [str(row["zip"]) for row in rows if row["id"] != 60]
    assert [*found[0]] == ["id", "postcode", "n"]
    assert [(each["line"], each["column"]) for each in await here.rejects(run)] == [(61, "n")]
    types = {each["name"]: each["type"] for each in run.plan["schema"]["columns"]}
    assert types == {"id": "integer", "postcode": "text", "n": "integer"}
