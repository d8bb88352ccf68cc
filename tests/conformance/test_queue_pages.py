"""Jobs in pages: all of them, once, in order, found by what they hold, however the pages are cut."""

from __future__ import annotations

import pytest
import pytest_asyncio

from streamconsole.engines.queue import Queue, chosen, claiming, finishing, pages, verbs
from streamconsole.engines.queue.finishing import End, Outcome
from streamconsole.engines.queue.pages import Key, Shelf
from streamconsole.engines.workspace import Workspace

MANY = 25


@pytest_asyncio.fixture
async def queue(workspace: Workspace) -> Queue:
    """25 jobs that wait, 25 that are delayed, completed and failed each, 3 active ones; another queue's between."""
    mail, other = Queue(workspace, "mail"), Queue(workspace, "other")
    for end in (End.COMPLETED, End.FAILED):
        await mail.add_bulk([(f"old {number}", {"box": number}) for number in range(MANY)])
        await other.add_bulk([("other", {"box": number}) for number in range(MANY)])
        for row in (await workspace.write(claiming.claim, "mail", "node", MANY)).jobs:
            text = "mailbox 7% full" if end is End.FAILED and row.seq % 2 else "no such box"
            outcome = Outcome(row.seq, row.epoch, 0, end, text if end is End.FAILED else '"sent"')
            await workspace.write(finishing.finish, "mail", [outcome], "test")
    await mail.add_bulk([(f"now {number}", None) for number in range(3)])
    await workspace.write(claiming.claim, "mail", "node", 3)
    await mail.add_bulk([("later", {"box": number}, {"delay": 60_000 + number}) for number in range(MANY)])
    await mail.add_bulk([("new", {"to": f"Ann {number}"}, {"priority": number % 3}) for number in range(MANY)])
    return mail


async def all_of(queue: Queue, shelf: Shelf, limit: int, words: str = "") -> list[pages.JobLine]:
    found: list[pages.JobLine] = []
    after: Key | None = None
    while True:
        page = await queue.workspace.read(pages.page, queue.name, shelf, words, after, limit)
        assert len(page.lines) <= limit
        found += page.lines
        after = page.after
        if after is None:
            return found


@pytest.mark.parametrize("limit", [1, 7, 25, 200])
@pytest.mark.parametrize("shelf", Shelf)
async def test_pages_give_every_job_of_a_shelf_once(queue: Queue, shelf: Shelf, limit: int) -> None:
    found = await all_of(queue, shelf, limit)
    counts = await queue.counts()
    assert len(found) == sum(counts[state] for state in pages.states_of(shelf))
    assert len({line.seq for line in found}) == len(found)
    assert {line.state for line in found} <= set(pages.states_of(shelf))


async def test_the_orders_are_those_of_their_states(queue: Queue) -> None:
    waiting = [line.seq for line in await all_of(queue, Shelf.WAITING, 7)]
    taken = (await queue.workspace.write(claiming.claim, "mail", "node", MANY)).jobs
    assert waiting == [row.seq for row in taken]
    delayed = [line.due_at or 0 for line in await all_of(queue, Shelf.DELAYED, 7)]
    assert delayed == sorted(delayed)
    finished = [(line.finished_at or 0, line.seq) for line in await all_of(queue, Shelf.FAILED, 7)]
    assert finished == sorted(finished, reverse=True)
    everything = [line.seq for line in await all_of(queue, Shelf.ALL, 7)]
    assert everything == sorted(everything, reverse=True)


async def test_a_search_looks_into_id_name_payload_and_failure(queue: Queue) -> None:
    await queue.add("named", None, job_id="order-77")
    assert [line.id for line in await all_of(queue, Shelf.ALL, 7, "ORDER-7")] == ["order-77"]
    assert len(await all_of(queue, Shelf.WAITING, 2, "ann 1")) == 11
    assert {line.name for line in await all_of(queue, Shelf.ALL, 7, "old 1")} == {
        "old 1",
        *(f"old {number}" for number in range(10, 20)),
    }
    full = await all_of(queue, Shelf.FAILED, 7, "7% full")
    assert full
    assert all(line.failure == "mailbox 7% full" for line in full)
    assert [line.seq for line in await all_of(queue, Shelf.ALL, 7, str(full[0].seq))][:1]
    assert await all_of(queue, Shelf.ALL, 7, "_rder") == []


async def test_a_search_that_finds_nothing_ends_its_readings_in_time(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "PART", 5)
    monkeypatch.setattr(pages, "BUDGET", 0.0)
    page = await queue.workspace.read(pages.page, "mail", Shelf.COMPLETED, "nothing", None, 10)
    assert (page.lines, page.looked_at) == ((), 5)
    assert page.after is not None
    assert len(await all_of(queue, Shelf.COMPLETED, 10, "old 1")) == 11


async def test_what_was_chosen_is_frozen(queue: Queue) -> None:
    failed = await chosen.gather(queue.workspace, "mail", Shelf.FAILED)
    some = await chosen.gather(queue.workspace, "mail", Shelf.FAILED, "7% full")
    assert len(failed) == MANY
    assert set(some) < set(failed)
    told: list[int] = []
    assert await chosen.change(queue.workspace, "mail", verbs.retry, some, told.append) == len(some)
    assert told == [len(some)]
    assert await chosen.change(queue.workspace, "mail", verbs.retry, some) == 0, "they wait already"
    assert await chosen.change(queue.workspace, "mail", verbs.remove, failed) == MANY
    assert await chosen.gather(queue.workspace, "other", Shelf.WAITING, "box")


async def test_a_job_of_another_queue_is_never_meant(queue: Queue) -> None:
    others = await chosen.gather(queue.workspace, "other", Shelf.WAITING)
    assert await chosen.change(queue.workspace, "mail", verbs.remove, others) == 0
    assert await queue.workspace.read(pages.lines, "mail", others) == {}
