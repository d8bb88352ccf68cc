"""What a workspace promises it promises on every kind of database that it can be on."""

from collections.abc import AsyncIterator

import pytest_asyncio

from streamconsole.engines.workspace import Workspace
from tests.unit.conftest import new_run

__all__ = ["new_run", "workspace"]


@pytest_asyncio.fixture
async def workspace(workspace_url: str) -> AsyncIterator[Workspace]:
    """A workspace of its own for each test."""
    opened = await Workspace.open(workspace_url)
    yield opened
    await opened.close()
