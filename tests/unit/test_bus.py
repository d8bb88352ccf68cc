"""The bus: order, bounds, counts, and any thread may publish."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Hashable
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from streamconsole.engines.bus import Bus, Event, View
from streamconsole.engines.states import EngineKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticked(Event):
    number: int
    key: str = "k"


def ticked(number: int, key: str = "k", run: str = "r") -> Ticked:
    return Ticked(engine=EngineKind.MIGRATION, run=run, number=number, key=key)


def by_key(event: Event) -> Hashable | None:
    return event.key if isinstance(event, Ticked) and event.key else None


def test_an_event_says_its_name_and_its_own_fields() -> None:
    event = ticked(7)
    assert event.name == "Ticked"
    assert event.data() == {"number": 7, "key": "k"}
    assert event.unit is None


async def test_a_journal_keeps_order() -> None:
    bus = Bus()
    journal = bus.journal()
    for number in range(100):
        bus.publish(ticked(number))
    assert [event.number for event in journal.drain() if isinstance(event, Ticked)] == list(range(100))
    assert journal.dropped == 0


async def test_a_full_journal_drops_the_oldest_and_counts_them() -> None:
    bus = Bus()
    journal = bus.journal(capacity=10)
    for number in range(25):
        bus.publish(ticked(number))
    assert [event.number for event in journal.drain() if isinstance(event, Ticked)] == list(range(15, 25))
    assert journal.dropped == 15
    assert bus.published == 25


async def test_threads_publish_and_the_reader_is_woken_for_every_event() -> None:
    bus = Bus()
    journal = bus.journal(capacity=100_000)

    def publish(key: str) -> None:
        for number in range(2_000):
            bus.publish(ticked(number, key))

    threads = [threading.Thread(target=publish, args=(str(own),)) for own in range(4)]
    for thread in threads:
        thread.start()
    seen: dict[str, list[int]] = {}
    async with asyncio.timeout(30):
        async for event in journal:
            assert isinstance(event, Ticked)
            seen.setdefault(event.key, []).append(event.number)
            if sum(map(len, seen.values())) == 8_000:
                break
    assert seen == {str(own): list(range(2_000)) for own in range(4)}
    assert journal.dropped == 0


async def test_a_waiting_reader_is_woken_by_a_thread() -> None:
    bus = Bus()
    journal = bus.journal()
    reader = asyncio.ensure_future(anext(aiter(journal)))
    await asyncio.sleep(0)
    assert not reader.done()
    await asyncio.to_thread(bus.publish, ticked(1))
    assert (await asyncio.wait_for(reader, 10)).data()["number"] == 1


async def test_closing_gives_what_is_left_and_ends() -> None:
    bus = Bus()
    journal = bus.journal()
    bus.publish(ticked(1))
    journal.close()
    async with asyncio.timeout(10):
        assert [event async for event in journal] != []
        assert [event async for event in journal] == []


async def test_a_removed_listener_hears_nothing_more() -> None:
    bus = Bus()
    journal, view = bus.journal(), bus.view(by_key)
    bus.remove(journal)
    bus.remove(view)
    bus.remove(view)
    bus.publish(ticked(1))
    assert journal.drain() == []
    assert view.changes_since(0) == (0, {})


def test_a_view_keeps_the_latest_per_key() -> None:
    bus = Bus()
    view = bus.view(by_key)
    first, second, other = ticked(1, "a"), ticked(2, "a"), ticked(3, "b")
    for event in (first, second, other, ticked(4, "")):
        bus.publish(event)
    assert view.changes_since(0) == (3, {"a": second, "b": other})


def test_a_view_forgets_a_run() -> None:
    view = View(by_key)
    view.put(ticked(1, "a", run="one"))
    view.put(ticked(2, "b", run="two"))
    view.forget("one")
    assert set(view.changes_since(0)[1]) == {"b"}


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=60))
def test_who_asks_for_changes_again_and_again_ends_with_the_latest_of_every_key(steps: list[tuple[str, bool]]) -> None:
    view, version = View(by_key), 0
    painted: dict[Hashable, Event] = {}
    latest: dict[Hashable, Event] = {}
    for number, (key, look) in enumerate(steps):
        latest[key] = ticked(number, key)
        view.put(latest[key])
        if look:
            version, changed = view.changes_since(version)
            painted |= changed
    version, changed = view.changes_since(version)
    assert painted | changed == latest
    assert view.changes_since(version) == (version, {})
