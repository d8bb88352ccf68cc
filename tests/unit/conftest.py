"""A workspace of its own for each test, and runs in it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import pytest_asyncio

from streamconsole.engines.states import EngineKind
from streamconsole.engines.workspace import Workspace, nodes, runs
from streamconsole.engines.workspace.nodes import Node
from streamconsole.engines.workspace.runs import Run

NewRun = Callable[[], Awaitable[Run]]


@pytest_asyncio.fixture
async def workspace(tmp_path: Path) -> AsyncIterator[Workspace]:
    opened = await Workspace.open(str(tmp_path / "workspace.db"))
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def new_run(workspace: Workspace) -> NewRun:
    """Makes and claims a run for a node that this host knows nothing of."""

    async def make() -> Run:
        run = await workspace.write(runs.create, EngineKind.MIGRATION, "customers", {"a": 1}, {})
        node = Node(uuid4().hex, "here", nodes.boot_id(), 1, 0)
        return await workspace.write(runs.claim, run.id, node, workspace.locks)

    return make
