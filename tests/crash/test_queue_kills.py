"""Worker processes killed at random on one file: every job ends, effects that are fenced happen exactly once."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from time import monotonic, sleep

import pytest
from sqlalchemy import Connection

from streamconsole.engines.queue import JobState, Queue, Worker, counts
from streamconsole.engines.workspace import Workspace

ROOT = Path(__file__).parents[2]
WORKERS = 4
JOBS = 3_000


def start(workspace: Path, log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.crash.queue_program", str(workspace)],
            cwd=ROOT,
            stdout=file,
            stderr=file,
        )


async def fill(workspace: Workspace) -> None:
    await workspace.write(
        lambda connection: connection.exec_driver_sql("CREATE TABLE effects (job INTEGER, kind TEXT)")
    )
    queue = Queue(workspace, "mail")
    # What is killed again and again must not fail for that: this is about what is lost or done twice.
    await queue.configure(max_stalled_count=10_000)
    await queue.add_bulk([("fenced" if n % 2 else "plain", n) for n in range(JOBS)])


def effects(connection: Connection) -> dict[str, Counter[int]]:
    found: dict[str, Counter[int]] = {"fenced": Counter(), "plain": Counter()}
    for job, kind in connection.exec_driver_sql("SELECT job, kind FROM effects"):
        found[kind][job] += 1
    return found


async def test_workers_killed_at_random_lose_nothing(tmp_path: Path, crash_count: int) -> None:
    seed = int(os.environ.get("CRASH_SEED", random.randrange(10**6)))
    print(f"CRASH_SEED={seed}")
    chance = random.Random(seed)
    workspace = await Workspace.open(str(tmp_path / "w.db"))
    await fill(workspace)
    log = tmp_path / "log"
    workers = [start(workspace.path, log) for _ in range(WORKERS)]
    for _ in range(crash_count):
        # At random instants, start-up included: the sleep is the experiment.
        await asyncio.sleep(chance.uniform(0.05, 0.8))
        victim = chance.randrange(WORKERS)
        workers[victim].send_signal(signal.SIGKILL)
        await asyncio.to_thread(workers[victim].wait)
        workers[victim] = start(workspace.path, log)
    for worker in workers:
        assert await asyncio.to_thread(worker.wait, 100) == 0, log.read_text()
    assert "locked" not in log.read_text()
    assert "Traceback" not in log.read_text()
    found = await workspace.read(counts.of, "mail")
    assert found == await workspace.read(counts.recounted, "mail")
    assert found == dict.fromkeys(JobState, 0) | {JobState.COMPLETED: JOBS}
    done = await workspace.read(effects)
    assert done["fenced"] == Counter(range(1, JOBS, 2))
    assert set(done["plain"]) == set(range(0, JOBS, 2))
    await workspace.close()


@pytest.mark.parametrize("before", ["pass", "os.fork() or time.sleep(20)"])
async def test_a_dead_worker_is_noticed_within_two_seconds(tmp_path: Path, before: str) -> None:
    """Also when a processor has forked a child that lives on."""
    workspace = await Workspace.open(str(tmp_path / "w.db"))
    (tmp_path / "hang.py").write_text(
        "import asyncio, os, sys, time\n"
        "from streamconsole.engines.queue import Worker\n"
        "from streamconsole.engines.workspace import Workspace\n"
        f"async def hang(job):\n    {before}\n    print('begun', flush=True)\n    await asyncio.sleep(60)\n"
        "async def main():\n"
        "    workspace = await Workspace.open(sys.argv[1])\n"
        "    async with Worker(workspace, 'mail', hang) as worker:\n        await worker.wait()\n"
        "asyncio.run(main())\n"
    )
    queue = Queue(workspace, "mail")
    job = await queue.add("a")
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(tmp_path / "hang.py"), str(workspace.path)]
    process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert await asyncio.to_thread(process.stdout.readline) == b"begun\n"
    done = asyncio.Event()

    async def note(job: object) -> None:
        done.set()

    async with Worker(workspace, "mail", note) as worker:
        # A living one keeps its job, however long it takes.
        await asyncio.sleep(1.5)
        assert not done.is_set()
        process.kill()
        killed = monotonic()
        await asyncio.wait_for(done.wait(), 10)
        assert monotonic() - killed < 2.0
        await worker.until_empty()
    process.wait()
    process.stdout.close()
    found = await queue.get(job.id)
    assert found is not None
    assert (found.state, found.row.stalled, found.attempts_made) == (JobState.COMPLETED, 1, 1)
    await workspace.close()


def test_a_killed_worker_takes_the_processes_of_its_jobs_with_it(tmp_path: Path) -> None:
    (tmp_path / "jobs.py").write_text(
        "import os, time\ndef work(job):\n    open('pid', 'w').write(str(os.getpid()))\n    time.sleep(60)\n"
    )
    environ = os.environ | {"PYTHONPATH": str(ROOT)}

    def call(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "streamconsole", "queue", *arguments]

    subprocess.run(call("add", "mail", "a"), cwd=tmp_path, env=environ, check=True, capture_output=True)
    command = call("work", "mail", "--processor", "jobs:work", "--processes")
    process = subprocess.Popen(command, cwd=tmp_path, env=environ, stderr=subprocess.DEVNULL)
    pid = tmp_path / "pid"
    until(lambda: pid.exists() and pid.read_text().isdecimal())
    process.kill()
    process.wait()
    until(lambda: not alive(int(pid.read_text())))


def until(condition: object, within: float = 30.0) -> None:
    assert callable(condition)
    ends = monotonic() + within
    while not condition():
        assert monotonic() < ends
        sleep(0.02)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"
