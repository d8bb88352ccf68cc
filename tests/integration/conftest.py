"""A house of its own for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.integration.running import House, house


@pytest_asyncio.fixture
async def here(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path / "workspace.db") as opened:
        yield opened
