"""Transfers against every kind of store, and through trouble."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from streamconsole.engines.states import RunState
from streamconsole.engines.supervisor import Ended
from streamconsole.engines.transfer.planning import plan
from streamconsole.engines.transfer.settings import ChunkRetry, TransferSettings
from streamconsole.session import Session, open_session
from tests.services.endpoint import KEYS, PROGRAM, Endpoint, Proxy, running

pytestmark = pytest.mark.services

LAYOUTS = pytest.mark.parametrize("layout", ["framed", "stream"])
RETRY = ChunkRetry(attempts=8, delay=0.02, cap=0.2)


async def done(session: Session, **options: Any) -> Ended:
    run = await session.transfer.create(await plan(TransferSettings(**options)))
    return await (await session.supervisor.start(run.id))


def data(size: int) -> bytes:
    return os.urandom(size // 2) + b"all the same " * (size // 26)


@LAYOUTS
async def test_round_trip(store_url: str, tmp_path: Path, layout: str) -> None:
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    for name, size in {"empty": 0, "one": 1, "some": 4097, "sub/large": 7_000_000}.items():
        (tree / name).write_bytes(data(size))
    async with open_session(str(tmp_path / "w.db")) as session:
        ended = await done(session, upload=str(tree), store=store_url, layout=layout)
        assert ended.state is RunState.COMPLETED, ended.error
        ended = await done(session, download=f"{tree}.manifest.json", out=str(tmp_path / "out"), store=store_url)
        assert ended.state is RunState.COMPLETED, ended.error
    for path in tree.rglob("*"):
        if path.is_file():
            assert (tmp_path / "out" / path.relative_to(tree)).read_bytes() == path.read_bytes()


@LAYOUTS
async def test_trouble_on_the_line_is_retried_and_seen(endpoint: Endpoint, tmp_path: Path, layout: str) -> None:
    file, out = tmp_path / "file", tmp_path / "out"
    file.write_bytes(data(12_000_000))
    async with Proxy(endpoint.port) as proxy, open_session(str(tmp_path / "w.db")) as session:
        url = endpoint.url(proxy.port, tmp_path.name)
        journal = session.bus.journal()
        # The manifest's own put comes last, and is not in the plan's way.
        proxy.plan[:] = ["503", "", "429", "cut", "", "503", "cut"]
        ended = await done(session, upload=str(file), store=url, layout=layout, retry=RETRY)
        assert ended.state is RunState.COMPLETED, ended.error
        retried = [event.data() for event in journal.drain() if event.data().get("state") == "retrying"]
        assert {"503", "429", "cut"} <= {each["code"] for each in retried}
        assert all(each["attempt"] >= 1 and each["pause"] >= 0 for each in retried)
        proxy.plan[:] = ["truncate", "503", "", "cut", "truncate"]
        manifest = f"{file}.manifest.json"
        ended = await done(session, download=manifest, out=str(out), store=url, retry=RETRY)
        assert ended.state is RunState.COMPLETED, ended.error
        assert len([event for event in journal.drain() if event.data().get("state") == "retrying"]) >= 4
    assert out.read_bytes() == file.read_bytes()


async def test_attempts_used_up_a_chunk_fails_and_is_done_again_by_retry(endpoint: Endpoint, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(os.urandom(400_000))
    async with Proxy(endpoint.port) as proxy, open_session(str(tmp_path / "w.db")) as session:
        proxy.plan[:] = ["503"] * 3
        retry = ChunkRetry(attempts=3, delay=0)
        url = endpoint.url(proxy.port, tmp_path.name)
        journal = session.bus.journal()
        ended = await done(session, upload=str(file), store=url, retry=retry)
        assert ended.state is RunState.COMPLETED
        (failed,) = [event for event in journal.drain() if event.name == "FileFailed"]
        assert "503" in failed.data()["failures"][0]
        assert not Path(f"{file}.manifest.json").exists()
        ended = await (await session.supervisor.start(ended.run, retry_failed=True))
        assert ended.state is RunState.COMPLETED
        assert Path(f"{file}.manifest.json").exists()


@LAYOUTS
async def test_a_store_killed_in_the_middle_and_started_again(
    tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if PROGRAM is None:
        pytest.skip("versitygw is not installed: `make services`")
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    file, out = tmp_path / "file", tmp_path / "out"
    file.write_bytes(os.urandom(16_000_000))
    with running(tmp_path / "s3") as endpoint:
        async with open_session(str(tmp_path / "w.db")) as session:
            options = {"store": endpoint.url(), "retry": ChunkRetry(attempts=2, delay=0), "bandwidth": 8_000_000}
            settings = TransferSettings(upload=str(file), layout=layout, **options)
            run = await session.transfer.create(await plan(settings))
            journal = session.bus.journal()
            working = await session.supervisor.start(run.id)
            async for event in journal:
                if event.data().get("state") == "stored":
                    break
            endpoint.kill()
            ended = await working
            assert ended.state is RunState.FAILURE, ended
            assert "cannot be reached" in str(ended.error) or "cut" in str(ended.error)
            endpoint.start()
            ended = await (await session.supervisor.start(run.id))
            assert ended.state is RunState.COMPLETED, ended.error
            ended = await done(session, download=f"{file}.manifest.json", out=str(out), store=endpoint.url())
            assert ended.state is RunState.COMPLETED, ended.error
    assert out.read_bytes() == file.read_bytes()


async def test_looking_ahead_hides_the_time_that_the_line_takes(endpoint: Endpoint, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(os.urandom(33 * 512 * 1024))
    seconds = {}
    async with Proxy(endpoint.port) as proxy, open_session(str(tmp_path / "w.db")) as session:
        url = endpoint.url(proxy.port, tmp_path.name)
        ended = await done(session, upload=str(file), store=url)
        assert ended.state is RunState.COMPLETED, ended.error
        proxy.delay = 0.08
        for ahead in (1, 16):
            begun = monotonic()
            out = tmp_path / f"out-{ahead}"
            manifest = f"{file}.manifest.json"
            ended = await done(session, download=manifest, out=str(out), store=url, look_ahead=ahead)
            assert ended.state is RunState.COMPLETED, ended.error
            seconds[ahead] = monotonic() - begun
            assert out.read_bytes() == file.read_bytes()
    # Ten times is what the benchmark looks for; a busy machine must not fail this.
    assert seconds[1] > 4 * seconds[16]


def worker(*messages: dict[str, Any], python: str = sys.executable) -> list[dict[str, Any]]:
    text = "".join(json.dumps(message) + "\n" for message in messages)
    result = subprocess.run(
        [python, "-m", "streamconsole.engines.transfer.worker"], input=text, capture_output=True, text=True, timeout=100
    )
    assert result.stderr == ""
    return [json.loads(line) for line in result.stdout.splitlines()]


@LAYOUTS
async def test_a_worker_is_driven_by_messages(store_url: str, tmp_path: Path, layout: str) -> None:
    file, out = tmp_path / "file", tmp_path / "out"
    file.write_bytes(data(3_000_000))
    start = {"type": "UPLOAD_START", "file": str(file), "store": store_url, "layout": layout}
    said = await asyncio.to_thread(worker, start)
    assert {each["type"] for each in said[:-1]} == {"CHUNK"}
    uploaded = said[-1]
    assert uploaded["type"] == "FILE_UPLOADED"
    assert sorted(each["chunk"] for each in said[:-1]) == list(range(1, len(uploaded["hashes"]) + 1))
    messages = [{"type": "DOWNLOAD_START", "file": str(out), "store": store_url, "manifest": uploaded["manifest"]}]
    if layout == "stream":
        hashes = {"hashes": uploaded["hashes"]}
        messages.append({"type": "DOWNLOAD_START", "file": f"{out}2", "store": store_url, **hashes})
    said = await asyncio.to_thread(worker, *messages)
    assert [each["type"] for each in said if each["type"] != "CHUNK"] == ["FILE_DOWNLOADED"] * len(messages)
    for message in messages:
        assert Path(message["file"]).read_bytes() == file.read_bytes()


async def test_a_worker_says_what_failed_and_goes_on(tmp_path: Path) -> None:
    store, file = str(tmp_path / "store"), tmp_path / "file"
    file.write_bytes(b"x" * 10_000)
    said = await asyncio.to_thread(
        worker,
        {"type": "UPLOAD_START", "file": str(tmp_path / "none"), "store": store},
        {"type": "NONSENSE"},
        {"type": "DOWNLOAD_START", "file": str(tmp_path / "o"), "store": store, "hashes": ["ab" * 32]},
        {"type": "DOWNLOAD_START", "file": str(tmp_path / "o"), "store": store, "hashes": ["../../etc"]},
        {"type": "UPLOAD_START", "file": str(file), "store": store},
    )
    assert [each["type"] for each in said] == [*["FILE_FAILED"] * 4, "CHUNK", "FILE_UPLOADED"]
    assert "No such file" in said[0]["error"]
    assert said[2]["chunks"][0]["chunk"] == 1
    assert not (tmp_path / "o").exists()
