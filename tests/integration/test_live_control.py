"""Workers and rate, turned while a run is at work, before it, and from another process."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import monotonic

import pytest

from streamconsole.engines.control import Verb
from streamconsole.engines.states import RunState
from streamconsole.engines.supervisor import Ended
from streamconsole.screens.model import Model
from tests.integration.running import Gate, House, Waiter, house, rows_of

ORDERS = "generate://orders?count=1000&seed=1"

SLOW = "1 rows/s"
"""A limit that makes the second window of 100 rows wait longer than any test lasts."""


def target(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/out.db#t"


@pytest.mark.parametrize("more", [{"writers": 0}, {"writers": 2}])
async def test_all_workers_and_children_together_keep_to_the_rate(
    here: House, tmp_path: Path, more: dict[str, int]
) -> None:
    run = await here.create(ORDERS, target(tmp_path), window_rows=50, workers=4, rate="500rows/s", **more)
    began = monotonic()
    assert (await here.work(run)).state is RunState.COMPLETED
    # 950 rows are paid for before the last window begins; a second's worth may be made up for.
    assert 0.85 <= monotonic() - began < 20
    assert len(rows_of(tmp_path / "out.db")) == 1000


async def test_bytes_of_a_file_are_limited(here: House, tmp_path: Path) -> None:
    source = tmp_path / "rows.ndjson"
    source.write_bytes(b"".join(b'{"id":%d,"text":"%s"}\n' % (n, b"x" * 80) for n in range(2000)))
    run = await here.create(source, target(tmp_path), window_rows=100, workers=2, rate="100KB/s")
    began = monotonic()
    assert (await here.work(run)).state is RunState.COMPLETED
    seconds = source.stat().st_size / 102_400
    assert seconds - 1.2 <= monotonic() - began < seconds + 20


async def test_a_slow_rate_is_lifted_at_once_and_kept_with_the_run(here: House, tmp_path: Path) -> None:
    waiter = Waiter(here.bus)
    run = await here.create(ORDERS, target(tmp_path), window_rows=100, workers=3, rate=SLOW)
    task = await here.supervisor.start(run.id)
    await waiter.until("WindowCompleted")
    assert waiter.names().count("WindowStarted") == 1
    assert (await here.say(run, Verb.RATE, rate="2 rows/s")).text == "limit 2 rows/s"
    assert (await here.run(run)).tuning == {"rate": "2 rows/s"}
    assert waiter.names().count("WindowStarted") == 1
    assert (await here.say(run, Verb.RATE, rate="none")).text == "no limit"
    assert await asyncio.wait_for(task, 30) == Ended(run.id, RunState.COMPLETED)
    assert (await here.run(run)).tuning == {"rate": None}


@pytest.mark.parametrize("verb", [Verb.STOP, Verb.CANCEL])
async def test_a_rate_delays_no_end(here: House, tmp_path: Path, verb: Verb) -> None:
    run = await here.create(ORDERS, target(tmp_path), window_rows=100, workers=3, rate=SLOW)
    task = await here.supervisor.start(run.id)
    await Waiter(here.bus).until("WindowCompleted")
    assert (await here.say(run, verb)).done
    state = RunState.PAUSED if verb is Verb.STOP else RunState.CANCELLED
    assert await asyncio.wait_for(task, 10) == Ended(run.id, state)
    assert (await here.totals(run)).completed == 1


async def test_a_rate_delays_no_drain_and_no_pause_and_loses_no_window(here: House, tmp_path: Path) -> None:
    run = await here.create(ORDERS, target(tmp_path), window_rows=100, workers=3, rate=SLOW)
    await here.supervisor.start(run.id)
    await Waiter(here.bus).until("WindowCompleted")
    assert (await here.say(run, Verb.PAUSE)).text == "paused: no new window starts, 0 active will finish"
    assert (await here.say(run, Verb.RATE, rate="none")).done
    totals = await here.totals(run)
    assert (totals.completed, totals.running) == (1, 0)
    assert [each.finished for each in await here.supervisor.drain(10)] == [True]
    await here.supervisor.wait()
    # What was turned holds for whoever goes on with it.
    assert (await here.work(run)).state is RunState.COMPLETED
    assert len(rows_of(tmp_path / "out.db")) == 1000


async def test_limits_and_workers_are_said_before_anybody_works(here: House, tmp_path: Path) -> None:
    run = await here.create(ORDERS, target(tmp_path), window_rows=100)
    assert "from when somebody works on it" in (await here.say(run, Verb.RATE, rate=SLOW)).text
    assert (await here.say(run, Verb.WORKERS, by=-1)).text.startswith("3 workers")
    assert not (await here.say(run, Verb.RATE, rate="fast")).done
    assert not (await here.say(run, Verb.WORKERS, count=0)).done
    waiter = Waiter(here.bus)
    await here.supervisor.start(run.id)
    await waiter.until("WindowCompleted")
    started = await waiter.until("RunStarted")
    assert (started.data()["workers"], started.data()["rate"]) == (3, SLOW)
    snapshot = here.supervisor.snapshot(run.id)
    assert snapshot is not None
    assert snapshot.workers == 3
    assert (await here.say(run, Verb.CANCEL)).done
    await here.supervisor.wait()
    assert (await here.say(run, Verb.RATE, rate="none")).text == "the run is cancelled already"


async def test_another_process_sees_and_turns_what_the_owner_has(
    here: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch, "window.before_commit", lambda unit: unit == "2")
    run = await here.create(ORDERS, target(tmp_path), window_rows=100, workers=1)
    task = await here.supervisor.start(run.id)
    await Waiter(here.bus).until("WindowStarted", 2)
    async with house(here.workspace.path) as other:
        model = Model(other.workspace, other.supervisor, other.bus)
        await model.reload()
        assert (model.runs[run.id].workers, model.runs[run.id].rate) == (1, None)
        assert (await here.say(run, Verb.WORKERS, count=6)).done
        assert (await here.say(run, Verb.RATE, rate="9999 rows/s")).done
        await model.reload()
        assert (model.runs[run.id].workers, model.runs[run.id].rate) == (6, "9999 rows/s")
        assert (await other.say(run, Verb.WORKERS, by=-1)).text == "5 workers"
        assert (await other.say(run, Verb.WORKERS, by=-1)).text == "4 workers"
        assert (await other.say(run, Verb.RATE, rate="none")).text == "no limit"
        await model.reload()
        assert (model.runs[run.id].workers, model.runs[run.id].rate) == (4, None)
        snapshot = here.supervisor.snapshot(run.id)
        assert snapshot is not None
        assert snapshot.workers == 4
        model.close()
    gate.open()
    assert await asyncio.wait_for(task, 30) == Ended(run.id, RunState.COMPLETED)


async def test_rows_of_a_database_keep_to_the_rate_also_where_it_copies_them_itself(
    here: House, tmp_path: Path
) -> None:
    await here.migrate(ORDERS, target(tmp_path))
    source, copy = target(tmp_path), f"sqlite:///{tmp_path}/copy.db#t"
    run = await here.create(source, copy, window_rows=50, workers=2, rate="700rows/s")
    began = monotonic()
    assert (await here.work(run)).state is RunState.COMPLETED
    assert 0.6 <= monotonic() - began < 20
    size = run.plan["row_bytes"]
    assert 20 <= size <= 2000
    run = await here.create(source, f"sqlite:///{tmp_path}/more.db#t", window_rows=50, rate=f"{size * 700}B/s")
    began = monotonic()
    assert (await here.work(run)).state is RunState.COMPLETED
    assert 0.6 <= monotonic() - began < 20
