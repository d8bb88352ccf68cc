"""What operators command, and what becomes of a run whose process goes away."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest

from streamconsole.engines import faults
from streamconsole.engines.control import Command, Verb
from streamconsole.engines.errors import Held, Refused, SideLost
from streamconsole.engines.migration.history import History
from streamconsole.engines.states import RunState, WindowState
from streamconsole.engines.supervisor import Ended
from streamconsole.engines.workspace import commands, windows
from tests.integration.running import QUICK, Gate, House, Waiter, house, inject, rows_of, write_lines


def numbered(path: Path, count: int) -> Path:
    return write_lines(path, ({"id": n, "name": f"row {n}"} for n in range(count)))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return numbered(tmp_path / "source.ndjson", 100)


@pytest.fixture(params=["sqlite", "ndjson"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/out.db#t" if request.param == "sqlite" else str(tmp_path / "out.ndjson")


def ids(tmp_path: Path) -> list[int]:
    if (tmp_path / "out.db").exists():
        return [row["id"] for row in rows_of(tmp_path / "out.db", order="id")]
    return [orjson.loads(line)["id"] for line in (tmp_path / "out.ndjson").read_bytes().splitlines()]


def fail_once_and_hold(monkeypatch: pytest.MonkeyPatch, failing: set[str]) -> Gate:
    """Fails some windows once; holds the ninth, so that the run is still there when they have failed."""
    gate = Gate(monkeypatch, "window.before_commit", lambda unit: unit == "9")
    hold = gate._reach

    def reach(point: str, unit: object = None) -> None:
        if point == "window.after_claim" and str(unit) in failing:
            failing.remove(str(unit))
            raise OSError("once")
        hold(point, unit)

    monkeypatch.setattr(faults, "reach", reach)
    return gate


# Failed windows --------------------------------------------------------------------------------------


async def test_a_window_that_fails_is_in_the_history_and_retried_alone(
    here: House, tmp_path: Path, source: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inject(monkeypatch, "fail@window.after_claim:3*2")
    waiter = Waiter(here.bus)
    run = await here.migrate(source, target, window_rows=10)
    records = await here.windows(run)
    assert [record.window.number for record in records if record.state is WindowState.FAILED] == [3]
    assert "fault injected" in (records[2].error or "")
    failures = await here.workspace.read(windows.failures_of, run.id, 3)
    assert [failure["attempt"] for failure in failures] == [2, 1]
    assert ids(tmp_path) == [n for n in range(100) if n // 10 != 2]
    assert waiter.names().count("WindowRetried") == 1
    assert waiter.names().count("WindowFailed") == 1

    attempts = {record.window.number: record.attempt for record in records}
    assert (await here.say(run, Verb.RETRY)).done
    assert await here.supervisor.wait() == [Ended(run.id, RunState.COMPLETED)]
    again = await here.windows(run)
    assert {record.state for record in again} == {WindowState.COMPLETED}
    assert {r.window.number: r.attempt for r in again} == attempts | {3: 3}
    assert ids(tmp_path) == list(range(100))
    assert not list(tmp_path.glob("out.ndjson.*"))


async def test_one_failed_window_of_a_living_run_is_retried_by_its_number(
    here: House, tmp_path: Path, source: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = fail_once_and_hold(monkeypatch, {"2", "4"})
    waiter = Waiter(here.bus)
    run = await here.create(source, target, window_rows=10, retry=QUICK | {"attempts": 1})
    task = await here.supervisor.start(run.id)
    await waiter.until("WindowFailed", 2)
    assert not (await here.say(run, Verb.RETRY, "1")).done
    assert (await here.say(run, Verb.RETRY, "2")).done
    gate.open()
    assert await asyncio.wait_for(task, 30) == Ended(run.id, RunState.COMPLETED)
    failed = [r.window.number for r in await here.windows(run) if r.state is WindowState.FAILED]
    assert failed == [4]
    assert ids(tmp_path) == [n for n in range(100) if n // 10 != 3]


async def test_retry_said_twice_at_once_does_no_harm(
    here: House, source: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = fail_once_and_hold(monkeypatch, {str(n) for n in range(1, 6)})
    waiter = Waiter(here.bus)
    run = await here.create(source, target, window_rows=10, retry=QUICK | {"attempts": 1})
    task = await here.supervisor.start(run.id)
    await waiter.until("WindowFailed", 5)
    outcomes = await asyncio.gather(*(here.say(run, Verb.RETRY) for _ in range(3)))
    assert any(outcome.done for outcome in outcomes)
    gate.open()
    assert await asyncio.wait_for(task, 30) == Ended(run.id, RunState.COMPLETED)
    totals = await here.totals(run)
    assert (totals.completed, totals.failed, totals.pending, totals.rows_written) == (10, 0, 0, 100)


# Lost sides ----------------------------------------------------------------------------------------------


async def test_a_lost_side_is_a_failure_with_its_history_and_resumes_with_what_is_left(
    here: House, tmp_path: Path, source: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inject(monkeypatch, "lost@window.after_claim:5")
    run = await here.create(source, target, window_rows=10, workers=1)
    ended = await here.work(run)
    assert ended.state is RunState.FAILURE
    assert isinstance(ended.error, SideLost)
    lost = await here.run(run)
    assert (lost.state, lost.owner) == (RunState.FAILURE, None)
    saved = orjson.loads((tmp_path / f"history-{run.id}.json").read_bytes())
    states = {each["window"]: each["state"] for each in saved}
    assert states[5] == "pending"
    assert [states[n] for n in range(1, 5)] == ["completed"] * 4

    waiter = Waiter(here.bus)
    assert (await here.say(run, Verb.RESUME)).done
    assert await here.supervisor.wait() == [Ended(run.id, RunState.COMPLETED)]
    waiter.names()
    begun = sorted(int(event.unit or 0) for event in waiter.seen if event.name == "WindowStarted")
    assert begun == list(range(5, 11))
    assert ids(tmp_path) == list(range(100))


async def test_a_workspace_lost_while_a_failure_is_noted_is_a_lost_side(
    here: House, source: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(*_: object) -> None:
        raise SideLost("workspace", "the disk is full")

    inject(monkeypatch, "fail@window.after_claim:2*9")
    monkeypatch.setattr(History, "fail", gone)
    ended = await here.work(await here.create(source, target, window_rows=10))
    assert isinstance(ended.error, SideLost)
    assert ended.error.side == "workspace"


# Pausing, stopping, leaving --------------------------------------------------------------------------------


async def test_paused_means_that_nothing_starts_and_it_outlives_the_process(
    tmp_path: Path, source: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch, "window.before_commit", lambda unit: int(unit) > 2)
    async with house(tmp_path / "w.db") as first:
        waiter = Waiter(first.bus)
        run = await first.create(source, target, window_rows=10, workers=2)
        await first.supervisor.start(run.id)
        await waiter.until("WindowStarted", 4)
        assert (await first.say(run, Verb.PAUSE)).text == "paused: no new window starts, 2 active will finish"
        gate.open()
        begun = waiter.names().count("WindowStarted")
        await waiter.until("WindowCompleted", begun)
        assert (await first.say(run, Verb.PAUSE)).text == "it is paused already"
        totals = await first.totals(run)
        assert (totals.running, totals.completed) == (0, begun)
        assert totals.pending > 0
        left = await first.supervisor.drain(10)
        assert [each.finished for each in left] == [True]
        assert waiter.names().count("WindowStarted") == begun
    async with house(tmp_path / "w.db") as second:
        assert (await second.run(run)).state is RunState.PAUSED
        assert (await second.totals(run)).completed == begun
        assert (await second.say(run, Verb.RESUME)).done
        assert await second.supervisor.wait() == [Ended(run.id, RunState.COMPLETED)]
    assert ids(tmp_path) == list(range(100))


async def test_pause_and_resume_in_one_process(
    here: House, tmp_path: Path, source: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch, "window.before_commit", lambda unit: unit == "1")
    run = await here.create(source, target, window_rows=10, workers=1)
    task = await here.supervisor.start(run.id)
    await Waiter(here.bus).until("WindowStarted")
    assert (await here.say(run, Verb.PAUSE)).done
    assert (await here.run(run)).state is RunState.PAUSED
    gate.open()
    assert (await here.say(run, Verb.RESUME)).done
    assert (await here.say(run, Verb.WORKERS, count=3)).done
    assert not (await here.say(run, Verb.WORKERS, count=0)).done
    assert not (await here.say(run, Verb.WORKERS, count="many")).done
    assert await asyncio.wait_for(task, 30) == Ended(run.id, RunState.COMPLETED)
    assert ids(tmp_path) == list(range(100))


async def test_cancelled_is_the_end(here: House, source: Path, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch, "window.before_commit", lambda unit: unit == "3")
    run = await here.create(source, target, window_rows=10, workers=1)
    task = await here.supervisor.start(run.id)
    await Waiter(here.bus).until("WindowStarted", 3)
    assert (await here.say(run, Verb.CANCEL)).done
    gate.open()
    assert await asyncio.wait_for(task, 30) == Ended(run.id, RunState.CANCELLED)
    assert (await here.totals(run)).completed == 3
    assert not (await here.say(run, Verb.RESUME)).done
    assert not (await here.say(run, Verb.CANCEL)).done
    assert (await here.run(run)).state is RunState.CANCELLED


async def test_a_drain_that_runs_out_of_time_hands_back_what_is_active(
    tmp_path: Path, source: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch, "window.before_commit", lambda unit: unit == "2")
    async with house(tmp_path / "w.db") as first:
        run = await first.create(source, target, window_rows=10, workers=1)
        task = await first.supervisor.start(run.id)
        await Waiter(first.bus).until("WindowStarted", 2)
        left = await first.supervisor.drain(0.05)
        assert [each.finished for each in left] == [False]
        gate.open()
        assert (await asyncio.wait_for(task, 30)).state is RunState.PAUSED
        totals = await first.totals(run)
        assert (totals.running, totals.completed, totals.failed) == (0, 1, 0)
        assert (await first.work(run)).state is RunState.COMPLETED
    assert ids(tmp_path) == list(range(100))


async def test_a_supervisor_that_is_left_in_the_middle_does_not_call_its_runs_completed(
    tmp_path: Path, source: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch, "window.before_commit", lambda unit: unit == "4")
    async with house(tmp_path / "w.db") as first:
        run = await first.create(source, target, window_rows=10, workers=1)
        await first.supervisor.start(run.id)
        await Waiter(first.bus).until("WindowStarted", 4)
        asyncio.get_running_loop().call_later(0.05, gate.open)
    async with house(tmp_path / "w.db") as second:
        left = await second.run(run)
        assert left.owner is None
        assert left.state is not RunState.COMPLETED
        assert (await second.work(run)).state is RunState.COMPLETED
        assert (await second.totals(run)).completed == 10
    assert ids(tmp_path) == list(range(100))


async def test_starting_a_run_twice_at_once_is_one_start(here: House, source: Path, target: str) -> None:
    run = await here.create(source, target, window_rows=10)
    one, two = await asyncio.gather(here.supervisor.start(run.id), here.supervisor.start(run.id))
    assert one is two
    assert await asyncio.wait_for(one, 30) == Ended(run.id, RunState.COMPLETED)
    assert (await here.run(run)).epoch == 1


async def test_a_command_left_for_an_owner_that_died_is_not_obeyed_by_the_next(
    here: House, tmp_path: Path, source: Path, target: str
) -> None:
    run = await here.create(source, target, window_rows=10)
    old = await here.workspace.write(commands.send, run.id, None, "cancel", {}, "somebody, long ago")
    assert (await here.work(run)).state is RunState.COMPLETED
    settled = await here.workspace.read(commands.get, old)
    assert settled.state == "refused"
    assert ids(tmp_path) == list(range(100))


async def test_odd_commands_in_the_workspace_do_not_stop_the_obeying(
    here: House, source: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch, "window.before_commit", lambda unit: unit == "1")
    run = await here.create(source, target, window_rows=10)
    task = await here.supervisor.start(run.id)
    await Waiter(here.bus).until("WindowStarted")

    async with house(here.workspace.path) as other:
        odd = [
            await other.workspace.write(commands.send, run.id, None, verb, args, "a later version")
            for verb, args in (("explode", {}), ("workers", {"count": "x"}), ("workers", {"count": None}))
        ]
        assert (await other.say(run, Verb.PAUSE)).done
        assert (await other.say(run, Verb.RESUME)).text == "resumed"
        for each in odd:
            assert (await other.workspace.read(commands.get, each)).state == "refused"
    gate.open()
    await asyncio.wait_for(task, 30)


async def test_a_source_that_changed_is_not_resumed(here: House, tmp_path: Path, source: Path, target: str) -> None:
    run = await here.create(source, target)
    with source.open("ab") as file:
        file.write(b'{"id": 1000}\n')
    ended = await here.work(run)
    assert ended.state is None
    assert "has changed" in str(ended.error)
    assert "size" in str(ended.error)
    assert not (tmp_path / "out.db").exists()
    assert not (tmp_path / "out.ndjson").exists()


async def test_the_workspace_itself_is_no_target(here: House, source: Path) -> None:
    with pytest.raises(Refused, match="is the workspace itself"):
        await here.create(source, f"sqlite:///{here.workspace.path}#t")


# From another process ------------------------------------------------------------------------------------------


async def test_another_supervisor_is_refused_and_its_commands_are_obeyed(
    here: House, tmp_path: Path, source: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch, "window.before_commit", lambda unit: unit == "2")
    run = await here.create(source, target, window_rows=10, workers=1)
    task = await here.supervisor.start(run.id)
    await Waiter(here.bus).until("WindowStarted", 2)
    async with house(here.workspace.path) as other:
        with pytest.raises(Held, match=r"is held by .* pid \d+"):
            await other.supervisor.start(run.id)
        assert (await other.say(run, Verb.PAUSE)).done
        assert (await here.run(run)).state is RunState.PAUSED
        gate.open()
        assert (await other.say(run, Verb.STOP)).done
        assert (await asyncio.wait_for(task, 30)).state is RunState.PAUSED
        assert (await other.supervisor.command(Command(run.id, Verb.RESUME))).done
        assert await other.supervisor.wait() == [Ended(run.id, RunState.COMPLETED)]
    assert ids(tmp_path) == list(range(100))


@pytest.mark.parametrize("windows_left", [0, 1])
async def test_a_stop_when_the_last_window_is_at_work_ends_a_run_that_has_no_more(
    here: House,
    tmp_path: Path,
    source: Path,
    target: str,
    monkeypatch: pytest.MonkeyPatch,
    windows_left: int,
) -> None:
    gate = Gate(monkeypatch, "window.before_commit", lambda unit: unit == "10")
    waiter = Waiter(here.bus)
    run = await here.create(source, target, window_rows=10 if not windows_left else 9, workers=1)
    task = await here.supervisor.start(run.id)
    started = await waiter.until("WindowStarted", 10)
    assert started.unit == "10"
    assert (await here.say(run, Verb.STOP)).done
    gate.open()
    ended = await asyncio.wait_for(task, 30)
    totals = await here.totals(run)
    if windows_left:
        assert ended.state is RunState.PAUSED
        assert totals.completed == 10
    else:
        assert ended.state is RunState.COMPLETED
        assert ids(tmp_path) == list(range(100))
