"""The migration engine: runs, each with its source, target, workers and history."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from streamconsole.engines.bus import Bus
from streamconsole.engines.control import Command, Leftover, Outcome, Snapshot
from streamconsole.engines.errors import Held, Refused
from streamconsole.engines.migration.locations import target_of
from streamconsole.engines.migration.planning import LATER, Plan, plan
from streamconsole.engines.migration.run import MigrationRun
from streamconsole.engines.migration.settings import MigrationSettings
from streamconsole.engines.migration.work import Work, moving
from streamconsole.engines.states import FINISHED_RUNS, EngineKind, RunState
from streamconsole.engines.workspace import Workspace, replays, runs, verifications
from streamconsole.engines.workspace.runs import Run


class MigrationEngine:
    """Does migrations and obeys commands about them.

    Args:
        workspace: where runs and their ledgers are kept.
        bus: told of everything that happens.
    """

    kind = EngineKind.MIGRATION

    def __init__(self, workspace: Workspace, bus: Bus) -> None:
        self._workspace = workspace
        self._bus = bus
        self._live: dict[str, MigrationRun] = {}

    async def create(self, plan: Plan) -> Run:
        """Record a planned migration; `start` does it.

        Raises:
            Refused: the target is the workspace.
        """
        if plan.settings.tables is None:
            self._refuse_workspace(plan)
        spec = plan.settings.model_dump(mode="json")
        return await self._workspace.write(runs.create, self.kind, plan.name, spec, plan.data)

    async def exchange(self, run_id: str, plans: Sequence[Plan]) -> list[Run]:
        """Record planned migrations in the place of a run that stood for them: all of them, or none.

        Raises:
            Held: another process has done so already.
            Refused: a target is the workspace.
        """
        for each in plans:
            self._refuse_workspace(each)
        specs = [(each.name, each.settings.model_dump(mode="json"), each.data) for each in plans]
        return await self._workspace.write(_exchange, self.kind, run_id, specs)

    async def verify(self, run_id: str, workers: int | None = None) -> Run:
        """Record a verification of a completed run.

        Raises:
            Refused: the run cannot be verified.
        """
        from streamconsole.engines.migration.verifying import work as verifying

        return await verifying.create(self._workspace, run_id, workers)

    async def replay(self, run_id: str, changed: Mapping[str, Any]) -> Run | None:
        """Record a replay of the rows that a completed run refused; None when there are none left.

        Args:
            run_id: the run.
            changed: settings that are others now (`columns`, `transform`).

        Raises:
            Refused: they cannot be read again, or not be written.
        """
        from streamconsole.engines.migration.replaying import work as replaying

        return await replaying.create(self._workspace, run_id, changed)

    async def verification_of(self, run_id: str) -> Run:
        """The verification of a run that is not at its end yet, else a new one.

        Raises:
            Refused: the run cannot be verified.
        """
        run = await self._workspace.read(runs.get, run_id)
        known = await self._workspace.read(verifications.newest_of, replays.replayed_by(run) or run.id)
        if known is not None and known.state not in FINISHED_RUNS:
            return known
        return await self.verify(run_id)

    async def verification_after(self, run_id: str) -> Run | None:
        """The verification that a completed run asks for: the one made since its end, else a new one.

        After a replay it is the run whose refused rows were written that is verified.

        Raises:
            Refused: the run cannot be verified.
        """
        run = await self._workspace.read(runs.get, run_id)
        if run.engine is not self.kind or run.state is not RunState.COMPLETED or not run.spec.get("verify"):
            return None
        verified = replays.replayed_by(run) or run.id
        known = await self._workspace.read(verifications.newest_of, verified)
        if known is not None and known.created_at >= (run.finished_at or 0):
            return known
        return await self.verify(verified)

    async def _work_of(self, run: Run) -> Work:
        owner = f"{run.id}/{run.epoch}"
        stderr = self._workspace.path.with_name(f"stderr-{run.id}")
        if "verifies" in run.plan:
            from streamconsole.engines.migration.verifying import work as verifying

            return await verifying.work(self._workspace, run, owner, stderr)
        if replays.replayed_by(run) is not None:
            from streamconsole.engines.migration.replaying import work as replaying

            return await replaying.work(self._workspace, run, owner, stderr)
        return moving(MigrationSettings.model_validate(run.spec), owner, stderr)

    def _refuse_workspace(self, plan: Plan) -> None:
        path: Path | None = getattr(target_of(plan.settings), "path", None)
        if path is not None and path.resolve() == self._workspace.path.resolve():
            raise Refused(f"target {path} is the workspace itself, which keeps the runs: name another file")

    async def start(self, run: Run, *, retry_failed: bool) -> RunState:
        """Work on a claimed run until it ends, is drained, or loses a side."""
        if LATER in run.plan:
            run = await self._planned(run)
        work = await self._work_of(run)
        live = self._live[run.id] = MigrationRun(self._workspace, self._bus, run, work)
        try:
            return await live.execute(retry_failed=retry_failed)
        finally:
            del self._live[run.id]

    async def _planned(self, run: Run) -> Run:
        """A run that could not be planned when it was recorded, with its plan."""
        settings = MigrationSettings.model_validate(run.spec)
        if settings.tables is not None:
            raise Refused(
                f"run {run.id} stands for the tables of a database: its runbook begins with them when what it "
                "waits for is done"
            )
        found = await asyncio.to_thread(plan, settings, run.name)
        data = {name: value for name, value in run.plan.items() if name != LATER} | found.data
        await self._workspace.write(runs.save_plan, run, data)
        return replace(run, plan=data)

    async def obey(self, command: Command) -> Outcome:
        """Do what a command says to a run that is being worked on."""
        live = self._live.get(command.run)
        if live is None:
            return Outcome(False, f"run {command.run} is not being worked on here")
        return await live.obey(command)

    async def drain(self, run: str, within: float) -> Leftover:
        """Take no more windows, finish the active ones within so many seconds, hand the rest back."""
        live = self._live.get(run)
        if live is None:
            return Leftover(run, True, "nothing left")
        return await live.drain(within)

    def snapshot(self, run: str) -> Snapshot | None:
        """The run as it is now; None when it is not being worked on."""
        live = self._live.get(run)
        return live.snapshot() if live else None


def _exchange(
    connection: Connection, kind: EngineKind, run_id: str, specs: Sequence[tuple[str, dict[str, Any], dict[str, Any]]]
) -> list[Run]:
    try:
        standing = runs.get(connection, run_id)
    except Refused:
        raise Held(f"run {run_id} has been begun by another process") from None
    made = [runs.create(connection, kind, *each) for each in specs]
    runs.remove(connection, standing.id)
    return made
