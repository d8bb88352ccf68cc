"""Processes that work on this workspace: who lives, who is dead.

On the same host a process is alive exactly as long as it holds the lock on its own file: the
system lets go of it at any death, so a dead one is noticed at once. From elsewhere it is alive
until its lease runs out.
"""

from __future__ import annotations

import fcntl
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from uuid import uuid4

from sqlalchemy import Connection, delete, insert, select, update

from streamconsole.engines.errors import Refused, SideLost
from streamconsole.engines.workspace.clock import now_ms
from streamconsole.engines.workspace.tables import nodes
from streamconsole.engines.workspace.workspace import Workspace

LEASE_MS = 30_000
RENEW_S = 10.0


@dataclass(frozen=True, slots=True)
class Node:
    """One process that opened the workspace to work on it."""

    id: str
    host: str
    boot: str
    pid: int
    lease_until: int

    def __str__(self) -> str:
        return f"{self.host} pid {self.pid}"


def get(connection: Connection, node_id: str) -> Node | None:
    """The node of that id."""
    row = connection.execute(
        select(nodes.c.id, nodes.c.host, nodes.c.boot, nodes.c.pid, nodes.c.lease_until).where(nodes.c.id == node_id)
    ).first()
    return Node(*row) if row else None


def is_alive(node: Node, locks: Path) -> bool:
    """Whether the process still lives (see the module's text)."""
    if node.boot != boot_id():
        return node.lease_until > now_ms()
    try:
        handle = os.open(lock_file(locks, node.id), os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError:
        # Out of file handles, say: that proves nothing about the other process.
        return node.lease_until > now_ms()
    try:
        # Shared, so that two who look at once do not take each other for the owner.
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def lock_file(locks: Path, node_id: str) -> Path:
    """The file whose lock is the node's sign of life."""
    return locks / f"{node_id}.lock"


@cache
def boot_id() -> str:
    """Names this host and its present boot; file locks of another one say nothing here."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return socket.gethostname()


class Presence:
    """This process's sign of life: a locked file, and a lease renewed by a thread of its own.

    The thread does not depend on the event loop: whatever blocks that, a living process keeps its
    lease.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.node = Node(uuid4().hex, socket.gethostname(), boot_id(), os.getpid(), now_ms() + LEASE_MS)
        self._workspace = workspace
        self._stop = threading.Event()
        self._lock = -1
        self._thread = threading.Thread(target=self._renew_until_stopped, name="lease", daemon=True)

    async def start(self) -> None:
        """Take the file lock, register, start renewing.

        Raises:
            Refused: the workspace cannot be written.
        """
        locks = self._workspace.locks
        locks.mkdir(mode=0o700, exist_ok=True)
        self._lock = os.open(lock_file(locks, self.node.id), os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        _held.add(self._lock)
        try:
            await self._workspace.write(_register, self.node)
        except SideLost as error:
            await self.stop()
            # Nothing has been done yet: the workspace is not lost, it cannot be had.
            raise Refused(str(error)) from error
        for dead in await self._workspace.write(_forget_dead, locks):
            with suppress(OSError):
                lock_file(locks, dead).unlink()
        self._thread.start()

    async def stop(self) -> None:
        """Deregister and let go of the lock."""
        self._stop.set()
        with suppress(Exception):
            await self._workspace.write(_deregister, self.node.id)
        with suppress(OSError):
            lock_file(self._workspace.locks, self.node.id).unlink()
        if self._lock >= 0:
            _held.discard(self._lock)
            os.close(self._lock)

    def _renew_until_stopped(self) -> None:
        while not self._stop.wait(RENEW_S):
            # A renewal that fails is tried again at the next beat: the lease outlasts three.
            with suppress(Exception):
                self._workspace.writer.call(renew, self.node.id, timeout=RENEW_S)


_held: set[int] = set()
"""Handles of this process's locked files."""


def _let_go_in_child() -> None:
    # A copy of the handle would keep the lock, and so a dead parent alive, as long as the child lives.
    for handle in _held:
        with suppress(OSError):
            os.close(handle)
    _held.clear()


os.register_at_fork(after_in_child=_let_go_in_child)


def renew(connection: Connection, node_id: str, clock: Callable[[], int] = now_ms) -> None:
    """Push the end of the lease out."""
    connection.execute(update(nodes).where(nodes.c.id == node_id).values(lease_until=clock() + LEASE_MS))


def _register(connection: Connection, node: Node) -> None:
    connection.execute(
        insert(nodes).values(
            id=node.id,
            host=node.host,
            boot=node.boot,
            pid=node.pid,
            started_at=now_ms(),
            lease_until=now_ms() + LEASE_MS,
        )
    )


def _deregister(connection: Connection, node_id: str) -> None:
    connection.execute(delete(nodes).where(nodes.c.id == node_id))


def _forget_dead(connection: Connection, locks: Path) -> list[str]:
    """Remove rows of processes of this boot that died; gives their ids."""
    rows = connection.execute(
        select(nodes.c.id, nodes.c.host, nodes.c.boot, nodes.c.pid, nodes.c.lease_until).where(
            nodes.c.boot == boot_id()
        )
    ).all()
    dead = [row.id for row in rows if not is_alive(Node(*row), locks)]
    if dead:
        connection.execute(delete(nodes).where(nodes.c.id.in_(dead)))
    return dead
