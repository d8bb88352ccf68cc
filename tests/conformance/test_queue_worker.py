"""The worker: whatever a processor does is that job's outcome, and the worker lives on."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from streamconsole.engines.bus import Bus
from streamconsole.engines.errors import Refused, SideLost
from streamconsole.engines.queue import (
    Backoff,
    Happened,
    Job,
    JobState,
    Queue,
    UnrecoverableError,
    Worker,
    WorkerEvent,
    attempts,
    worker,
)
from streamconsole.engines.queue.listeners import Listener
from streamconsole.engines.queue.turns import turn
from streamconsole.engines.workspace import Workspace


@pytest_asyncio.fixture
async def queue(workspace: Workspace) -> AsyncIterator[Queue]:
    yield Queue(workspace, "mail")


async def work(queue: Queue, processor: Any, **given: Any) -> Worker:
    async with asyncio.timeout(60):
        async with Worker(queue.workspace, queue.name, processor, **given) as made:
            await made.until_empty()
        return made


async def only(queue: Queue, job: Job) -> Job:
    found = await queue.get(job.id)
    assert found is not None
    return found


async def until(condition: Any, within: float = 10.0) -> None:
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.005)


# Outcomes ----------------------------------------------------------------------------------------


class OddError(BaseException):
    """Not even an Exception."""


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def raising(error: BaseException) -> Any:
    async def process(job: Job) -> None:
        raise error

    return process


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("bad row"), "ValueError: bad row"),
        (OddError("odd"), "OddError: odd"),
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (asyncio.CancelledError(), "CancelledError"),
        (GeneratorExit(), "GeneratorExit"),
        (UnrecoverableError("never"), "never"),
        (Unprintable(), "(its text cannot be had)"),
        (ValueError("postgresql://u:hunter2@h/db"), "postgresql://u:***@h/db"),
    ],
)
@pytest.mark.parametrize("sync", [False, True])
async def test_whatever_is_raised_is_the_failure(queue: Queue, error: BaseException, told: str, sync: bool) -> None:
    def plain(job: Job) -> None:
        raise error

    job = await queue.add("a")
    after = await queue.add("b")
    processors = {"a": plain if sync else raising(error), "b": lambda job: "fine"}

    async def process(job: Job) -> Any:
        result = processors[job.name](job)
        return await result if asyncio.iscoroutine(result) else result

    await work(queue, (lambda job: processors[job.name](job)) if sync else process)
    assert told in str((await only(queue, job)).failure)
    assert "hunter2" not in str((await only(queue, job)).failure) + str(await queue.failures(job.id))
    assert (await only(queue, after)).result == "fine"


@pytest.mark.parametrize("result", [object(), {1, 2}, float("nan")])
async def test_a_result_that_is_not_json_fails_the_job(queue: Queue, result: Any) -> None:
    job = await queue.add("a", attempts=3)
    await work(queue, lambda job: result)
    assert "result of job 1 is not JSON" in str((await only(queue, job)).failure)


async def test_a_job_is_tried_as_often_as_it_says_and_remembers_each_failure(queue: Queue) -> None:
    job = await queue.add("a", None, attempts=3, backoff=20)
    tried: list[int] = []

    async def process(job: Job) -> str:
        tried.append(job.attempts_made)
        if len(tried) < 3:
            raise ValueError(f"try {len(tried)}")
        return "done"

    await work(queue, process)
    assert tried == [0, 1, 2]
    found = await only(queue, job)
    assert (found.state, found.result, found.attempts_made, found.failure) == (JobState.COMPLETED, "done", 3, None)
    assert [failure["reason"] for failure in await queue.failures(job.id)] == ["ValueError: try 2", "ValueError: try 1"]
    assert 'raise ValueError(f"try' in (await queue.failures(job.id))[0]["trace"]


async def test_what_cannot_be_recovered_is_not_tried_again(queue: Queue) -> None:
    job = await queue.add("a", None, attempts=5)
    await work(queue, raising(UnrecoverableError("no such customer")))
    found = await only(queue, job)
    assert (found.state, found.attempts_made, found.failure) == (JobState.FAILED, 1, "no such customer")


async def test_a_backoff_of_the_users_own(queue: Queue) -> None:
    jobs = [await queue.add(name, None, attempts=3, backoff={"type": name}) for name in ("soon", "never", "unknown")]
    asked: list[tuple[int, str]] = []

    def soon(made: int, error: BaseException, job: Job) -> int:
        asked.append((made, str(error)))
        return 5

    await work(queue, raising(ValueError("x")), backoffs={"soon": soon, "never": lambda *_: -1})
    assert asked == [(1, "x"), (2, "x")]
    assert [(await only(queue, job)).attempts_made for job in jobs] == [3, 1, 1]
    assert "knows no backoff named 'unknown'" in str((await only(queue, jobs[2])).failure)


@pytest.mark.parametrize(
    ("backoff", "pauses"),
    [
        (Backoff(delay=100), [100, 100, 100]),
        (Backoff(type="exponential", delay=100), [100, 200, 400]),
        (Backoff(type="exponential", delay=100, cap=250), [100, 200, 250]),
        (Backoff.model_validate({"delay": timedelta(seconds=2)}), [2000, 2000, 2000]),
    ],
)
def test_pauses_grow_as_asked(backoff: Backoff, pauses: list[int]) -> None:
    assert [backoff.pause(made) for made in (1, 2, 3)] == pauses


def test_jitter_takes_away_at_most_its_share_and_a_huge_count_does_not_overflow() -> None:
    pauses = {Backoff(delay=1000, jitter=0.5).pause(1) for _ in range(200)}
    assert 500 <= min(pauses) < max(pauses) <= 1000
    assert Backoff(type="exponential", delay=1000).pause(10**6) > 0


# Time, cancel, close -----------------------------------------------------------------------------


async def test_a_coroutine_out_of_time_is_cancelled_and_fails(queue: Queue) -> None:
    job = await queue.add("a", None, timeout=50)

    async def process(job: Job) -> None:
        await asyncio.sleep(60)

    await work(queue, process)
    assert (await only(queue, job)).failure == "the attempt took longer than 0.05 s"


async def test_what_ignores_its_timeout_keeps_its_slot_and_is_named(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "GRACE", 0.05)
    job = await queue.add("a", None, timeout=20)
    release = asyncio.Event()
    errors: list[str] = []

    async def process(job: Job) -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    async with Worker(queue.workspace, "mail", process) as made:
        made.on(WorkerEvent.ERROR, lambda job, what: errors.append(what))
        await until(lambda: errors)
        assert len(made.active) == 1
        release.set()
        await made.until_empty()
    assert "does not stop" in errors[0]
    assert Happened.OVERDUE in [event.name for event in await queue.timeline(job.id)]
    assert "longer than" in str((await only(queue, job)).failure)


async def test_an_active_job_is_cancelled_from_elsewhere_and_not_tried_again(queue: Queue) -> None:
    other = await Workspace.open(queue.workspace.url)
    job = await queue.add("a", None, attempts=5)

    async def process(job: Job) -> None:
        await asyncio.sleep(60)

    async with Worker(queue.workspace, "mail", process) as made:
        await until(lambda: made.active)
        await Queue(other, "mail").cancel(job.id)
        async with asyncio.timeout(5):
            await made.until_empty()
    await other.close()
    found = await only(queue, job)
    assert (found.state, found.failure) == (JobState.FAILED, "cancelled")


async def test_a_thread_is_asked_to_stop_and_may_listen(queue: Queue) -> None:
    job = await queue.add("a")

    def process(job: Job) -> None:
        while not job.cancelled:
            time.sleep(0.005)

    async with Worker(queue.workspace, "mail", process) as made:
        await until(lambda: made.active)
        await queue.cancel(job.id)
        await made.until_empty()
    assert (await only(queue, job)).failure == "cancelled"


async def test_closing_lets_jobs_finish_and_hands_the_rest_back_uncounted(queue: Queue) -> None:
    short, long, waiting = [await queue.add(name) for name in ("short", "long", "waiting")]
    made = Worker(queue.workspace, "mail", lambda job: time.sleep(0.2 if job.name == "short" else 2.5), concurrency=2)
    await made.start()
    await until(lambda: len(made.active) == 2)
    assert await made.close(within=0.5) == 1
    assert (await only(queue, short)).state is JobState.COMPLETED
    handed_back = await only(queue, long)
    assert (handed_back.state, handed_back.attempts_made) == (JobState.WAITING, 0)
    assert (await only(queue, waiting)).state is JobState.WAITING
    await until(lambda: made.left_behind == 0)
    # What the thread does in the end is nobody's result.
    assert (await only(queue, long)).state is JobState.WAITING


async def test_a_worker_starts_paused_and_is_paused_alone(queue: Queue) -> None:
    job = await queue.add("a")
    async with Worker(queue.workspace, "mail", lambda job: None, start_paused=True) as made:
        await asyncio.sleep(0.1)
        assert (await only(queue, job)).state is JobState.WAITING
        made.resume()
        await made.until_empty()


# Telling -----------------------------------------------------------------------------------------


async def test_progress_and_log_reach_the_store_while_the_job_is_at_work(queue: Queue) -> None:
    job = await queue.add("a")
    go_on = asyncio.Event()

    async def process(job: Job) -> None:
        await job.update_progress({"done": 1, "of": 2})
        await job.add_log("half way")
        await go_on.wait()
        job.add_log("done")

    async with Worker(queue.workspace, "mail", process) as made:
        await until(lambda: made.active)
        async with asyncio.timeout(2):
            while (await only(queue, job)).progress is None:
                await asyncio.sleep(0.01)
        assert (await only(queue, job)).progress == {"done": 1, "of": 2}
        assert [line.line for line in await queue.logs(job.id)] == ["half way"]
        go_on.set()
        await made.until_empty()
    assert [line.line for line in await queue.logs(job.id)] == ["half way", "done"]


async def test_progress_is_written_at_most_ten_times_a_second(queue: Queue) -> None:
    job = await queue.add("a")

    async def process(job: Job) -> None:
        for n in range(200):
            job.update_progress(n)
            await asyncio.sleep(0.0025)

    began = time.monotonic()
    await work(queue, process)
    ticks = [event for event in await queue.timeline(job.id) if event.name is Happened.PROGRESS]
    assert 1 < len(ticks) <= (time.monotonic() - began) * 10 + 3
    assert (await only(queue, job)).progress == 199


async def test_a_log_keeps_its_newest_lines(queue: Queue) -> None:
    job = await queue.add("a", None, keep_logs=3)

    def process(job: Job) -> None:
        for n in range(10):
            job.add_log(f"line {n}")

    await work(queue, process)
    assert [line.line for line in await queue.logs(job.id)] == ["line 7", "line 8", "line 9"]


async def test_a_worker_tells_its_listeners_and_the_bus(queue: Queue) -> None:
    bus = Bus()
    journal = bus.journal()
    told: list[tuple[str, str | None, Any]] = []
    await queue.add("good", 1)
    await queue.add("bad", 2)

    def process(job: Job) -> int:
        if job.name == "bad":
            raise ValueError("no")
        return 7

    def hear(event: WorkerEvent) -> Listener:
        return lambda job, value: told.append((event, job.name if job else None, value))

    def broken(job: Job | None, value: Any) -> None:
        raise ZeroDivisionError

    made = Worker(queue.workspace, "mail", process, bus=bus)
    for event in (WorkerEvent.ACTIVE, WorkerEvent.PROCESSED, WorkerEvent.ERRORED, WorkerEvent.DRAINED):
        made.on(event, hear(event))
    made.on("worker.job.processed", broken)
    async with made:
        await made.until_empty()
    assert told == [
        ("worker.job.active", "good", None),
        ("worker.job.processed", "good", 7),
        ("worker.job.active", "bad", None),
        ("worker.job.errored", "bad", "ValueError: no"),
        ("worker.drained", None, None),
    ]
    names = [event.name for event in journal.drain()]
    assert [names.count(name) for name in ("JobActive", "JobCompleted", "JobFailed", "QueueDrained")] == [2, 1, 1, 1]


async def test_events_of_all_processes_are_heard(queue: Queue) -> None:
    heard: list[str] = []

    async def listen() -> None:
        async for event in queue.events(after=0):
            heard.append(str(event.name))  # noqa: PERF401 one by one, as they come

    listening = asyncio.create_task(listen())
    other = await Workspace.open(queue.workspace.url)
    await Queue(other, "mail").add("a")
    await work(queue, lambda job: None)
    await Queue(other, "mail").pause()
    await until(lambda: "paused" in heard)
    listening.cancel()
    await other.close()
    assert heard == ["added", "active", "completed", "paused"]


async def test_a_processor_that_holds_up_the_loop_is_named(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "BLOCKED", 0.3)
    bus = Bus()
    journal = bus.journal()
    job = await queue.add("a")

    async def process(job: Job) -> None:
        time.sleep(1.2)

    await work(queue, process, bus=bus)
    (said,) = [event for event in await queue.timeline(job.id) if event.name is Happened.BLOCKING]
    assert __file__ in said.data["place"]
    assert "LoopBlocked" in [event.name for event in journal.drain()]
    assert (await only(queue, job)).state is JobState.COMPLETED


# Processors --------------------------------------------------------------------------------------


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A user's module in the present folder."""
    name = f"jobs_{os.urandom(4).hex()}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    yield name
    sys.modules.pop(name, None)


