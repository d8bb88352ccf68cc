"""Migrations of a runbook that wait for others: who waits for whom, what is made on the way, who may begin."""

from __future__ import annotations

import asyncio
import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any, Protocol, TypeVar
from urllib.parse import unquote

from streamconsole.engines.errors import Held, Refused
from streamconsole.engines.migration.engine import MigrationEngine
from streamconsole.engines.migration.locations import database_of, is_database
from streamconsole.engines.migration.planning import LATER, plan
from streamconsole.engines.migration.settings import MigrationSettings
from streamconsole.engines.migration.whole import expand
from streamconsole.engines.states import RunState
from streamconsole.engines.workspace import Workspace, runs, verifications, windows
from streamconsole.engines.workspace.runs import Run
from streamconsole.wording import counted


class Waiting(Protocol):
    """A migration as a runbook has it."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def after(self) -> tuple[str, ...]:
        """What it waits for, as it is written."""
        ...

    @property
    def tables(self) -> Any:
        """Its tables, when it is one of a whole database."""
        ...


M = TypeVar("M", bound=Waiting)


@dataclass(frozen=True, slots=True)
class Before:
    """What a migration waits for.

    Args:
        label: as it is written in the runbook.
        entry: name of the migration.
        table: the one table of a whole database that is meant; None for all of it.
    """

    label: str
    entry: str
    table: str | None = None


Order = Mapping[str, tuple[Before, ...]]
"""What each migration waits for, by its name."""


@dataclass(frozen=True, slots=True)
class Place:
    """A run's place among the migrations of a runbook.

    Args:
        entry: name of its migration.
        table: the table that it moves, of a whole database.
        whole: it stands for the tables of a whole database that cannot be looked at yet.
        after: what it waits for.
    """

    entry: str
    table: str | None = None
    whole: bool = False
    after: tuple[Before, ...] = ()


Chain = Sequence[tuple[str, Place]]
"""Ids of runs with their places."""


class WrongOrder(ValueError):
    """Migrations wait for what is not there, or for each other; the message begins with the key."""


# As it is written ----------------------------------------------------------------------------------


def order_of(migrations: Sequence[Waiting]) -> dict[str, tuple[Before, ...]]:
    """What each migration waits for; those that wait for nothing are left out.

    Raises:
        WrongOrder: a name is unknown, could be two things, or is the migration's own.
    """
    return {
        each.name: tuple(
            _before(f"migration[{number}].after[{place}]", label, each, migrations)
            for place, label in enumerate(each.after)
        )
        for number, each in enumerate(migrations)
        if each.after
    }


def _before(key: str, label: str, waiting: Waiting, migrations: Sequence[Waiting]) -> Before:
    meant = [Before(label, each.name) for each in migrations if each.name == label]
    for each in migrations:
        table = label.removeprefix(f"{each.name}.")
        if table != label and each.tables is not None and (each.tables == "all" or table in each.tables):
            meant.append(Before(label, each.name, table))
    if len(meant) > 1:
        tables = " and ".join(f"table {each.table!r} of {each.entry!r}" for each in meant if each.table)
        also = "a migration's name and " if meant[0].table is None else ""
        raise WrongOrder(f"{key}: {label!r} is {also}{tables}: give one of them another name")
    if not meant:
        names = [each.name for each in migrations]
        close = difflib.get_close_matches(label, names, 1)
        hint = f": did you mean {close[0]}?" if close else f"; there are {', '.join(names[:8])}"
        raise WrongOrder(f"{key}: there is no migration {label!r}{hint}")
    if meant[0].entry == waiting.name:
        raise WrongOrder(f"{key}: {waiting.name!r} cannot wait for itself")
    return meant[0]


def in_order(migrations: Sequence[M], order: Order) -> tuple[M, ...]:
    """As written, but each behind what it waits for.

    Raises:
        WrongOrder: some wait for each other.
    """
    numbers = {each.name: number for number, each in enumerate(migrations)}
    sorter = TopologicalSorter({name: [each.entry for each in order.get(name, ())] for name in numbers})
    try:
        sorter.prepare()
    except CycleError as error:
        circle = error.args[1]
        key = f"migration[{numbers[circle[-1]]}].after"
        raise WrongOrder(f"{key}: these wait for each other: {' → '.join(reversed(circle))}") from None
    ready: list[str] = []
    ordered: list[M] = []
    while sorter.is_active():
        ready = sorted([*ready, *sorter.get_ready()], key=numbers.__getitem__)
        ordered.append(migrations[numbers[ready[0]]])
        sorter.done(ready.pop(0))
    return tuple(ordered)


# What is made on the way -----------------------------------------------------------------------------


def makers_of(url: str, name: str, whole: bool, migrations: Mapping[str, MigrationSettings], order: Order) -> list[str]:
    """Those before a migration (also far before) that write where `url` is.

    Args:
        url: its source or its target.
        name: of the migration.
        whole: all tables of that database are meant.
        migrations: settings by name.
        order: who waits for whom.
    """
    return [each for each in _all_before(name, order) if _makes(migrations[each], url, whole)]


def made_on_the_way(migrations: Sequence[tuple[str | None, MigrationSettings]], order: Order) -> dict[str, list[str]]:
    """Migrations whose source is made by others that they wait for, with the names of those."""
    known = {name: settings for name, settings in migrations if name is not None}
    found = {
        name: makers_of(settings.source, name, settings.tables is not None, known, order)
        for name, settings in known.items()
    }
    return {name: makers for name, makers in found.items() if makers}


def _all_before(name: str, order: Order) -> list[str]:
    found: dict[str, None] = {}
    left = [each.entry for each in order.get(name, ())]
    while left:
        entry = left.pop(0)
        if entry not in found:
            found[entry] = None
            left += [each.entry for each in order.get(entry, ())]
    return list(found)


def _makes(maker: MigrationSettings, url: str, whole: bool) -> bool:
    (made, made_table), (wanted, table) = _spot(maker.target), _spot(url)
    if made != wanted:
        return False
    if whole or maker.tables is not None or made_table == table:
        return True
    # A schema that one of them leaves out.
    return made_table.endswith(f".{table}") or table.endswith(f".{made_table}")


def _spot(url: str) -> tuple[str, str]:
    """Where something is, and which table it is there."""
    location, _, table = url.partition("#")
    if not is_database(url):
        return os.path.realpath(url.removeprefix("file://")), ""
    try:
        path = database_of(location).path
    except Refused:
        path = None
    return (os.path.realpath(path) if path else location), unquote(table).casefold()


# While it is done --------------------------------------------------------------------------------------


async def held_back(workspace: Workspace, place: Place | None, chain: Chain) -> str | None:
    """What a run has to wait for, in words; None when it may begin. Refused rows hold nothing back."""
    for before in place.after if place else ():
        meant = [
            (run_id, each)
            for run_id, each in chain
            if each.entry == before.entry and (before.table is None or each.whole or each.table == before.table)
        ]
        if not meant:
            return f"waits for {before.label}, which is not there"
        for run_id, _ in meant:
            why = await _why_not_done(workspace, run_id)
            if why is not None:
                return f"waits for {before.label}{why}"
    return None


async def _why_not_done(workspace: Workspace, run_id: str) -> str | None:
    try:
        run = await workspace.read(runs.get, run_id)
    except Refused:
        return f", and run {run_id} is not there any more"
    failed = (await workspace.read(windows.totals, [run.id]))[run.id].failed
    if run.state in (RunState.PLANNED, RunState.RUNNING):
        return ""
    if run.state is not RunState.COMPLETED:
        return f": {run.id} is {run.state}"
    if failed:
        return f": {run.id} has {counted(failed, 'failed window')} (`streamconsole runs retry {run.id}`)"
    return await _why_not_equal(workspace, run) if run.spec.get("verify") else None


async def _why_not_equal(workspace: Workspace, run: Run) -> str | None:
    """Of a run that is to be verified: done means that both sides are equal."""
    if await workspace.read(verifications.owed, run):
        return f": {run.id} is not verified yet"
    verdict = await workspace.read(verifications.verdict_on, run.id)
    return None if verdict is None or verdict.equal else f": {verdict.run.id} found that {run.id} is not equal"


async def spread(workspace: Workspace, engine: MigrationEngine, run_id: str, place: Place) -> list[tuple[str, Place]]:
    """The tables of a whole database that can be looked at now, as runs in the place of the one that stands for them.

    Raises:
        Refused: one of them cannot be moved; nothing is altered then.
        Held: another process was quicker.
    """
    try:
        standing = await workspace.read(runs.get, run_id)
    except Refused:
        raise Held(f"run {run_id} has been begun by another process") from None
    settings = MigrationSettings.model_validate(standing.spec)
    kept = {name: value for name, value in standing.plan.items() if name != LATER}
    plans = []
    for name, table in await asyncio.to_thread(expand, settings, place.entry):
        planned = await asyncio.to_thread(plan, table, name)
        plans.append(replace(planned, data=kept | planned.data))
    made = await engine.exchange(standing.id, plans)
    return [(run.id, replace(place, table=run.name.removeprefix(f"{place.entry}."), whole=False)) for run in made]
