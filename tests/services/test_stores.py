"""What every store must do: the same tests for all kinds of them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import pytest

from streamconsole.engines.transfer.digests import Buffer
from streamconsole.engines.transfer.stores.locations import store_of
from streamconsole.engines.transfer.stores.store import Store, StoreError, Trouble

pytestmark = pytest.mark.services


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    made = store_of(store_url, 10)
    await made.check()
    yield made
    await made.close()


def name(number: int) -> str:
    return f"framed/{number:02x}/{number:064x}"


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 512 * 1024 + 1, 3 * 2**20])
async def test_what_is_put_is_there(store: Store, size: int) -> None:
    data = os.urandom(size)
    assert await store.put(name(1), data)
    assert bytes(await store.get(name(1), size)) == data
    assert await store.sizes([name(1), name(2)]) == [size, None]
    await store.settle()


async def test_every_kind_of_buffer_is_taken(store: Store) -> None:
    buffers: tuple[Buffer, ...] = (b"abc", bytearray(b"abc"), memoryview(bytearray(b"xabcx"))[1:4])
    for number, buffer in enumerate(buffers):
        assert await store.put(name(number), buffer)
        assert bytes(await store.get(name(number), 3)) == b"abc"


async def test_a_name_that_is_there_is_left_alone(store: Store) -> None:
    assert await store.put(name(1), b"first")
    assert not await store.put(name(1), b"second")
    assert bytes(await store.get(name(1), 100)) == b"first"


async def test_a_missing_name_is_said_to_be_missing(store: Store) -> None:
    with pytest.raises(StoreError) as told:
        await store.get(name(3), 100)
    assert told.value.trouble is Trouble.MISSING
    assert name(3) in str(told.value)


async def test_more_than_expected_is_not_taken(store: Store) -> None:
    await store.put(name(1), bytes(1000))
    with pytest.raises(StoreError, match="larger than the 999 bytes"):
        await store.get(name(1), 999)


async def test_names_can_be_listed(store: Store) -> None:
    for number in range(5):
        await store.put(name(number), b"x")
    await store.put("manifests/shop-1.json", b"{}")
    assert sorted([each async for each in store.names("framed/")]) == [name(number) for number in range(5)]
    assert [each async for each in store.names("manifests/")] == ["manifests/shop-1.json"]
    assert [each async for each in store.names("nothing/")] == []


async def test_many_at_once_each_arrive_whole_and_once(store: Store) -> None:
    contents = {name(number): os.urandom(10_000 + number) for number in range(64)}
    put = await asyncio.gather(*(store.put(each, contents[each]) for each in [*contents, *contents]))
    assert sum(put) >= 64
    for each, data in contents.items():
        assert bytes(await store.get(each, 20_000)) == data


async def test_nothing_is_left_of_the_check(store: Store) -> None:
    assert [each async for each in store.names("checks/")] == []
    assert [each async for each in store.names(".unfinished/")] == []
