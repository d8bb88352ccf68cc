"""A replay as a run of its own: its windows are those of another run that have refused rows."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streamconsole.engines.errors import Refused, SideLost
from streamconsole.engines.migration.locations import source_of, target_of
from streamconsole.engines.migration.moving import Move, Task
from streamconsole.engines.migration.replaying.rows import kept_of, replayed
from streamconsole.engines.migration.replaying.target import ReplayedTarget
from streamconsole.engines.migration.settings import MigrationSettings
from streamconsole.engines.migration.targets.files import FileTarget
from streamconsole.engines.migration.targets.target import Reopening
from streamconsole.engines.migration.transforms.reader import owned
from streamconsole.engines.migration.work import Work, lay_out
from streamconsole.engines.secrets import mask
from streamconsole.engines.states import EngineKind, RunState
from streamconsole.engines.units import Window
from streamconsole.engines.workspace import Workspace, rejects, replays, runs
from streamconsole.engines.workspace.runs import Run


async def create(workspace: Workspace, run_id: str, changed: Mapping[str, Any]) -> Run | None:
    """Record a replay of a run's refused rows, or go on with the one that is begun; None when no row is refused.

    Args:
        workspace: where both are kept.
        run_id: the run, or a replay of it.
        changed: settings that are others now (`columns`, `transform`).

    Raises:
        Refused: the rows cannot be read again, or not be written.
        Held: somebody works on it.
    """
    run = await _original(workspace, run_id)
    holder = await workspace.read(runs.owner_of, run.id, workspace.locks)
    if holder is not None:
        raise runs.held_by(run, holder)
    _refuse_unfit(run)
    begun = await workspace.read(replays.unfinished, run.id)
    if begun is None and not await workspace.read(replays.has_rejects, run.id):
        return None
    asked = dict(begun.spec if begun is not None else run.spec) | dict(changed)
    asked |= {"limit": None, "max_rejects": None, "windows": ()}
    settings = MigrationSettings.model_validate(asked)
    plan = await asyncio.to_thread(_look, run, settings, begun)
    return await workspace.write(replays.create, run, settings.model_dump(mode="json"), plan, workspace.locks)


async def work(workspace: Workspace, run: Run, owner: str, stderr: Path) -> Work:
    """What a replay works with.

    Raises:
        Refused: the run whose rows it writes is not known any more.
    """
    of = await workspace.read(runs.get, run.plan["replays"])
    settings = MigrationSettings.model_validate(run.spec)
    source = owned(source_of(settings), owner, stderr)
    target = ReplayedTarget(workspace, run, of.id, target_of(settings))

    async def task(window: Window, attempt: int) -> Task:
        await lay_out(source, window)
        refused = kept_of(await workspace.read(rejects.listing, of.id, window.number), window)
        return Move(replayed(source.reader, refused), target.writer(), window, attempt)

    return Work(settings, source, target, task, owner)


async def _original(workspace: Workspace, run_id: str) -> Run:
    run = await workspace.read(runs.get, run_id)
    of = replays.replayed_by(run)
    return run if of is None else await workspace.read(runs.get, of)


def _refuse_unfit(run: Run) -> None:
    if run.engine is not EngineKind.MIGRATION or "verifies" in run.plan:
        raise Refused(f"run {run.id} is no migration: only rows that a migration refused can be replayed")
    if run.state is not RunState.COMPLETED:
        raise Refused(f"run {run.id} is {run.state}: its refused rows can be replayed once it is completed")


def _look(run: Run, settings: MigrationSettings, begun: Run | None) -> dict[str, Any]:
    """Look at both sides before anything is written; gives the plan (blocking)."""
    before = MigrationSettings.model_validate(run.spec)
    try:
        _refuse_changed(run, before, source_of(before).fingerprint())
        facts = source_of(settings).inspect()
    except SideLost as error:
        raise Refused(f"refused rows of run {run.id} cannot be read again: {error}") from error
    target = target_of(settings)
    if not isinstance(target, Reopening):
        raise Refused(f"refused rows of run {run.id} cannot be added to {mask(settings.target)}: move the rows anew")
    if begun is None or not isinstance(target, FileTarget):
        target.look_up(run.id)
    return {"replays": run.id, "unit": run.plan["unit"], "fingerprint": facts.fingerprint}


def _refuse_changed(run: Run, before: MigrationSettings, now: Mapping[str, Any]) -> None:
    planned = run.plan["fingerprint"]
    changed = ", ".join(sorted(name for name in planned if planned[name] != now.get(name)))
    if changed:
        raise Refused(
            f"{mask(before.source)} has changed since run {run.id} was planned ({changed}): its refused rows cannot "
            "be read again; start a new run"
        )