MODULE = """
import os, sys, time
from streamconsole.engines.queue import UnrecoverableError

def double(job):
    print("noise", flush=True)
    os.write(1, b"\\xff\\x00binary")
    job.update_progress(0.5)
    job.add_log("doubling")
    return {"pid": os.getpid(), "double": job.payload * 2}

async def coroutine(job):
    return "from a coroutine"

def fail(job):
    raise UnrecoverableError("for good") if job.payload else ValueError("for now")

def sleep(job):
    time.sleep(60)

def die(job):
    os._exit(7)

def fork(job):
    if os.fork() == 0:
        return "the child came back, too"
    return "the parent"
"""


async def test_a_function_in_a_process(queue: Queue, module: str) -> None:
    job = await queue.add("a", 21)
    await work(queue, f"{module}:double")
    found = await only(queue, job)
    assert found.result["double"] == 42
    assert found.result["pid"] != os.getpid()
    assert (found.progress, [line.line for line in await queue.logs(job.id)]) == (0.5, ["doubling"])
    other = await queue.add("a")
    await work(queue, f"{module}:coroutine")
    assert (await only(queue, other)).result == "from a coroutine"


async def test_failures_in_a_process_are_those_of_the_job(queue: Queue, module: str) -> None:
    again, never = await queue.add("a", 0, attempts=2), await queue.add("a", 1, attempts=2)
    await work(queue, f"{module}:fail")
    assert [(await only(queue, job)).attempts_made for job in (again, never)] == [2, 1]
    assert (await only(queue, again)).failure == "ChildFailed: ValueError: for now"
    assert 'raise UnrecoverableError("for good")' in (await queue.failures(again.id))[0]["trace"]


