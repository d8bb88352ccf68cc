"""Runs: one owner at a time, late owners refused, found by the start of their names."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, select

from streamconsole.engines.bus import Event
from streamconsole.engines.errors import Held, Refused, StaleEpoch
from streamconsole.engines.states import ChunkState, EngineKind, RunState, WindowState
from streamconsole.engines.units import Reject, Window
from streamconsole.engines.workspace import Workspace, chunks, commands, digests, events, nodes, rejects, runs, windows
from streamconsole.engines.workspace.chunks import ChunkRecord
from streamconsole.engines.workspace.digests import DigestRecord
from streamconsole.engines.workspace.nodes import Node
from streamconsole.engines.workspace.runs import Run
from streamconsole.engines.workspace.tables import metadata
from streamconsole.engines.workspace.windows import Totals
from tests.unit.conftest import NewRun


def node(name: str, pid: int = 1) -> Node:
    return Node(name, "atlas", nodes.boot_id(), pid, 0)


@contextmanager
def living(workspace: Workspace, name: str) -> Iterator[None]:
    """While the block runs, that node's lock is held."""
    workspace.locks.mkdir(exist_ok=True)
    handle = os.open(nodes.lock_file(workspace.locks, name), os.O_CREAT | os.O_RDWR)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(handle)


async def create(workspace: Workspace, name: str = "customers", spec: dict[str, object] | None = None) -> Run:
    return await workspace.write(runs.create, EngineKind.MIGRATION, name, spec or {"a": 1}, {"b": [2]})


async def test_a_new_run_is_planned_and_keeps_what_was_asked(workspace: Workspace) -> None:
    run = await create(workspace)
    assert (run.state, run.owner, run.epoch, run.spec, run.plan) == (RunState.PLANNED, None, 0, {"a": 1}, {"b": [2]})
    assert await workspace.read(runs.get, run.id) == run


@pytest.mark.parametrize(
    ("name", "start"),
    [("customers", "customers-"), ("Öl & Gas / 2024", "l-gas-2024-"), ("🙂", "run-"), ("x" * 200, "x" * 40 + "-")],
)
async def test_an_id_can_be_typed(workspace: Workspace, name: str, start: str) -> None:
    run = await create(workspace, name)
    assert run.id.startswith(start)
    assert len(run.id) == len(start) + 4
    assert run.name == name


async def test_a_run_is_found_by_the_start_of_its_id(workspace: Workspace) -> None:
    one, two, three = await create(workspace, "orders"), await create(workspace, "users"), await create(workspace)
    assert (await workspace.read(runs.get, "ord")).id == one.id
    four = await create(workspace, "users")
    with pytest.raises(Refused, match=f"{two.id}, {four.id}|{four.id}, {two.id}"):
        await workspace.read(runs.get, "users")
    assert (await workspace.read(runs.get, three.id)).id == three.id
    for odd in ("nothing", "%", "_"):
        with pytest.raises(Refused, match="there is no run"):
            await workspace.read(runs.get, odd)


async def test_claiming_makes_an_owner_with_a_new_epoch(workspace: Workspace) -> None:
    run = await create(workspace)
    claimed = await workspace.write(runs.claim, run.id, node("one"), workspace.locks)
    assert (claimed.owner, claimed.epoch) == ("one", 1)
    again = await workspace.write(runs.claim, run.id, node("two"), workspace.locks)
    assert (again.owner, again.epoch) == ("two", 2)


async def test_a_held_run_is_refused_by_the_name_of_its_holder(workspace: Workspace) -> None:
    run = await create(workspace)
    holder = node("one", pid=4711)
    await workspace.write(nodes._register, holder)
    await workspace.write(runs.claim, run.id, holder, workspace.locks)
    with living(workspace, "one"):
        assert await workspace.read(runs.owner_of, run.id, workspace.locks) is not None
        with pytest.raises(Held, match="atlas pid 4711") as held:
            await workspace.write(runs.claim, run.id, node("two"), workspace.locks)
        assert run.id in str(held.value)
        assert (await workspace.read(runs.get, run.id)).epoch == 1
    assert await workspace.read(runs.owner_of, run.id, workspace.locks) is None
    assert (await workspace.write(runs.claim, run.id, node("two"), workspace.locks)).owner == "two"


async def test_a_late_owner_is_refused_everything(workspace: Workspace, new_run: NewRun) -> None:
    late = await new_run()
    await workspace.write(windows.plan, late, [Window(1, 0, 10, 0, 1)])
    now = await workspace.write(runs.claim, late.id, node("two"), workspace.locks)
    window = Window(1, 0, 10, 0, 1)
    for function, args in (
        (runs.move, (late, RunState.COMPLETED)),
        (runs.save_plan, (late, {"x": 1})),
        (windows.plan, (late, [Window(2, 10, 20, 1, 1)])),
        (windows.start, (late, 1, 1)),
        (windows.complete, (late, 1, 1, 1, 0)),
        (windows.record_failure, (late, window, 1, 1, "no")),
        (windows.fail, (late, 1, "no")),
        (windows.hand_back, (late, [WindowState.PENDING])),
        (rejects.replace, (late, 1, [Reject(1, 0, None, "late", "")])),
    ):
        with pytest.raises(StaleEpoch):
            await workspace.write(function, *args)
    await workspace.write(runs.release, late)
    assert await workspace.read(runs.get, late.id) == now
    record = await workspace.read(windows.get, late.id, 1)
    assert record is not None
    assert (record.state, record.attempt, record.error) == (WindowState.PENDING, 0, None)
    assert await workspace.read(rejects.listing, late.id) == []


