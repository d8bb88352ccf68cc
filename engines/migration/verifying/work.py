"""A verification as a run of its own: its windows are those of the run that it verifies."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from streamconsole.engines.errors import Refused, SideLost, StreamConsoleError
from streamconsole.engines.migration.batch import NormalizerFactory, Reader
from streamconsole.engines.migration.columns import Schema
from streamconsole.engines.migration.locations import source_of, target_of
from streamconsole.engines.migration.moving import Task
from streamconsole.engines.migration.settings import MigrationSettings, Mode
from streamconsole.engines.migration.sources.files import reads_file
from streamconsole.engines.migration.sources.source import Source
from streamconsole.engines.migration.targets import sqlite_table
from streamconsole.engines.migration.targets.files import FileTarget
from streamconsole.engines.migration.targets.json_rows import JsonRows
from streamconsole.engines.migration.targets.sqlite import SqliteTarget
from streamconsole.engines.migration.targets.table_rows import TableRows
from streamconsole.engines.migration.transforms.reader import owned
from streamconsole.engines.migration.verifying.check import Check, CheckStored, Part
from streamconsole.engines.migration.verifying.lines import LinesSide
from streamconsole.engines.migration.verifying.side import Side
from streamconsole.engines.migration.verifying.table import TableSide, columns_and_key
from streamconsole.engines.migration.verifying.target import BothSides, VerifiedTarget
from streamconsole.engines.migration.verifying.whole import Whole
from streamconsole.engines.migration.work import Work, lay_out
from streamconsole.engines.secrets import mask
from streamconsole.engines.states import EngineKind, RunState, WindowState
from streamconsole.engines.units import Window
from streamconsole.engines.workspace import Workspace, rejects, runs, windows
from streamconsole.engines.workspace.runs import Run


@dataclass(frozen=True, slots=True)
class _Moved:
    """How one run read and fitted its rows."""

    run: str
    reader: Reader
    normalizer: NormalizerFactory


@dataclass(frozen=True, slots=True)
class _Target:
    """A target to be read again, and the columns it has lost."""

    side: Side
    absent: tuple[str, ...] = ()


async def create(workspace: Workspace, run_id: str, workers: int | None = None) -> Run:
    """Record a verification of a completed run.

    Raises:
        Refused: the run cannot be verified (yet).
    """
    run = await workspace.read(runs.get, run_id)
    _refuse_unfit(run)
    settings = MigrationSettings.model_validate(run.spec)
    try:
        target = await asyncio.to_thread(_target, settings, run)
        known = await workspace.read(windows.listing, run.id, [WindowState.COMPLETED])
        border = max((each.window.hi for each in known), default=0)
        base, extent = await asyncio.to_thread(_extent, target.side)
        changed = await asyncio.to_thread(_changed, settings, run)
    except SideLost as error:
        raise Refused(f"run {run.id} cannot be verified: {error}") from error
    _refuse_mixed(run, settings, target.side)
    size = sum(each.window.hi - each.window.lo for each in known) + settings.from_offset
    plan: dict[str, Any] = {"verifies": run.id, "unit": run.plan["unit"], "fingerprint": {}, "changed": changed}
    plan |= {"size": size if target.side.keyed else border + extent, "border": border, "base": base}
    spec = settings.model_copy(
        update={"limit": None, "max_rejects": None, "windows": () if target.side.keyed else None}
        | ({"workers": workers} if workers is not None else {})
    )
    return await workspace.write(_record, run, spec.model_dump(mode="json"), plan)


def _refuse_unfit(run: Run) -> None:
    if run.engine is not EngineKind.MIGRATION or "verifies" in run.plan:
        raise Refused(f"run {run.id} is no migration: only what was moved can be verified")
    if run.state is not RunState.COMPLETED:
        raise Refused(f"run {run.id} is {run.state}: it can be verified once it is completed")


def _refuse_mixed(run: Run, settings: MigrationSettings, side: Side) -> None:
    if settings.mode in (Mode.APPEND, Mode.UPSERT) and not side.keyed:
        raise Refused(
            f"run {run.id} added rows to others (mode {settings.mode}), and {mask(settings.target)} has no key to "
            "look them up by: it cannot be told which are whose"
        )


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
    target = await asyncio.to_thread(_target, settings, verified)
    moved = await asyncio.to_thread(_moved, verified, source)
    both = BothSides(source, target.side, run.plan["border"], run.plan["base"])
    is_target = _nothing if target.side.keyed else both.is_target

    async def parts(window: Window) -> tuple[Part, ...]:
        await lay_out(source, window)
        return await workspace.read(_parts, moved, window)

    def settled(window: Window) -> None:
        if reads_file(source):
            source.file.clear(window)

    async def task(window: Window, attempt: int) -> Task:
        if is_target(window):
            return CheckStored(window, both.own(window), target.side, attempt)
        return Check(window, await parts(window), target.side, attempt)

    others = settings.mode in (Mode.APPEND, Mode.UPSERT)
    key = tuple(verified.plan.get("key", ()))
    whole = Whole(workspace, run, target.side, parts, settled, is_target, others, target.absent, key)
    return Work(
        settings,
        source if target.side.keyed else both,
        VerifiedTarget(workspace, run.id, whole.conclude),
        task,
        owner,
        tolerant=True,
    )


def _nothing(_: Window) -> bool:
    return False


def _parts(connection: Connection, moved: _Moved, window: Window) -> tuple[Part, ...]:
    refused = rejects.listing(connection, moved.run, window.number)
    without = frozenset(each["line"] - window.first_row - 1 for each in refused)
    return (Part(moved.reader, moved.normalizer, without),)


def _moved(run: Run, source: Source) -> _Moved:
    target = target_of(MigrationSettings.model_validate(run.spec))
    normalizer: NormalizerFactory = JsonRows()
    if isinstance(target, SqliteTarget):
        schema = _schema(target, run)
        normalizer = TableRows(schema, len(schema.columns))
    return _Moved(run.id, source.reader, normalizer)


def _target(settings: MigrationSettings, run: Run) -> _Target:
    target = target_of(settings)
    if isinstance(target, FileTarget) and target.is_plain_lines:
        if not target.path.exists():
            raise SideLost("target", f"{target.path} does not exist any more")
        return _Target(LinesSide(target.path))
    if not isinstance(target, SqliteTarget):
        raise Refused(
            f"target {mask(settings.target)}: what can be read again to be verified is a table of sqlite:///file.db "
            "and a file of JSON lines that is not compressed"
        )
    present, key = columns_and_key(target.path, target.name)
    known = {name.casefold() for name in present}
    names = sorted(column.name for column in _schema(target, run).columns)
    there = tuple(name for name in names if name.casefold() in known)
    firm = {name.casefold() for name in there} >= {name.casefold() for name in key}
    of = {name.casefold(): name for name in there}
    keyed = tuple(of[name.casefold()] for name in key) if firm else ()
    return _Target(TableSide(target.path, target.name, there, keyed), tuple(set(names) - set(there)))


def _schema(target: SqliteTarget, run: Run) -> Schema:
    """The table's columns as the run left them: from the ledger in the target, else as they were planned."""
    found = None
    try:
        with closing(sqlite3.connect(f"file:{target.path}?mode=ro", uri=True)) as connection:
            found = connection.execute("SELECT schema FROM _streamconsole_runs WHERE run = ?", (run.id,)).fetchone()
    except sqlite3.Error:
        # The ledger was removed: what was planned is what is left to go by.
        found = None
    return sqlite_table.load(found[0]) if found else sqlite_table.from_json(run.plan["schema"])


def _extent(side: Side) -> tuple[int, int]:
    """Where the target's own offsets begin, and how far they go; nothing where rows are looked up by key."""
    return (0, 0) if side.keyed else side.extent()


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