async def test_a_process_out_of_time_is_killed_and_one_that_dies_is_replaced(queue: Queue, module: str) -> None:
    job = await queue.add("a", None, timeout=300)
    await work(queue, f"{module}:sleep")
    assert "longer than" in str((await only(queue, job)).failure)
    job = await queue.add("a")
    await work(queue, f"{module}:die")
    assert "ended in the middle of the job (status 7)" in str((await only(queue, job)).failure)


async def test_a_processor_that_forks_leaves_one_worker(queue: Queue, module: str) -> None:
    job = await queue.add("a")

    async def fork(job: Job) -> str:
        return "the copy" if os.fork() == 0 else "the parent"

    await work(queue, fork)
    assert (await only(queue, job)).result == "the parent"


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("nothing", "write module:function"),
        ("no_such_module_anywhere:f", "there is no module no_such_module_anywhere"),
        ("json:nonsense", "module json has no function nonsense"),
        ("exec:", "is empty"),
        (17, "is no processor"),
    ],
)
async def test_a_processor_that_is_not_there_is_refused(queue: Queue, place: Any, told: str) -> None:
    with pytest.raises(Refused, match=told):
        Worker(queue.workspace, "mail", place)


async def test_a_module_that_cannot_be_loaded_is_refused(queue: Queue, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "broken_jobs.py").write_text("x = 1\nx +\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refused, match="broken_jobs cannot be loaded"):
        Worker(queue.workspace, "mail", "broken_jobs:f")


def shell(script: str) -> list[str]:
    return ["bash", "-c", script]


async def test_a_command_reads_its_payload_and_prints_its_result(queue: Queue) -> None:
    job = await queue.add("a", {"n": 5}, job_id="order")
    script = 'read line; echo "progress: 50" >&2; echo "$JOB_ID $JOB_ATTEMPT" >&2; echo "{\\"got\\": $line}"'
    await work(queue, shell(script))
    found = await only(queue, job)
    assert found.result == {"got": {"n": 5}}
    assert found.progress == 50
    assert [line.line for line in await queue.logs(job.id)] == ["order 1"]


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo no disk >&2; exit 3", "bash ended with 3: no disk"),
        ("kill -9 $$", "bash was killed by SIGKILL"),
        ("exit 64", "bash ended with 64"),
    ],
)
async def test_a_command_that_fails_says_how(queue: Queue, script: str, told: str) -> None:
    job = await queue.add("a")
    await work(queue, shell(script))
    assert told in str((await only(queue, job)).failure)


