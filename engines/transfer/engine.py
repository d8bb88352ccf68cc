"""The transfer engine: uploads and downloads as runs, with chunks as units."""

from __future__ import annotations

from streamconsole.engines.bus import Bus
from streamconsole.engines.control import Command, Leftover, Outcome, Snapshot
from streamconsole.engines.states import EngineKind, RunState
from streamconsole.engines.transfer.planning import TransferPlan
from streamconsole.engines.transfer.run import TransferRun
from streamconsole.engines.workspace import Workspace, runs
from streamconsole.engines.workspace.runs import Run


class TransferEngine:
    """Does transfers and obeys commands about them.

    Args:
        workspace: where runs and their ledgers are kept.
        bus: told of everything that happens.
    """

    kind = EngineKind.TRANSFER

    def __init__(self, workspace: Workspace, bus: Bus) -> None:
        self._workspace = workspace
        self._bus = bus
        self._live: dict[str, TransferRun] = {}

    async def create(self, plan: TransferPlan) -> Run:
        """Record a planned transfer; `start` does it."""
        spec = plan.settings.model_dump(mode="json")
        return await self._workspace.write(runs.create, self.kind, plan.name, spec, plan.data)

    async def start(self, run: Run, *, retry_failed: bool) -> RunState:
        """Work on a claimed run until it ends, is drained, or loses a side."""
        live = self._live[run.id] = TransferRun(self._workspace, self._bus, run)
        try:
            return await live.execute(retry_failed=retry_failed)
        finally:
            del self._live[run.id]

    async def obey(self, command: Command) -> Outcome:
        """Do what a command says to a run that is being worked on."""
        live = self._live.get(command.run)
        if live is None:
            return Outcome(False, f"run {command.run} is not being worked on here")
        return await live.obey(command)

    async def drain(self, run: str, within: float) -> Leftover:
        """Begin no more chunks, finish the active ones within so many seconds."""
        live = self._live.get(run)
        if live is None:
            return Leftover(run, True, "nothing left")
        return await live.drain(within)

    def snapshot(self, run: str) -> Snapshot | None:
        """The run as it is now; None when it is not being worked on."""
        live = self._live.get(run)
        return live.snapshot() if live else None
