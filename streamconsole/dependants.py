"""Migrations that wait for others, in the console: shown as waiting, begun as soon as they need not wait any more."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from streamconsole.chain import held_back, spread
from streamconsole.engines.control import Command, Outcome, Verb
from streamconsole.engines.errors import Held, StreamConsoleError
from streamconsole.engines.states import RunState
from streamconsole.engines.workspace import runs
from streamconsole.headless import Work, chain_of

if TYPE_CHECKING:
    from streamconsole.app import ConsoleApp


class Dependants:
    """Begins what waits, each when all that it waits for is done; what did not wait here is left to the operator.

    Args:
        app: the application they are begun in.
        work: the runs of its runbook.
    """

    def __init__(self, app: ConsoleApp, work: Sequence[Work]) -> None:
        self._app = app
        self._work = {each.run: each for each in work if each.place is not None}
        self._waiting: dict[str, str] = {}
        self._due: set[str] = set()
        self._seen: object = None
        self._again = False
        self._looking: asyncio.Task[None] | None = None
        self._spreading = asyncio.Lock()

    @property
    def busy(self) -> bool:
        """Whether somebody may be about to begin."""
        return self._looking is not None and not self._looking.done()

    def look(self) -> None:
        """Something has changed: look who may begin now."""
        self._again = any(each.place and each.place.after for each in self._work.values())
        if self._again and not self.busy:
            self._looking = asyncio.create_task(self._look())

    def notice(self) -> None:
        """Look at what the screens show: once more at the runs when one of them has come into another state."""
        known = self._app.model.runs
        # A verification is a run of its own, and may be another process's.
        views = [view for run_id, view in known.items() if run_id in self._work or "verifies" in view.run.plan]
        seen = (self._app.read_only, [(each.run.id, each.run.state, each.totals.failed) for each in views])
        if seen != self._seen:
            self._seen = seen
            self.look()

    async def instead(self, command: Command) -> Outcome | None:
        """What a command to begin with a whole database comes to; None for every other command."""
        each = self._work.get(command.run)
        if each is None or each.place is None or not each.place.whole or command.verb is not Verb.RESUME:
            return None
        begun = await self._begin_whole(each)
        return Outcome(True, f"begun with its tables: {', '.join(begun)}")

    async def _look(self) -> None:
        while self._again:
            self._again = False
            try:
                await self._review()
                await self._begin_due()
            except (StreamConsoleError, SQLAlchemyError, OSError) as error:
                self._app.tell(f"what waits cannot be begun now: {error}", bad=True)

    async def _review(self) -> None:
        workspace, chain = self._app.session.workspace, chain_of(list(self._work.values()))
        planned = {run.id for run in await workspace.read(runs.listing) if run.state is RunState.PLANNED}
        waiting = {}
        for each in self._work.values():
            reason = await held_back(workspace, each.place, chain) if each.run in planned else None
            if reason is not None:
                waiting[each.run] = reason
        self._due |= self._waiting.keys() & planned
        self._due -= waiting.keys()
        self._due &= planned
        self._waiting = waiting
        self._app.model.show_waiting(waiting)

    async def _begin_due(self) -> None:
        for run_id in sorted(self._due):
            if self._app.read_only or self._app.leaving.under_way:
                return
            self._due.discard(run_id)
            each = self._work[run_id]
            try:
                begun = await (self._begin_whole(each) if each.place and each.place.whole else self._begin([each]))
                self._app.tell(f"begun, what it waited for is done: {', '.join(begun)}")
            except Held:
                # Another console has the same runbook open, and was quicker.
                continue
            except StreamConsoleError as error:
                self._app.tell(f"{run_id}: {error}", bad=True)

    async def _begin(self, work: Sequence[Work]) -> list[str]:
        for each in work:
            await self._app.session.supervisor.start(each.run)
            await self._app.follow(each.run)
        return [each.run for each in work]

    async def _begin_whole(self, standing: Work) -> list[str]:
        assert standing.place is not None
        session = self._app.session
        async with self._spreading:
            tables = await spread(session.workspace, session.migration, standing.run, standing.place)
            del self._work[standing.run]
        work = [replace(standing, run=run_id, place=place) for run_id, place in tables]
        self._work |= {each.run: each for each in work}
        return await self._begin(work)