async def test_a_move_and_its_event_are_one(workspace: Workspace, new_run: NewRun) -> None:
    run = await new_run()
    event = Event(engine=EngineKind.MIGRATION, run=run.id, at=12.5)
    await workspace.write(runs.move, run, RunState.RUNNING, None, event)
    assert (await workspace.read(runs.get, run.id)).state is RunState.RUNNING
    assert [(each["name"], each["at"]) for each in await workspace.read(events.of_run, run.id)] == [("Event", 12_500)]
    await workspace.write(runs.claim, run.id, node("two"), workspace.locks)
    with pytest.raises(StaleEpoch):
        await workspace.write(runs.move, run, RunState.COMPLETED, None, event)
    assert len(await workspace.read(events.of_run, run.id)) == 1


async def test_times_tell_when_it_first_began_and_last_ended(workspace: Workspace, new_run: NewRun) -> None:
    run = await new_run()
    await workspace.write(runs.move, run, RunState.RUNNING)
    begun = await workspace.read(runs.get, run.id)
    assert begun.started_at is not None
    await workspace.write(runs.move, run, RunState.FAILURE, "the disk is full")
    failed = await workspace.read(runs.get, run.id)
    assert failed.finished_at is not None
    assert failed.reason == "the disk is full"
    await workspace.write(runs.move, run, RunState.RUNNING)
    again = await workspace.read(runs.get, run.id)
    assert (again.started_at, again.finished_at, again.reason) == (begun.started_at, None, None)


async def test_the_newest_run_of_the_same_settings_is_found(workspace: Workspace) -> None:
    async def like(spec: dict[str, object], name: str = "customers") -> str | None:
        found = await workspace.read(runs.newest_like, EngineKind.MIGRATION, name, spec)
        return found.id if found else None

    run = await create(workspace, spec={"a": 1, "b": None})
    assert await like({"b": None, "a": 1}) == run.id
    assert await like({"a": 1}) is None
    assert await like({"a": 1, "b": None}, "orders") is None


async def test_removing_a_run_removes_all_about_it(workspace: Workspace, new_run: NewRun) -> None:
    run, other = await new_run(), await new_run()
    for each in (run, other):
        await workspace.write(windows.plan, each, [Window(1, 0, 10, 0, 1)])
        await workspace.write(windows.record_failure, each, Window(1, 0, 10, 0, 1), 1, 1, "no")
        await workspace.write(rejects.replace, each, 1, [Reject(1, 0, None, "bad", "")])
        await workspace.write(commands.send, each.id, None, "pause", {}, "me")
        await workspace.write(events.append, [Event(engine=EngineKind.MIGRATION, run=each.id)])
        await workspace.write(chunks.begin_file, each, 1, "a", 1, 1)
        await workspace.write(digests.keep, each, DigestRecord(1, 1, "ab" * 16, 1, "ab" * 16))
        chunk = ChunkRecord(1, 1, 0, 1, 1, "ab" * 32, ChunkState.STORED, 1, None)
        await workspace.write(chunks.settle, each, [chunk], [(1, 1, None, 0)])
    await workspace.write(runs.remove, run.id)

    def left(connection: Connection) -> set[str]:
        tables = [table for table in metadata.sorted_tables if "run" in table.c]
        assert len(tables) == 8
        return {run for table in tables for run in connection.execute(select(table.c.run)).scalars()}

    assert await workspace.read(left) == {other.id}
    assert [each.id for each in await workspace.read(runs.listing)] == [other.id]


# The ledger of windows ------------------------------------------------------------------------------


async def test_sums_over_windows_follow_every_change(workspace: Workspace, new_run: NewRun) -> None:
    run = await new_run()

    async def sums() -> Totals:
        return (await workspace.read(windows.totals, [run.id]))[run.id]

    assert await sums() == Totals()
    planned = [Window(n, n * 10, n * 10 + 10, n, 1) for n in range(1, 5)]
    await workspace.write(windows.plan, run, planned)
    assert await workspace.write(windows.start, run, 1, 7) == 1
    await workspace.write(windows.complete, run, 1, 5, 4, 1)
    await workspace.write(windows.start, run, 2, 1)
    await workspace.write(windows.record_failure, run, planned[1], 1, 1, "once")
    assert await workspace.write(windows.start, run, 2, 1) == 2
    await workspace.write(windows.fail, run, 2, "twice")
    await workspace.write(windows.start, run, 3, 2)
    assert await sums() == Totals(1, 1, 1, 1, 5, 4, 1, offset_done=10, uneven=1)
    assert (await sums()).windows == 4
    assert [each["message"] for each in await workspace.read(windows.failures_of, run.id, 2)] == ["once"]


