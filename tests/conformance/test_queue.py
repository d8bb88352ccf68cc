"""What a queue promises, on every kind of database that a workspace can be on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import Connection, create_engine, text, update

from streamconsole.engines.errors import Refused, StaleEpoch
from streamconsole.engines.queue import (
    Job,
    JobFilter,
    JobOptions,
    JobState,
    Keep,
    Queue,
    UnrecoverableError,
    Worker,
    claiming,
    counts,
    finishing,
    stalled,
)
from streamconsole.engines.queue.finishing import End, Outcome
from streamconsole.engines.queue.rows import JobRow
from streamconsole.engines.workspace import Workspace
from streamconsole.engines.workspace.clock import now_ms
from streamconsole.engines.workspace.queue_tables import jobs

IDLE = dict.fromkeys(JobState, 0)


@pytest_asyncio.fixture
async def queue(workspace: Workspace) -> AsyncIterator[Queue]:
    """A queue whose counts are compared with its jobs, one by one, when the test is over."""
    made = Queue(workspace, "mail")
    yield made
    assert await made.counts() == await workspace.read(counts.recounted, "mail")


async def claim(queue: Queue, want: int = 1, node: str = "node") -> list[JobRow]:
    return (await queue.workspace.write(claiming.claim, queue.name, node, want)).jobs


async def end(queue: Queue, row: JobRow, end: End = End.COMPLETED, **given: Any) -> set[int]:
    outcome = Outcome(row.seq, row.epoch, row.priority, end, **given)
    return await queue.workspace.write(finishing.finish, queue.name, [outcome], "test")


async def state(queue: Queue, job: Job | JobRow) -> JobState:
    found = await queue.get(job.id)
    assert found is not None
    return found.state


async def names(queue: Queue, want: int = 100) -> list[str]:
    return [row.name for row in await claim(queue, want)]


async def work(queue: Queue, processor: Any, **given: Any) -> None:
    async with asyncio.timeout(30), Worker(queue.workspace, queue.name, processor, **given) as worker:
        await worker.until_empty()


# Adding ------------------------------------------------------------------------------------------


async def test_a_job_is_what_was_added(queue: Queue) -> None:
    payload = {"to": "ann@example.org", "n": [1, 2.5, None, True], "ü": "☃"}
    job = await queue.add("welcome", payload, priority=3, attempts=4)
    found = await queue.get(job.id)
    assert found is not None
    assert (found.name, found.payload, found.state) == ("welcome", payload, JobState.PRIORITIZED)
    assert found.options == JobOptions(priority=3, attempts=4)
    assert await queue.get("999999") is None


async def test_jobs_added_at_once_have_ids_of_their_own(queue: Queue) -> None:
    added = await asyncio.gather(*(queue.add("one", n) for n in range(300)))
    added += await queue.add_bulk([("two", n) for n in range(300)])
    assert len({job.id for job in added}) == 600
    for job in (added[0], added[299], added[300], added[599]):
        found = await queue.get(job.id)
        assert found is not None
        assert found.payload == job.payload
    assert (await queue.counts())[JobState.WAITING] == 600


async def test_a_job_added_in_a_transaction_comes_with_it_or_not_at_all(queue: Queue, workspace: Workspace) -> None:
    engine = create_engine(workspace.url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        queue.add_in(connection, "kept")
    with engine.connect() as connection:
        transaction = connection.begin()
        queue.add_in(connection, "dropped")
        transaction.rollback()
    engine.dispose()
    assert await names(queue) == ["kept"]


async def test_a_second_job_of_an_id_is_the_first(queue: Queue) -> None:
    first = await queue.add("a", 1, job_id="order-7")
    both = await queue.add_bulk([("b", 2, {"job_id": "order-7"}), ("c", 3, {"job_id": "order-8"})])
    assert [job.payload for job in both] == [1, 3]
    assert both[0].row.seq == first.row.seq
    assert (await queue.counts())[JobState.WAITING] == 2


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"delay": -1}, "delay"),
        ({"delay": "soon"}, "delay"),
        ({"priority": 2_097_152}, "priority"),
        ({"priority": -1}, "priority"),
        ({"attempts": 0}, "attempts"),
        ({"attempts": "3"}, "attempts"),
        ({"job_id": "17"}, "whole numbers"),
        ({"backoff": {"type": "fixed", "delay": 1, "jitter": 2}}, "backoff.jitter"),
        ({"deduplication": {"id": ""}}, "deduplication.id"),
        ({"timeout": 0}, "timeout"),
        ({"colour": "red"}, "colour is not known"),
        ({"size_limit": 3}, "more than the 3 allowed"),
    ],
)
async def test_bad_options_are_refused_by_name(queue: Queue, options: dict[str, Any], told: str) -> None:
    with pytest.raises(Refused, match=told) as caught:
        await queue.add("a", "payload", options)
    assert "\n" not in str(caught.value)
    assert await queue.counts() == IDLE


@pytest.mark.parametrize("payload", [object(), {1, 2}, float("nan"), {"a": [float("inf")]}, {1: 2}, b"bytes"])
async def test_a_payload_that_is_not_json_is_refused(queue: Queue, payload: Any) -> None:
    with pytest.raises(Refused, match="payload of job 'a' is not JSON"):
        await queue.add("a", payload)


async def test_a_payload_too_large_for_its_queue_is_refused_alone(queue: Queue) -> None:
    await queue.configure(max_payload=100)
    results = await asyncio.gather(
        queue.add("small", "x"), queue.add("large", "x" * 200), queue.add("small", "y"), return_exceptions=True
    )
    assert [isinstance(result, Refused) for result in results] == [False, True, False]
    assert "200" in str(results[1]) or "202" in str(results[1])
    assert (await queue.counts())[JobState.WAITING] == 2


@pytest.mark.parametrize("name", ["", "a" * 201, "a\x1b[31m", " a"])
async def test_a_queue_needs_a_name_that_can_be_shown(workspace: Workspace, name: str) -> None:
    with pytest.raises(Refused, match="cannot be a queue's name"):
        Queue(workspace, name)


async def test_the_options_of_a_queue_are_those_of_its_jobs(queue: Queue) -> None:
    await queue.configure(defaults={"attempts": 5, "priority": 2})
    await queue.add("a", None, priority=1)
    (row,) = await claim(queue)
    assert Job(row).options == JobOptions(attempts=5, priority=1)


# Order -------------------------------------------------------------------------------------------


async def test_jobs_start_by_priority_and_then_in_their_order(queue: Queue) -> None:
    for name, options in [("c", {"priority": 5}), ("a", {}), ("d", {"priority": 5}), ("b", {}), ("e", {"priority": 9})]:
        await queue.add(name, None, options)
    assert await names(queue) == ["a", "b", "c", "d", "e"]


async def test_lifo_jobs_come_before_those_that_wait(queue: Queue) -> None:
    for name, lifo in [("b", False), ("c", False), ("a", True)]:
        await queue.add(name, None, lifo=lifo)
    assert await names(queue) == ["a", "b", "c"]


async def test_a_delayed_job_starts_when_it_is_due(queue: Queue) -> None:
    job = await queue.add("later", None, delay=150)
    assert await state(queue, job) is JobState.DELAYED
    found = await queue.workspace.write(claiming.claim, queue.name, "node", 1)
    assert found.jobs == []
    assert found.look_at == job.row.due_at
    started: list[int] = []
    await work(queue, lambda job: started.append(now_ms()))
    assert job.row.due_at is not None
    assert job.row.due_at <= started[0] < job.row.due_at + 5_000


async def test_a_promoted_job_starts_at_once(queue: Queue) -> None:
    job = await queue.add("later", None, delay=60_000)
    await queue.promote(job.id)
    assert await names(queue) == ["later"]
    with pytest.raises(Refused, match="is not delayed"):
        await queue.promote(job.id)


async def test_priority_and_delay_can_be_changed(queue: Queue) -> None:
    first, second = await queue.add("first"), await queue.add("second", None, delay=60_000)
    await queue.change_priority(first.id, 7)
    await queue.change_delay(second.id, 0)
    assert await names(queue) == ["second", "first"]
    with pytest.raises(Refused, match="is active"):
        await queue.change_priority(first.id, 1)
    with pytest.raises(Refused, match="out of range"):
        await queue.change_delay(second.id, -5)


# Claims and ends ---------------------------------------------------------------------------------


async def test_a_job_is_given_to_one_worker_only(queue: Queue) -> None:
    await queue.add_bulk([("a", n) for n in range(50)])
    claimed = await asyncio.gather(*(claim(queue, 7, f"node{n}") for n in range(10)))
    numbers = [row.seq for some in claimed for row in some]
    assert len(numbers) == len(set(numbers)) == 50


async def test_a_late_end_is_refused_and_changes_nothing(queue: Queue, workspace: Workspace) -> None:
    await queue.add("a")
    (late,) = await claim(queue, node="dead")
    await workspace.write(stalled.recover, "dead")
    (now,) = await claim(queue, node="alive")
    assert now.seq == late.seq
    for kind in End:
        assert await end(queue, late, kind, text='"late"') == {late.seq}
    assert (await queue.get(str(now.seq))).row == now  # type: ignore[union-attr]
    assert await end(queue, now, text='"right"') == set()
    assert await end(queue, now, text='"twice"') == {now.seq}
    found = await queue.get(str(now.seq))
    assert found is not None
    assert (found.state, found.result) == (JobState.COMPLETED, "right")


async def test_one_late_end_among_many_fails_alone(queue: Queue, workspace: Workspace) -> None:
    await queue.add_bulk([("a", n) for n in range(5)])
    claimed = await claim(queue, 5)
    late = claimed[2]._replace(epoch=0)
    outcomes = [Outcome(row.seq, row.epoch, 0, End.COMPLETED) for row in [*claimed[:2], late, *claimed[3:]]]
    assert await workspace.write(finishing.finish, queue.name, outcomes, "test") == {late.seq}
    assert (await queue.counts())[JobState.COMPLETED] == 4
    assert (await queue.counts())[JobState.ACTIVE] == 1


async def test_a_job_handed_back_keeps_its_place_and_counts_no_attempt(queue: Queue) -> None:
    await queue.add_bulk([("a",), ("b",), ("c",)])
    rows = await claim(queue, 2)
    for row in rows:
        await end(queue, row, End.HANDED_BACK)
    again = await claim(queue, 3)
    assert [row.name for row in again] == ["a", "b", "c"]
    assert [row.attempts_made for row in again] == [0, 0, 0]


async def test_a_failed_attempt_waits_for_its_pause(queue: Queue) -> None:
    await queue.add("a", None, attempts=2)
    (row,) = await claim(queue)
    await end(queue, row, End.RETRY, text="lost", pause=60_000)
    found = await queue.get(row.id)
    assert found is not None
    assert (found.state, found.attempts_made, found.failure) == (JobState.DELAYED, 1, "lost")
    assert [failure["reason"] for failure in await queue.failures(row.id)] == ["lost"]


# Stalled -----------------------------------------------------------------------------------------


async def test_a_stalled_job_waits_at_the_back_with_its_priority_and_then_fails(
    queue: Queue, workspace: Workspace
) -> None:
    for name in ("a", "b"):
        await queue.add(name, None, priority=4)
    (row,) = await claim(queue, node="dead")
    assert [lost.seq for lost in await workspace.write(stalled.recover, "dead")] == [row.seq]
    assert [(each.name, each.priority) for each in await claim(queue, 2, "dead")] == [("b", 4), ("a", 4)]
    await workspace.write(stalled.recover, "dead")
    found = await queue.get(row.id)
    assert found is not None
    assert (found.state, found.failure) == (JobState.FAILED, stalled.TOO_OFTEN)
    assert [event.name for event in await queue.timeline(row.id)] == [
        "added", "active", "stalled", "active", "stalled", "failed",
    ]  # fmt: skip


async def test_a_stalled_job_waits_longer_when_the_queue_says_so(queue: Queue, workspace: Workspace) -> None:
    await queue.configure(stalled_backoff=60_000)
    job = await queue.add("a")
    await claim(queue, node="dead")
    await workspace.write(stalled.recover, "dead")
    assert await state(queue, job) is JobState.DELAYED


# Limits ------------------------------------------------------------------------------------------


async def test_a_queue_starts_no_more_at_once_than_it_may(queue: Queue) -> None:
    await queue.configure(concurrency=2)
    await queue.add_bulk([("a",)] * 5)
    rows = await claim(queue, 5)
    assert len(rows) == 2
    assert await claim(queue, 5) == []
    await end(queue, rows[0])
    assert len(await claim(queue, 5)) == 1


async def test_a_queue_starts_no_more_in_a_span_than_it_may(queue: Queue, workspace: Workspace) -> None:
    await queue.configure(limiter={"max": 3, "duration": 60_000})
    await queue.add_bulk([("a",)] * 5)
    assert len(await claim(queue, 2)) == 2
    found = await workspace.write(claiming.claim, queue.name, "node", 5)
    assert len(found.jobs) == 1
    assert found.look_at is not None
    assert 0 < found.look_at - now_ms() <= 60_000
    assert await claim(queue, 5) == []


async def test_a_clock_set_back_does_not_close_the_limiter(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    await queue.configure(limiter={"max": 1, "duration": 1_000})
    await queue.add_bulk([("a",)] * 2)
    assert len(await claim(queue)) == 1
    earlier = now_ms() - 3_600_000
    monkeypatch.setattr(claiming, "now_ms", lambda: earlier)
    assert len(await claim(queue)) == 1


async def test_groups_take_turns_and_keep_their_order(queue: Queue) -> None:
    for group, count in [("big", 4), ("small", 2)]:
        await queue.add_bulk([(f"{group}{n}", None, {"group": group}) for n in range(count)])
    await queue.add("alone")
    first = await claim(queue, 10)
    assert sorted(row.name for row in first) == ["alone", "big0", "small0"]
    assert await claim(queue, 10) == []
    for row in first:
        await end(queue, row)
    assert sorted(await names(queue)) == ["big1", "small1"]


async def test_groups_share_one_slot_fairly(queue: Queue) -> None:
    for group in ("a", "b", "c"):
        await queue.add_bulk([(group, None, {"group": group}) for _ in range(2)])
    served = []
    for _ in range(6):
        (row,) = await claim(queue)
        served.append(row.name)
        await end(queue, row)
    assert sorted(served[:3]) == sorted(served[3:]) == ["a", "b", "c"]


async def test_more_of_a_group_at_once_when_the_queue_says_so_but_none_while_it_is_paused(queue: Queue) -> None:
    await queue.configure(group_concurrency=2)
    await queue.add_bulk([(f"a{n}", None, {"group": "a"}) for n in range(3)])
    await queue.pause_group("a")
    assert await names(queue) == []
    await queue.resume_group("a")
    assert await names(queue) == ["a0", "a1"]


async def test_each_group_has_its_rate(queue: Queue, workspace: Workspace) -> None:
    await queue.configure(group_concurrency=10, group_limiter={"max": 2, "duration": 60_000})
    for group in ("a", "b"):
        await queue.add_bulk([(group, None, {"group": group}) for _ in range(3)])
    assert sorted(await names(queue)) == ["a", "a", "b", "b"]
    found = await workspace.write(claiming.claim, queue.name, "node", 10)
    assert found.jobs == []
    assert found.look_at is not None


async def test_a_paused_queue_starts_nothing(queue: Queue) -> None:
    await queue.add("a")
    assert await queue.pause()
    assert not await queue.pause()
    assert await names(queue) == []
    assert (await queue.counts())[JobState.WAITING] == 1
    await queue.resume()
    assert await names(queue) == ["a"]


# Deduplication and retention ---------------------------------------------------------------------


async def test_jobs_of_one_deduplication_id_are_one_until_it_has_finished(queue: Queue) -> None:
    options = {"deduplication": {"id": "d"}}
    first, second = await queue.add("a", 1, options), await queue.add("a", 2, options)
    assert second.id == first.id
    await work(queue, lambda job: job.payload)
    third = await queue.add("a", 3, options)
    assert third.id != first.id


async def test_a_deduplication_id_with_a_time_outlives_its_job(queue: Queue) -> None:
    first = await queue.add("a", 1, deduplication={"id": "d", "ttl": 60_000}, remove_on_complete=True)
    await work(queue, lambda job: job.payload)
    assert (await queue.add("a", 2, deduplication={"id": "d", "ttl": 60_000})).id == first.id
    assert (await queue.counts())[JobState.WAITING] == 0


async def test_a_deduplication_time_ends_and_is_extended(queue: Queue) -> None:
    short = {"deduplication": {"id": "d", "ttl": 80}}
    first = await queue.add("a", 1, short)
    await queue.add("a", 1, {"deduplication": {"id": "d", "ttl": 5_000, "extend": True}})
    await asyncio.sleep(0.1)
    assert (await queue.add("a", 2, short)).id == first.id
    other = await queue.add("a", 1, deduplication={"id": "e", "ttl": 50})
    await asyncio.sleep(0.06)
    assert (await queue.add("a", 1, deduplication={"id": "e", "ttl": 50})).id != other.id


async def test_the_last_of_a_row_replaces_a_delayed_job(queue: Queue) -> None:
    options = {"delay": 60_000, "deduplication": {"id": "d", "replace": True}}
    first = await queue.add("a", 1, options)
    await queue.add("a", 2, options)
    found = await queue.get(first.id)
    assert found is not None
    assert found.payload == 2
    assert (await queue.counts())[JobState.DELAYED] == 1


async def test_finished_jobs_stay_as_their_options_say(queue: Queue) -> None:
    await queue.add_bulk([("gone", None, {"remove_on_complete": True})] * 3)
    await work(queue, lambda job: None)
    assert await queue.counts() == IDLE
    await queue.add_bulk([("two", n, {"remove_on_complete": 2}) for n in range(5)])
    await work(queue, lambda job: None)
    assert sorted(job.payload for job in await queue.jobs()) == [3, 4]
    await queue.workspace.write(_age, 100_000)
    await queue.add("young", 9, {"remove_on_complete": {"age": 50}})
    await work(queue, lambda job: None)
    assert [job.payload for job in await queue.jobs()] == [9]


def _age(connection: Connection, by: int) -> None:
    connection.execute(update(jobs).values(finished_at=jobs.c.finished_at - by))


def test_what_stays_can_be_said_in_three_ways() -> None:
    assert JobOptions(remove_on_fail=True).keep(completed=False) == Keep(count=0)
    assert JobOptions(remove_on_fail=7).keep(completed=False) == Keep(count=7)
    assert JobOptions(remove_on_fail=Keep(age=5)).keep(completed=False) == Keep(age=5)
    assert JobOptions().keep(completed=True) is None


# Verbs -------------------------------------------------------------------------------------------


async def fail_some(queue: Queue) -> None:
    def odd(job: Job) -> None:
        if job.payload % 2:
            raise UnrecoverableError(f"{job.payload} is odd")

    await work(queue, odd, concurrency=4)


async def test_failed_jobs_are_retried_one_by_one_and_all_that_match(queue: Queue) -> None:
    await queue.add_bulk([("a", n) for n in range(6)])
    await fail_some(queue)
    assert (await queue.counts())[JobState.FAILED] == 3
    (job,) = await queue.jobs(JobFilter(failure="3 is odd"))
    again = await queue.retry(job.id)
    assert (again.state, again.attempts_made, again.failure) == (JobState.WAITING, 0, None)
    with pytest.raises(Refused, match="nothing to retry"):
        await queue.retry(job.id)
    assert await queue.retry_all() == 2
    assert (await queue.counts())[JobState.WAITING] == 3


async def test_a_waiting_job_can_be_cancelled_updated_and_removed(queue: Queue) -> None:
    job, other = await queue.add("a", 1), await queue.add("b", 1)
    await queue.update(job.id, {"new": True})
    assert (await queue.cancel(job.id)).failure == "cancelled"
    assert await state(queue, job) is JobState.FAILED
    with pytest.raises(Refused, match="has finished"):
        await queue.cancel(job.id)
    with pytest.raises(Refused, match="is failed"):
        await queue.update(job.id, 2)
    await queue.remove(other.id)
    assert await queue.get(other.id) is None
    with pytest.raises(Refused, match="has no job"):
        await queue.remove(other.id)


async def test_an_active_job_is_not_removed(queue: Queue) -> None:
    await queue.add("a")
    (row,) = await claim(queue)
    with pytest.raises(Refused, match="is active"):
        await queue.remove(row.id)
    with pytest.raises(Refused, match="active jobs cannot be cleaned"):
        await queue.clean(JobState.ACTIVE)


async def test_drain_clean_and_obliterate(queue: Queue) -> None:
    await queue.add_bulk([("a", n) for n in range(4)])
    await fail_some(queue)
    await queue.add_bulk([("b",)] * 3)
    await queue.add("later", None, delay=60_000)
    assert await queue.drain() == 3
    assert await queue.clean(JobState.COMPLETED, grace=60_000) == 0
    assert await queue.clean(JobState.COMPLETED, limit=1) == 1
    with pytest.raises(Refused, match="must be paused"):
        await queue.obliterate()
    await queue.pause()
    assert await queue.obliterate() == 4
    assert await queue.counts() == IDLE
    with pytest.raises(Refused, match="no queue mail"):
        await queue.obliterate()


async def test_jobs_are_found_by_what_they_are(queue: Queue) -> None:
    await queue.add("order", {"address": {"city": "Bonn"}, "items": [{"sku": "x1"}]}, job_id="order-1")
    await queue.add("order", {"address": {"city": "Köln"}, "paid": True}, priority=1)
    await queue.add("mail", {"to": "50%"}, delay=60_000)

    async def found(**asked: Any) -> list[str]:
        return sorted(job.name for job in await queue.jobs(JobFilter(**asked)))

    assert await found(states=(JobState.WAITING, JobState.PRIORITIZED)) == ["order", "order"]
    assert await found(path="address.city", value="Bonn") == ["order"]
    assert await found(path="items.0.sku", value="x1") == ["order"]
    assert await found(path="paid", value="true") == ["order"]
    assert await found(path="address.city") == ["order", "order"]
    assert await found(text="Köln") == ["order"]
    assert await found(text="BONN") == ["order"]
    assert await found(text="0%") == ["mail"]
    assert await found(text="_rder") == []
    assert await found(name="mail") == ["mail"]
    assert await found(id="order-") == ["order"]
    assert await found(since=now_ms() + 60_000) == []
    assert await queue.count(JobFilter(name="order")) == 2
    with pytest.raises(Refused, match="no place in a payload"):
        await found(path="a') OR 1=1 --")


# At work -----------------------------------------------------------------------------------------


async def test_an_effect_and_its_completion_are_one_transaction(queue: Queue, workspace: Workspace) -> None:
    await workspace.write(lambda connection: connection.exec_driver_sql("CREATE TABLE effects (job INTEGER)"))
    await queue.add_bulk(
        [("a", n) for n in range(4)],
    )

    def effect(connection: Connection, job: Job) -> None:
        connection.execute(text("INSERT INTO effects VALUES (:seq)"), {"seq": job.row.seq})
        job.complete(connection, {"done": job.payload})
        if job.payload == 2:
            raise ValueError("rolled back")

    async def process(job: Job) -> None:
        try:
            await workspace.write(effect, job)
        except ValueError:
            return

    await work(queue, process, concurrency=2)
    effects = await workspace.read(
        lambda connection: connection.exec_driver_sql("SELECT count(*) FROM effects").scalar()
    )
    assert effects == 3
    (failed,) = await queue.jobs(JobFilter(states=(JobState.FAILED,)))
    assert failed.payload == 2
    assert "rolled back" in (failed.failure or "")
    assert {str(job.result) for job in await queue.jobs(JobFilter(states=(JobState.COMPLETED,)))} == {
        "{'done': 0}", "{'done': 1}", "{'done': 3}",
    }  # fmt: skip


async def test_a_late_effect_is_refused(queue: Queue, workspace: Workspace) -> None:
    await queue.add("a")
    (row,) = await claim(queue, node="dead")
    await workspace.write(stalled.recover, "dead")
    with pytest.raises(StaleEpoch, match="another worker"):
        await workspace.write(Job(row).complete, None)
    assert (await queue.counts())[JobState.WAITING] == 1
