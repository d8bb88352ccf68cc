"""Whole migrations in this process, and what they left behind."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from streamconsole.engines import faults
from streamconsole.engines.bus import Bus, Event
from streamconsole.engines.control import Command, Outcome, Verb
from streamconsole.engines.migration.engine import MigrationEngine
from streamconsole.engines.migration.planning import plan
from streamconsole.engines.migration.settings import MigrationSettings
from streamconsole.engines.states import RunState
from streamconsole.engines.supervisor import Ended, Supervisor
from streamconsole.engines.workspace import Workspace, rejects, runs, windows
from streamconsole.engines.workspace.runs import Run
from streamconsole.engines.workspace.windows import Totals, WindowRecord

DATA = Path(__file__).parent.parent / "data"

QUICK = {"attempts": 2, "delay": 0, "jitter": 0}
"""Retry settings that do not wait."""


@dataclass(frozen=True)
class House:
    """One process's share of a workspace: supervisor, engine and bus."""

    workspace: Workspace
    bus: Bus
    engine: MigrationEngine
    supervisor: Supervisor

    async def create(self, source: Path | str, target: Path | str, **settings: Any) -> Run:
        """Plan a migration and record it."""
        asked = MigrationSettings(source=str(source), target=str(target), **{"retry": QUICK, **settings})
        return await self.engine.create(await asyncio.to_thread(plan, asked))

    async def work(self, run: Run, *, retry_failed: bool = False) -> Ended:
        """Work on a run until it ends."""
        task = await self.supervisor.start(run.id, retry_failed=retry_failed)
        return await asyncio.wait_for(task, 60)

    async def migrate(self, source: Path | str, target: Path | str, **settings: Any) -> Run:
        """A migration from its plan to its proper end; the run as it is then."""
        run = await self.create(source, target, **settings)
        assert await self.work(run) == Ended(run.id, RunState.COMPLETED)
        return await self.run(run)

    async def run(self, run: Run) -> Run:
        """The run as it is now."""
        return await self.workspace.read(runs.get, run.id)

    async def windows(self, run: Run) -> list[WindowRecord]:
        """Its ledger."""
        return await self.workspace.read(windows.listing, run.id)

    async def totals(self, run: Run) -> Totals:
        """Its sums."""
        return (await self.workspace.read(windows.totals, [run.id]))[run.id]

    async def rejects(self, run: Run) -> list[dict[str, Any]]:
        """Its refused rows."""
        return await self.workspace.read(rejects.listing, run.id)

    async def say(self, run: Run, verb: Verb, unit: str | None = None, **args: Any) -> Outcome:
        """Give a command."""
        return await asyncio.wait_for(self.supervisor.command(Command(run.id, verb, unit, args)), 30)


@asynccontextmanager
async def house(path: Path) -> AsyncIterator[House]:
    """Open a workspace and work in it, as one process does."""
    workspace = await Workspace.open(str(path))
    bus = Bus()
    engine = MigrationEngine(workspace, bus)
    try:
        async with Supervisor(workspace, bus, [engine]) as supervisor:
            yield House(workspace, bus, engine, supervisor)
    finally:
        await workspace.close()


class Waiter:
    """Waits for events, without missing one published before the wait."""

    def __init__(self, bus: Bus) -> None:
        self._journal = bus.journal(100_000)
        self.seen: list[Event] = []

    async def until(self, name: str, count: int = 1) -> Event:
        """The `count`-th event of that name, counted from the beginning."""
        async with asyncio.timeout(60):
            found = [event for event in self.seen if event.name == name]
            if len(found) < count:
                async for event in self._journal:
                    self.seen.append(event)
                    found += [event] if event.name == name else []
                    if len(found) == count:
                        break
        return found[count - 1]

    def names(self) -> list[str]:
        """Names of all events so far."""
        self.seen += self._journal.drain()
        return [event.name for event in self.seen]


def inject(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Faults from now on, as STREAMCONSOLE_FAULTS would give them."""
    monkeypatch.setattr(faults, "_faults", faults._parse(text))


class Gate:
    """Holds windows back at a named point until it is opened; threads wait, the loop does not."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, point: str, hold: Callable[[str], bool]) -> None:
        self._open = threading.Event()
        self._hold, self._point = hold, point
        monkeypatch.setattr(faults, "reach", self._reach)

    def open(self) -> None:
        """Let everybody through."""
        self._open.set()

    def _reach(self, point: str, unit: object = None) -> None:
        if point == self._point and self._hold(str(unit)):
            assert self._open.wait(60)


def write_lines(path: Path, rows: Iterable[Any]) -> Path:
    """A file of JSON lines; a row given as bytes goes in as it is."""
    path.write_bytes(b"".join((row if isinstance(row, bytes) else orjson.dumps(row)) + b"\n" for row in rows))
    return path


def rows_of(path: Path, table: str = "t", order: str = "1") -> list[dict[str, Any]]:
    """The rows of a SQLite table, by column name."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f'SELECT * FROM "{table}" ORDER BY {order}')]
