"""A console whose terminal is lost ends when it is idle, and not between a run and the one that waited for it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from streamconsole.engines.control import Snapshot
from streamconsole.engines.states import RunState
from streamconsole.leaving import Leaving


class App:
    """As much of the application as leaving asks for; every run it owns is paused."""

    def __init__(self, owned: list[str], *, settling: bool) -> None:
        self.settling = settling
        self.exited = asyncio.Event()
        self.session = SimpleNamespace(supervisor=self)
        self.owned = owned
        self.queues = SimpleNamespace(at_work=False, left=list, close=self.drain)

    def snapshot(self, run_id: str) -> Snapshot:
        return Snapshot(run_id, RunState.PAUSED, 1, 0)

    async def drain(self, _: float) -> None:
        self.owned = []

    async def wait(self) -> None:
        return

    def exit(self) -> None:
        self.exited.set()


def leaving(app: App) -> Leaving:
    found: Any = app
    return Leaving(found, "continue", 1)


@pytest.mark.parametrize("owned", [[], ["paused"]])
async def test_idle_it_ends(owned: list[str]) -> None:
    app = App(owned, settling=False)
    ending = leaving(app)
    ending.terminal_lost = True
    ending.leave_when_idle()
    assert ending.under_way
    await asyncio.wait_for(app.exited.wait(), 10)


async def test_while_something_may_begin_it_stays() -> None:
    app = App([], settling=True)
    ending = leaving(app)
    ending.leave_when_idle()
    assert not ending.under_way
    app.settling = False
    ending.leave_when_idle()
    ending.leave_when_idle()
    await asyncio.wait_for(app.exited.wait(), 10)
    assert not ending.at_once
