"""What the queues and workers of one process share on a workspace: its sign of life, and wake-ups."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary

from streamconsole.engines.workspace import Workspace
from streamconsole.engines.workspace.nodes import Presence


class Hub:
    """Tells whoever listens that something may have changed in a queue, by this process or another."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._listeners: dict[Callable[[str | None], None], asyncio.AbstractEventLoop] = {}
        self._lock = threading.Lock()
        self._present = asyncio.Lock()
        self._presence: Presence | None = None
        self._users = 0
        workspace.listen(self._foreign_change)

    def listen(self, callback: Callable[[str | None], None]) -> None:
        """Be told, in this loop, of changes in a queue (None: in any)."""
        with self._lock:
            self._listeners[callback] = asyncio.get_running_loop()

    def unlisten(self, callback: Callable[[str | None], None]) -> None:
        """Be told no more."""
        with self._lock:
            self._listeners.pop(callback, None)

    def changed(self, queue: str | None) -> None:
        """Something may have changed. From any thread."""
        with self._lock:
            told = list(self._listeners.items())
        try:
            here: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        for callback, loop in told:
            if loop is here:
                callback(queue)
            elif not loop.is_closed():
                loop.call_soon_threadsafe(callback, queue)

    @asynccontextmanager
    async def present(self) -> AsyncIterator[Presence]:
        """This process's sign of life, as long as one worker needs it."""
        async with self._present:
            if self._presence is None:
                presence = Presence(self._workspace)
                await presence.start()
                self._presence = presence
            self._users += 1
        try:
            yield self._presence
        finally:
            async with self._present:
                self._users -= 1
                if not self._users:
                    leaving, self._presence = self._presence, None
                    await leaving.stop()

    def _foreign_change(self) -> None:
        self.changed(None)


_hubs: WeakKeyDictionary[Workspace, Hub] = WeakKeyDictionary()


def hub_of(workspace: Workspace) -> Hub:
    """The hub of a workspace in this process."""
    if workspace not in _hubs:
        _hubs[workspace] = Hub(workspace)
    return _hubs[workspace]
