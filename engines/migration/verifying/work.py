"""A verification as a run of its own: its windows are those of the run that it verifies."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from streamconsole.engines.errors import Refused, SideLost, StreamConsoleError
from streamconsole.engines.migration.batch import NormalizerFactory, Reader
from streamconsole.engines.migration.locations import source_of
from streamconsole.engines.migration.moving import Task
from streamconsole.engines.migration.replaying.rows import only
from streamconsole.engines.migration.settings import MigrationSettings, Mode
from streamconsole.engines.migration.sources.files import reads_file
from streamconsole.engines.migration.transforms.reader import TransformedReader, owned
from streamconsole.engines.migration.transforms.steps import Step
from streamconsole.engines.migration.verifying.check import Check, CheckStored, Part
from streamconsole.engines.migration.verifying.reading import ReadTarget, target_again
from streamconsole.engines.migration.verifying.target import BothSides, VerifiedTarget
from streamconsole.engines.migration.verifying.whole import Others, Whole
from streamconsole.engines.migration.work import Work, lay_out
from streamconsole.engines.secrets import mask
from streamconsole.engines.states import EngineKind, RunState, WindowState
from streamconsole.engines.units import Window
from streamconsole.engines.workspace import Workspace, rejects, replays, runs, windows
from streamconsole.engines.workspace.runs import Run


@dataclass(frozen=True, slots=True)
class _Moved:
    """How a run, and each replay of its refused rows, read and fitted their rows."""

    run: str
    reader: Reader
    normalizer: NormalizerFactory
    replays: Sequence[tuple[str, Sequence[Step]]] = ()


OTHERS = {Mode.APPEND: Others.BESIDE, Mode.UPSERT: Others.OVER}
"""What the target may hold beside the rows of a run, by its mode."""


async def create(workspace: Workspace, run_id: str, workers: int | None = None) -> Run:
    """Record a verification of a completed run.

    Raises:
        Refused: the run cannot be verified (yet).
    """
    run = await workspace.read(runs.get, run_id)
    _refuse_unfit(run)
    begun = await workspace.read(replays.unfinished, run.id)
    if begun is not None and begun.state is not RunState.PLANNED:
        raise Refused(
            f"run {run.id} can be verified once its refused rows are replayed: `streamconsole runs retry {run.id} "
            f"--rejects` goes on with run {begun.id}"
        )
    settings = MigrationSettings.model_validate(run.spec)
    try:
        target = await asyncio.to_thread(target_again, run)
        known = await workspace.read(windows.listing, run.id, [WindowState.COMPLETED])
        border = max((each.window.hi for each in known), default=0)
        base, extent = await asyncio.to_thread(_extent, target)
        changed = await asyncio.to_thread(_changed, settings, run)
    except SideLost as error:
        raise Refused(f"run {run.id} cannot be verified: {error}") from error
    size = sum(each.window.hi - each.window.lo for each in known) + settings.from_offset
    plan: dict[str, Any] = {"verifies": run.id, "unit": run.plan["unit"], "fingerprint": {}, "changed": changed}
    whole = None if extent is None else border + extent
    plan |= {"size": size if target.side.keyed else whole, "border": border, "base": base}
    spec = settings.model_copy(
        update={"limit": None, "max_rejects": None, "verify": False, "windows": () if target.side.keyed else None}
        | ({"workers": workers} if workers is not None else {})
    )
    return await workspace.write(_record, run, spec.model_dump(mode="json"), plan)


def _refuse_unfit(run: Run) -> None:
    if run.engine is not EngineKind.MIGRATION or "verifies" in run.plan:
        raise Refused(f"run {run.id} is no migration: only what was moved can be verified")
    of = replays.replayed_by(run)
    if of is not None:
        raise Refused(f"run {run.id} wrote refused rows of run {of}: verify that one")
    if run.state is not RunState.COMPLETED:
        raise Refused(f"run {run.id} is {run.state}: it can be verified once it is completed")


def _record(connection: Connection, run: Run, spec: dict[str, Any], plan: dict[str, Any]) -> Run:
    created = runs.create(connection, EngineKind.MIGRATION, f"verify {run.name}", spec, plan)
    windows.copy(connection, run.id, created, [WindowState.COMPLETED])
    return created


async def work(workspace: Workspace, run: Run, owner: str, stderr: Path) -> Work:
    """What a verification works with.

    Raises:
        Refused: what it verifies is not known any more.
        SideLost: a side is gone.
    """
    verified = await workspace.read(runs.get, run.plan["verifies"])
    settings = MigrationSettings.model_validate(run.spec)
    source = owned(source_of(settings), owner, stderr)
    target = await asyncio.to_thread(target_again, verified)
    known = await workspace.read(replays.replays_of, verified.id)
    again = [(each.id, await asyncio.to_thread(_steps, each, owner, stderr)) for each in known]
    moved = _Moved(verified.id, source.reader, target.normalizer, again)
    both = BothSides(source, target.stock, run.plan["border"], run.plan["base"])
    is_target = _nothing if target.side.keyed else both.is_target

    async def parts(window: Window) -> tuple[Part, ...]:
        await lay_out(source, window)
        return await workspace.read(_parts, moved, window)

    def settled(window: Window) -> None:
        if reads_file(source):
            source.file.clear(window)

    overwriting = settings.mode is Mode.UPSERT

    async def task(window: Window, attempt: int) -> Task:
        if is_target(window):
            await both.lay_out(window)
            return CheckStored(window, both.own(window), target.side, attempt)
        return Check(window, await parts(window), target.side, attempt, overwriting)

    others = OTHERS.get(settings.mode, Others.NONE)
    key = tuple(verified.plan.get("key", ()))
    whole = Whole(workspace, run, target.side, target.stock, parts, settled, is_target, others, target.absent, key)
    return Work(
        settings,
        source if target.side.keyed else both,
        VerifiedTarget(workspace, run.id, whole.conclude, target.stock),
        task,
        owner,
        tolerant=True,
    )


def _nothing(_: Window) -> bool:
    return False


def _parts(connection: Connection, moved: _Moved, window: Window) -> tuple[Part, ...]:
    refused = rejects.listing(connection, moved.run, window.number)
    without = {each["line"] - window.first_row - 1 for each in refused}
    parts = []
    for replay, steps in moved.replays:
        indexes = {line - window.first_row - 1 for line in replays.lines_of(connection, replay, window.number)}
        if indexes:
            parts.append(Part(only(moved.reader, indexes, steps), moved.normalizer))
            without |= indexes
    return (Part(moved.reader, moved.normalizer, frozenset(without)), *parts)


def _steps(replay: Run, owner: str, stderr: Path) -> Sequence[Step]:
    """The transforms of a replay (blocking)."""
    reader = owned(source_of(MigrationSettings.model_validate(replay.spec)), owner, stderr).reader
    return reader.steps if isinstance(reader, TransformedReader) else ()


def _extent(target: ReadTarget) -> tuple[int, int | None]:
    """Where the target's own offsets begin, and how far they go; nothing where rows are looked up by key."""
    try:
        return (0, 0) if target.side.keyed else target.stock.extent()
    finally:
        target.stock.close()


def _changed(settings: MigrationSettings, run: Run) -> str | None:
    """What to tell when the source is no longer what it was when the run was planned."""
    try:
        now = source_of(settings).fingerprint()
    except StreamConsoleError as error:
        raise SideLost("source", str(error)) from error
    planned = run.plan["fingerprint"]
    if now == planned:
        return None
    names = ", ".join(sorted(name for name in planned if planned[name] != now.get(name)))
    return f"{mask(settings.source)} has changed since run {run.id} was planned ({names})"
