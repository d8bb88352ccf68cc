"""The event bus: typed events in, coalesced streams out.

`publish` is synchronous, never blocks, never awaits and may be called from any thread.
Two kinds of subscribers exist. A `Journal` gets every event in order, bounded, and counts what
it had to drop. A `View` keeps the latest event per key and answers "what changed since version
n": a screen paints from views at its own beat, whatever the event rate.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Hashable
from dataclasses import dataclass, field, fields
from time import time
from typing import Any

from streamconsole.engines.states import EngineKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base of all events; the class name is the event's name, in the past tense.

    Args:
        engine: which engine says it.
        run: id of the run it is about.
        at: seconds since the epoch; now by default.
    """

    engine: EngineKind
    run: str
    at: float = field(default_factory=time)

    @property
    def name(self) -> str:
        """Name of the event as it stands in logs and JSON Lines."""
        return type(self).__name__

    @property
    def unit(self) -> str | None:
        """The unit it is about, when it is about one (a window's number, say)."""
        return None

    def data(self) -> dict[str, Any]:
        """The event's own fields, without those every event has."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in {"engine", "run", "at"}}


class Journal:
    """Every event in order; the oldest are dropped, and counted, when nobody reads fast enough.

    Args:
        capacity: events kept at most.
    """

    def __init__(self, capacity: int) -> None:
        self._events: deque[Event] = deque(maxlen=capacity)
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._signalled = False
        self._closed = False
        self.dropped = 0

    def put(self, event: Event) -> None:
        """Take an event from the bus (called under its lock, from any thread)."""
        if len(self._events) == self._events.maxlen:
            self.dropped += 1
        self._events.append(event)
        self._wake()

    def close(self) -> None:
        """End the iteration once what is there has been read."""
        self._closed = True
        self._wake()

    def drain(self) -> list[Event]:
        """Take what has gathered, without waiting."""
        taken = []
        while self._events:
            taken.append(self._events.popleft())
        return taken

    async def __aiter__(self) -> AsyncIterator[Event]:
        while True:
            for event in self.drain():
                yield event
            if self._closed and not self._events:
                return
            self._ready.clear()
            self._signalled = False
            if not self._events and not self._closed:
                await self._ready.wait()

    def _wake(self) -> None:
        # One call into the loop per gathering, not per event: it costs more than all the rest.
        if not self._signalled and not self._loop.is_closed():
            self._signalled = True
            self._loop.call_soon_threadsafe(self._ready.set)


class View:
    """The latest event per key, with a version that moves at each change.

    Args:
        key: gives an event's key, or None when the view does not want it.
    """

    def __init__(self, key: Callable[[Event], Hashable | None]) -> None:
        self._key = key
        self._latest: dict[Hashable, tuple[int, Event]] = {}
        self._lock = threading.Lock()
        self.version = 0

    def put(self, event: Event) -> None:
        """Take an event from the bus (from any thread)."""
        key = self._key(event)
        if key is None:
            return
        with self._lock:
            self.version += 1
            # Taken out first, so that the dict stays ordered by version.
            self._latest.pop(key, None)
            self._latest[key] = (self.version, event)

    def changes_since(self, version: int) -> tuple[int, dict[Hashable, Event]]:
        """What changed after `version`: the new version and the latest event of each changed key."""
        changed: dict[Hashable, Event] = {}
        with self._lock:
            for key, (at, event) in reversed(self._latest.items()):
                if at <= version:
                    break
                changed[key] = event
            return self.version, changed

    def forget(self, run: str) -> None:
        """Let go of everything about one run."""
        with self._lock:
            for key in [key for key, (_, event) in self._latest.items() if event.run == run]:
                del self._latest[key]


class Bus:
    """Takes events from the engines and hands them to whoever listens."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: list[Journal | View] = []
        self.published = 0

    def publish(self, event: Event) -> None:
        """Hand an event to every listener. Never blocks; safe from any thread."""
        with self._lock:
            self.published += 1
            for listener in self._listeners:
                listener.put(event)

    def journal(self, capacity: int = 10_000) -> Journal:
        """Listen to every event, keeping `capacity` of them at most. Needs a running loop."""
        journal = Journal(capacity)
        self._add(journal)
        return journal

    def view(self, key: Callable[[Event], Hashable | None]) -> View:
        """Listen to the latest event per key."""
        view = View(key)
        self._add(view)
        return view

    def remove(self, listener: Journal | View) -> None:
        """Stop handing events to a listener."""
        with self._lock:
            if listener in self._listeners:
                self._listeners.remove(listener)

    def _add(self, listener: Journal | View) -> None:
        with self._lock:
            self._listeners.append(listener)