async def test_a_command_may_print_anything(queue: Queue) -> None:
    job = await queue.add("a", "x" * 300_000)
    await work(queue, shell(r"printf '\xff\x00\x1b[31m'; printf '\xfe\x1b[2J' >&2"))
    found = await only(queue, job)
    assert found.result == "�\x00\x1b[31m"
    assert [line.line for line in await queue.logs(job.id)] == ["�␛[2J"]


async def test_a_command_out_of_time_is_killed_with_all_it_started(queue: Queue, tmp_path: Path) -> None:
    job = await queue.add("a", None, timeout=300)
    mark = tmp_path / "grandchild"
    await work(queue, shell(f"(sleep 3; touch {mark}) & sleep 60"))
    assert "longer than" in str((await only(queue, job)).failure)
    await asyncio.sleep(3)
    assert not mark.exists()


async def test_a_command_that_is_not_there_fails_the_job(queue: Queue) -> None:
    job = await queue.add("a", attempts=3)
    await work(queue, ["/no/such/program"])
    assert "cannot be run" in str((await only(queue, job)).failure)


# The workspace is lost -----------------------------------------------------------------------------


class Outage:
    """A workspace that cannot be written, for as long as it is so."""

    def __init__(self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lasts = True
        self.refused = 0
        self._write = workspace.write
        monkeypatch.setattr(workspace, "write", self.write)
        monkeypatch.setattr(worker, "TRY_AGAIN", 0.01)

    async def write(self, function: Any, *args: Any) -> Any:
        if self.lasts and function is turn:
            self.refused += 1
            raise SideLost("workspace", "the workspace is gone")
        return await self._write(function, *args)


async def test_a_worker_ends_when_its_workspace_stays_lost(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    await queue.add("letter")
    outage = Outage(queue.workspace, monkeypatch)
    made = await work(queue, lambda job: None, patience=0.05)
    assert str(made.lost) == "the workspace is gone"
    assert outage.refused > 1
    outage.lasts = False
    assert (await work(queue, lambda job: None)).done == 1


async def test_a_worker_goes_on_when_its_workspace_is_back_in_time(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    await queue.add("letter")
    outage = Outage(queue.workspace, monkeypatch)
    async with Worker(queue.workspace, queue.name, lambda job: None, patience=60) as made:
        await until(lambda: outage.refused > 3)
        outage.lasts = False
        await made.until_empty()
    assert (made.done, made.lost) == (1, None)


async def test_closing_ends_though_the_workspace_is_lost(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    await queue.add("letter")
    begun, go = asyncio.Event(), asyncio.Event()

    async def process(job: Job) -> None:
        begun.set()
        await go.wait()

    made = Worker(queue.workspace, queue.name, process)
    await made.start()
    await asyncio.wait_for(begun.wait(), 30)
    outage = Outage(queue.workspace, monkeypatch)
    monkeypatch.setattr(worker, "LAST_TRIES", 0.05)
    go.set()
    await until(lambda: outage.refused > 1)
    async with asyncio.timeout(30):
        await made.close()
    assert isinstance(made.lost, SideLost)
