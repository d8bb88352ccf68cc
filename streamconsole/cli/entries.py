"""The migrations that are asked for, looked at one after the other: what is known of each, or what it will do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import unquote

from streamconsole.chain import Order, Place, held_back, makers_of
from streamconsole.engines.errors import Refused
from streamconsole.engines.migration.locations import source_of
from streamconsole.engines.migration.planning import Plan, plan
from streamconsole.engines.migration.settings import MigrationSettings
from streamconsole.engines.migration.whole import check_sides, expand
from streamconsole.engines.states import EngineKind, RunState
from streamconsole.engines.workspace import Workspace, runs
from streamconsole.engines.workspace.runs import Run

Migrations = tuple[tuple[str | None, MigrationSettings], ...]
"""Names (None for one made up) and settings."""

Look = Callable[[str | None, MigrationSettings, bool], Awaitable[Run | Plan]]
"""Gives the run of that name and settings, or a plan: an empty one when it is to be planned later."""

Found = tuple[Run | Plan, Place | None]


class Entries:
    """Looks at migrations in their order; those of whole databases stand for one of each table.

    Args:
        workspace: where runs are kept.
        migrations: in an order in which they can be done.
        order: what they wait for.
        look: finds or plans one.
        problems: takes what is wrong with one of them, so that the others are found all the same.
    """

    def __init__(
        self, workspace: Workspace, migrations: Migrations, order: Order, look: Look, problems: list[str] | None = None
    ) -> None:
        self._workspace = workspace
        self._migrations = migrations
        self._order = order
        self._look = look
        self._problems = problems
        self._found: list[Found] = []

    async def found(self) -> Sequence[Found]:
        """What is known, or planned.

        Raises:
            Refused: something cannot be done, and nobody takes problems.
        """
        for name, settings in self._migrations:
            with_place = None if name is None else Place(name, after=self._order.get(name, ()))
            await self._entry(name, settings, with_place)
        return self._found

    async def _entry(self, name: str | None, settings: MigrationSettings, place: Place | None) -> None:
        early = place is not None and self._makers(place, settings, settings.source) and not await self._done(place)
        try:
            parts = await self._parts(name, settings, early=early)
        except Refused as error:
            self._tell(name, error)
            return
        for part, each in parts:
            try:
                found = await self._look(part, each, place is not None and bool(place.after))
                if place is not None and place.after and not early:
                    await self._check(found, place)
            except Refused as error:
                self._tell(part, error)
                continue
            self._found.append((found, _placed(place, settings, each)))

    async def _parts(
        self, name: str | None, settings: MigrationSettings, *, early: bool
    ) -> Sequence[tuple[str | None, MigrationSettings]]:
        if settings.tables is not None and early:
            check_sides(settings)
        if settings.tables is None or early:
            return [(name, settings)]
        if name is not None:
            # An earlier call may have left one that stood for tables that could not be looked at then.
            spec = settings.model_dump(mode="json")
            stood = await self._workspace.read(runs.newest_like, EngineKind.MIGRATION, name, spec)
            if stood is not None and stood.state is RunState.PLANNED:
                await self._workspace.write(runs.remove, stood.id)
        return await asyncio.to_thread(expand, settings, name)

    async def _check(self, found: Run | Plan, place: Place) -> None:
        """Refuse now what nothing before it can put right; it is planned when it begins."""
        if isinstance(found, Run) and found.state is not RunState.PLANNED:
            return
        settings = found.settings if isinstance(found, Plan) else MigrationSettings.model_validate(found.spec)
        if self._makers(place, settings, settings.target):
            await asyncio.to_thread(source_of(settings).inspect)
        else:
            await asyncio.to_thread(plan, settings, found.name)

    def _makers(self, place: Place, settings: MigrationSettings, url: str) -> bool:
        known = {name: each for name, each in self._migrations if name is not None}
        return bool(makers_of(url, place.entry, settings.tables is not None, known, self._order))

    async def _done(self, place: Place) -> bool:
        """Whether all that it waits for was done by an earlier call."""
        before = {each.entry for each in place.after}
        meant = [(each, where) for each, where in self._found if where is not None and where.entry in before]
        if any(isinstance(each, Plan) for each, _ in meant):
            return False
        chain = [(each.id, where) for each, where in meant if isinstance(each, Run)]
        return await held_back(self._workspace, place, chain) is None

    def _tell(self, name: str | None, error: Refused) -> None:
        if self._problems is None:
            raise error
        self._problems.append(f"{name}: {error}" if name else str(error))


def _placed(place: Place | None, entry: MigrationSettings, part: MigrationSettings) -> Place | None:
    if place is None or entry.tables is None:
        return place
    if part.tables is not None:
        return Place(place.entry, whole=True, after=place.after)
    return Place(place.entry, unquote(part.source.partition("#")[2]), after=place.after)