async def test_windows_keep_their_bounds_for_a_later_run(workspace: Workspace, new_run: NewRun) -> None:
    run = await new_run()
    planned = [Window(1, 0, 10, 0, 10, '{"upto":["é"]}'), Window(2, 10, 12, 10, 2)]
    await workspace.write(windows.plan, run, planned)
    records = await workspace.read(windows.listing, run.id)
    assert [record.window for record in records] == planned
    assert [record.as_json()["bounds"] for record in records] == ['{"upto":["é"]}', None]


async def test_a_window_handed_back_counts_no_rows(workspace: Workspace, new_run: NewRun) -> None:
    run = await new_run()
    await workspace.write(windows.plan, run, [Window(1, 0, 10, 0, 3)])
    await workspace.write(windows.start, run, 1, 1)
    await workspace.write(windows.complete, run, 1, 3, 2, 1)
    assert await workspace.write(windows.hand_back, run, [WindowState.COMPLETED], 1) == 1
    assert (await workspace.read(windows.totals, [run.id]))[run.id] == Totals(pending=1)


async def test_handing_back_takes_only_the_states_named(workspace: Workspace, new_run: NewRun) -> None:
    run, other = await new_run(), await new_run()
    for each in (run, other):
        await workspace.write(windows.plan, each, [Window(n, n, n + 1, 0, 1) for n in range(1, 4)])
        await workspace.write(windows.start, each, 1, 1)
        await workspace.write(windows.fail, each, 2, "no")
    assert await workspace.write(windows.hand_back, run, [WindowState.FAILED], 1) == 0
    assert await workspace.write(windows.hand_back, run, [WindowState.RUNNING]) == 1
    states = [record.state.value for record in await workspace.read(windows.listing, run.id)]
    assert states == ["pending", "failed", "pending"]
    states = [record.state.value for record in await workspace.read(windows.listing, other.id)]
    assert states == ["running", "failed", "pending"]
    failed = await workspace.read(windows.listing, run.id, [WindowState.FAILED])
    assert [(record.window.number, record.error) for record in failed] == [(2, "no")]
    assert failed[0].as_json()["state"] == "failed"


# Rejects, events, commands ------------------------------------------------------------------------------


async def test_rejects_of_a_window_replace_those_of_an_earlier_attempt(workspace: Workspace, new_run: NewRun) -> None:
    run = await new_run()
    await workspace.write(rejects.replace, run, 2, [Reject(9, 90, "a", "of two", "{}")])
    await workspace.write(rejects.replace, run, 1, [Reject(2, 5, None, "x", "{"), Reject(1, 0, "b", "y", "}")])
    await workspace.write(rejects.replace, run, 1, [Reject(3, 7, "c", "z", "!")])
    listed = await workspace.read(rejects.listing, run.id)
    assert [(each["window"], each["line"], each["column"]) for each in listed] == [(1, 3, "c"), (2, 9, "a")]
    assert [each["line"] for each in await workspace.read(rejects.listing, run.id, 2)] == [9]
    await workspace.write(rejects.replace, run, 1, [])
    assert len(await workspace.read(rejects.listing, run.id, None, 10)) == 1


async def test_the_event_log_keeps_the_newest_and_is_trimmed_bit_by_bit(workspace: Workspace) -> None:
    happened = [Event(engine=EngineKind.MIGRATION, run="r", at=n) for n in range(6_100)]
    await workspace.write(events.append, happened)
    assert await workspace.write(events.trim, 10_000) == 0
    trimmed = [await workspace.write(events.trim, 100) for _ in range(3)]
    assert trimmed == [5_001, 999, 0]
    left = [each["at"] for each in await workspace.read(events.of_run, "r")]
    assert left == [n * 1000 for n in range(6_000, 6_100)]
    await workspace.write(events.append, [])


async def test_a_command_is_settled_once(workspace: Workspace) -> None:
    first = await workspace.write(commands.send, "r", None, "pause", {"x": 1}, "me")
    second = await workspace.write(commands.send, "r", "7", "retry", {}, "me")
    await workspace.write(commands.send, "other", None, "pause", {}, "me")
    waiting = await workspace.read(commands.pending, ["r"])
    assert [(each.id, each.verb, each.unit, each.args) for each in waiting] == [
        (first, "pause", None, {"x": 1}),
        (second, "retry", "7", {}),
    ]
    await workspace.write(commands.settle, first, "done", "paused")
    await workspace.write(commands.settle, first, "refused", "too late")
    settled = await workspace.read(commands.get, first)
    assert (settled.state, settled.outcome) == ("done", "paused")
    assert [each.id for each in await workspace.read(commands.pending, ["r"])] == [second]
