"""What object stores say when something goes wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamconsole.engines.errors import Refused
from streamconsole.engines.transfer.stores.locations import store_of
from streamconsole.engines.transfer.stores.objects import ObjectStore
from streamconsole.engines.transfer.stores.store import StoreError, Trouble
from tests.services.endpoint import Endpoint, Proxy, free_port

pytestmark = pytest.mark.services


async def test_the_endpoint_is_seen_to_create_only_what_is_not_there(endpoint: Endpoint, tmp_path: Path) -> None:
    store = store_of(endpoint.url(prefix=tmp_path.name))
    assert isinstance(store, ObjectStore)
    assert not store.creates
    await store.check()
    assert store.creates


async def test_each_kind_of_trouble_is_told_as_what_it_is_and_not_tried_again(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    async with Proxy(endpoint.port) as proxy:
        store = store_of(endpoint.url(proxy.port, tmp_path.name), 5)
        await store.check()
        for word, codes in (("503", {"503"}), ("429", {"429"}), ("cut", {"cut"})):
            proxy.plan[:] = [word]
            before = len(proxy.requests)
            with pytest.raises(StoreError) as told:
                await store.put("framed/aa/aa", b"x")
            assert told.value.trouble in (Trouble.PASSING, Trouble.UNREACHABLE)
            assert told.value.code in codes
            assert len(proxy.requests) == before + 1
        await store.put("framed/aa/aa", b"x" * 10_000)
        proxy.plan[:] = ["truncate"]
        with pytest.raises(StoreError) as told:
            await store.get("framed/aa/aa", 10_000)
        assert told.value.trouble in (Trouble.PASSING, Trouble.UNREACHABLE)
        assert len(await store.get("framed/aa/aa", 10_000)) == 10_000


async def test_an_endpoint_that_hangs_is_given_up_in_time(endpoint: Endpoint, tmp_path: Path) -> None:
    async with Proxy(endpoint.port, delay=30) as proxy:
        store = store_of(endpoint.url(proxy.port, tmp_path.name), 0.3)
        with pytest.raises(StoreError) as told:
            await store.get("framed/aa/aa", 10)
        assert told.value.code == "timeout"


async def test_one_that_is_not_there_is_unreachable(endpoint: Endpoint) -> None:
    with pytest.raises(StoreError, match="cannot be reached") as told:
        await store_of(endpoint.url(free_port()), 5).check()
    assert told.value.trouble is Trouble.UNREACHABLE


async def test_wrong_keys_are_permanent_and_not_shown(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
    with pytest.raises(StoreError) as told:
        await store_of(endpoint.url(), 5).check()
    assert told.value.trouble is Trouble.PERMANENT
    assert "wrong-secret" not in str(told.value)


@pytest.mark.parametrize("url", ["s3://b/p?secret_access_key=x", "ftp://host/x", "s3://"])
def test_what_cannot_be_a_store_is_refused(url: str) -> None:
    with pytest.raises(Refused) as told:
        store_of(url)
    assert "key=x" not in str(told.value)
