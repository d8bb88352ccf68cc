"""What operators can turn while a run is at work: how many workers, and how fast. Kept with the run."""

from __future__ import annotations

from typing import Any

from streamconsole.engines.bus import Bus
from streamconsole.engines.control import Command, Outcome, Verb
from streamconsole.engines.migration.events import RateChanged, WorkersChanged
from streamconsole.engines.migration.manager import WorkerManager
from streamconsole.engines.migration.pace import ROW_BYTES, Pace
from streamconsole.engines.migration.settings import MigrationSettings
from streamconsole.engines.rate import parse
from streamconsole.engines.states import EngineKind
from streamconsole.engines.turning import NotTurned, told_turn, turn
from streamconsole.engines.workspace import Workspace, runs
from streamconsole.engines.workspace.runs import Run


class Tuning:
    """Workers and rate of one run.

    Args:
        workspace: where they are kept.
        bus: told when they change.
        run: as claimed.
        settings: what was asked for at first.
        unit: what the source's offsets count.
    """

    def __init__(self, workspace: Workspace, bus: Bus, run: Run, settings: MigrationSettings, unit: str) -> None:
        self._workspace = workspace
        self._bus = bus
        self._run = run
        self._turned = dict(run.tuning)
        self._asked = settings.workers
        self._rate = settings.rate
        row_bytes = float(run.plan.get("row_bytes") or ROW_BYTES)
        rate = parse(self.rate) if self.rate else None
        self.pace = Pace(rate, settings.window_rows, None if unit == "bytes" else row_bytes)

    @property
    def rate(self) -> str | None:
        """The limit now, as it is kept; None for none."""
        return self._turned.get("rate", self._rate)

    def workers(self, least: int) -> int:
        """Windows in hand at once: what an operator said last, else what was asked for, but at least so many."""
        said: int | None = self._turned.get("workers")
        return said or max(self._asked, least)

    async def obey(self, command: Command, manager: WorkerManager) -> Outcome:
        """Turn what a command says."""
        try:
            said = turn(command, manager.wanted)
        except NotTurned as error:
            return Outcome(False, str(error))
        await self._workspace.write(runs.tune, self._run, said)
        self._turned |= said
        if command.verb is Verb.WORKERS:
            manager.resize(said["workers"])
            self._bus.publish(WorkersChanged(**self._about(), workers=said["workers"]))
        else:
            self.pace.change(parse(said["rate"]) if said["rate"] else None)
            self._bus.publish(RateChanged(**self._about(), rate=said["rate"]))
        return Outcome(True, told_turn(said))

    def _about(self) -> dict[str, Any]:
        return {"engine": EngineKind.MIGRATION, "run": self._run.id}
