"""One opening of a workspace with all engines at hand: what the console and headless runs stand on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from streamconsole.engines.bus import Bus
from streamconsole.engines.migration.engine import MigrationEngine
from streamconsole.engines.supervisor import Supervisor
from streamconsole.engines.transfer.engine import TransferEngine
from streamconsole.engines.workspace import Workspace
from streamconsole.engines.workspace.events import KEEP_EVENTS


@dataclass(frozen=True, slots=True)
class Session:
    """An open workspace, its bus, its supervisor and the engines."""

    workspace: Workspace
    bus: Bus
    supervisor: Supervisor
    migration: MigrationEngine
    transfer: TransferEngine


@asynccontextmanager
async def open_session(url: str, keep_events: int = KEEP_EVENTS) -> AsyncIterator[Session]:
    """Open a workspace to work on it; everything is closed in order at the end.

    Raises:
        Refused: the workspace cannot be opened.
    """
    workspace = await Workspace.open(url)
    try:
        bus = Bus()
        migration, transfer = MigrationEngine(workspace, bus), TransferEngine(workspace, bus)
        async with Supervisor(workspace, bus, [migration, transfer], keep_events) as supervisor:
            yield Session(workspace, bus, supervisor, migration, transfer)
    finally:
        await workspace.close()
