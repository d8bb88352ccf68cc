"""Verifications that the console starts: by key, and after runs that ask for one."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING

from streamconsole.engines.errors import StreamConsoleError
from streamconsole.engines.states import FINISHED_RUNS, RunState
from streamconsole.engines.supervisor import Ended
from streamconsole.screens.base import READ_ONLY

if TYPE_CHECKING:
    from streamconsole.app import ConsoleApp


class Verifications:
    """Makes and starts them for the application.

    Args:
        app: whose runs are verified.
    """

    def __init__(self, app: ConsoleApp) -> None:
        self._app = app
        self._starting: set[asyncio.Task[None]] = set()

    @property
    def starting(self) -> bool:
        """Whether one is about to begin: nobody works on it yet, but the program has something to do."""
        return bool(self._starting)

    def asked(self, run_id: str) -> None:
        """An operator wants a run verified: show how far it is."""
        if self._app.read_only:
            self._app.tell(READ_ONLY, bad=True)
            return
        self._app.tell(f"verify {run_id}: requested…")
        self._begin(self._by_key(run_id))

    def ended(self, ended: Ended) -> None:
        """A run has come to its end: verify it when it asks for that."""
        if ended.state is RunState.COMPLETED:
            self._begin(self._after(ended.run))

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _by_key(self, run_id: str) -> None:
        try:
            run = await self._app.session.migration.verification_of(run_id)
            await self._start(run.id)
            await self._app.model.reload()
            await self._app.action_open_run(run.id)
        except StreamConsoleError as error:
            self._app.tell(f"verify {run_id}: {error}", bad=True)
            return
        self._app.tell(f"verify {run_id}: {run.id} compares both sides")

    async def _after(self, run_id: str) -> None:
        try:
            run = await self._app.session.migration.verification_after(run_id)
            if run is not None and run.state not in FINISHED_RUNS:
                await self._start(run.id)
        except StreamConsoleError as error:
            self._app.tell(f"verify {run_id}: {error}", bad=True)

    async def _start(self, run_id: str) -> None:
        await self._app.session.supervisor.start(run_id)
        await self._app.follow(run_id)
