"""An upload and a download as runs: their files, what is kept of each, and what completes the whole."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from streamconsole.engines.bus import Bus, Event
from streamconsole.engines.states import EngineKind, FileState
from streamconsole.engines.transfer.ledger import Ledger
from streamconsole.engines.transfer.settings import TransferSettings
from streamconsole.engines.transfer.stores.store import Store
from streamconsole.engines.transfer.tuning import Tuning
from streamconsole.engines.workspace import Workspace, chunks, events
from streamconsole.engines.workspace.runs import Run


@dataclass(slots=True)
class Context:
    """What both directions work with."""

    workspace: Workspace
    bus: Bus
    run: Run
    settings: TransferSettings
    store: Store
    tuning: Tuning
    pool: ThreadPoolExecutor
    ledger: Ledger = field(init=False)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.workspace, self.bus, self.run, self.settings.layout, self.tuning.end)

    def about(self) -> dict[str, Any]:
        """What every event says."""
        return {"engine": EngineKind.TRANSFER, "run": self.run.id}

    async def ended(self, number: int, state: FileState, digest: str | None, error: str | None, event: Event) -> None:
        """A file has its outcome: keep it, with what gathered about its chunks, then tell it."""
        await self.ledger.flush()
        self.ledger.forget(number)
        await self.workspace.write(_end_file, self.run, number, state, digest, error, event)
        self.bus.publish(event)


def direction_of(context: Context) -> Any:
    """The upload or download that a run is."""
    if context.settings.upload is not None:
        from streamconsole.engines.transfer.upload import Upload

        return Upload(context)
    from streamconsole.engines.transfer.download import Download

    return Download(context)


def _end_file(
    connection: Connection, run: Run, number: int, state: FileState, digest: str | None, error: str | None, event: Event
) -> None:
    chunks.end_file(connection, run, number, state, digest, error)
    events.append(connection, [event])
