"""Who lives and who is dead: a file lock on this host, a lease elsewhere."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest
from sqlalchemy import Connection

from streamconsole.engines.workspace import Workspace, nodes
from streamconsole.engines.workspace.clock import now_ms
from streamconsole.engines.workspace.nodes import LEASE_MS, Node, Presence, boot_id, is_alive, renew

HOLDER = """
import asyncio, sys
from streamconsole.engines.workspace import Workspace
from streamconsole.engines.workspace.nodes import Presence

async def main():
    presence = Presence(await Workspace.open(sys.argv[1]))
    await presence.start()
    print(presence.node.id, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@contextmanager
def another_process(workspace: Workspace) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that is present in the workspace, and its node's id."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, workspace.url], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()


async def node_of(workspace: Workspace, node_id: str) -> Node:
    node = await workspace.read(nodes.get, node_id)
    assert node is not None
    return node


async def test_a_living_process_is_alive_and_a_killed_one_dead_within_two_seconds(workspace: Workspace) -> None:
    with another_process(workspace) as (process, node_id):
        node = await node_of(workspace, node_id)
        assert (node.host, node.pid) == (socket.gethostname(), process.pid)
        # A lease that ran out does not make a living process of this host dead.
        assert is_alive(replace(node, lease_until=0), workspace.locks)
        process.kill()
        killed = monotonic()
        while is_alive(node, workspace.locks):
            assert monotonic() - killed < 2
            await asyncio.sleep(0.01)
        assert node.lease_until > now_ms()


async def test_the_dead_are_forgotten_when_the_next_one_comes(workspace: Workspace) -> None:
    with another_process(workspace) as (process, dead):
        process.kill()
        process.wait(10)
    presence = Presence(workspace)
    await presence.start()
    assert await workspace.read(nodes.get, dead) is None
    assert not nodes.lock_file(workspace.locks, dead).exists()
    assert await workspace.read(nodes.get, presence.node.id) == replace(
        presence.node, lease_until=(await node_of(workspace, presence.node.id)).lease_until
    )
    await presence.stop()
    assert await workspace.read(nodes.get, presence.node.id) is None
    assert list(workspace.locks.iterdir()) == []


async def test_the_living_are_not_forgotten(workspace: Workspace) -> None:
    with another_process(workspace) as (_, living):
        presence = Presence(workspace)
        await presence.start()
        assert await workspace.read(nodes.get, living) is not None
        await presence.stop()


def test_a_process_of_another_boot_lives_as_long_as_its_lease(tmp_path: Path) -> None:
    node = Node("n", "elsewhere", "another boot", 1, now_ms() + 60_000)
    assert is_alive(node, tmp_path)
    assert not is_alive(replace(node, lease_until=now_ms() - 1), tmp_path)


def test_without_a_lock_file_it_is_dead(tmp_path: Path) -> None:
    assert not is_alive(Node("n", "here", boot_id(), os.getpid(), now_ms() + 60_000), tmp_path)


def test_a_lock_that_cannot_be_looked_at_is_no_sign_of_death(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes.lock_file(tmp_path, "n").touch()
    node = Node("n", "here", boot_id(), os.getpid(), now_ms() + 60_000)

    def too_many(*_: object) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "open", too_many)
    assert is_alive(node, tmp_path)


async def test_two_who_look_at_once_do_not_take_each_other_for_the_owner(workspace: Workspace) -> None:
    node = Node("n", "here", boot_id(), 1, 0)
    workspace.locks.mkdir()
    nodes.lock_file(workspace.locks, "n").touch()
    looks = await asyncio.gather(*(asyncio.to_thread(is_alive, node, workspace.locks) for _ in range(50)))
    assert not any(looks)


async def test_renewing_pushes_the_lease_out(workspace: Workspace) -> None:
    presence = Presence(workspace)
    await presence.start()
    await workspace.write(renew, presence.node.id, lambda: 5_000_000)
    assert (await node_of(workspace, presence.node.id)).lease_until == 5_000_000 + LEASE_MS
    await presence.stop()


async def test_a_loop_that_is_blocked_does_not_cost_the_lease(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewed = threading.Event()

    def noted(connection: Connection, node_id: str) -> None:
        renew(connection, node_id)
        renewed.set()

    monkeypatch.setattr(nodes, "RENEW_S", 0.01)
    monkeypatch.setattr(nodes, "renew", noted)
    presence = Presence(workspace)
    await presence.start()
    renewed.clear()
    # On purpose not awaited: the loop stands still until the lease has been renewed.
    assert renewed.wait(10)
    await presence.stop()
