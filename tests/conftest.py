"""What all tests share: nothing of theirs lands in the user's home, and kills are counted."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from streamconsole.engines.workspace import Workspace
from tests import postgresql as postgresql_server

# A shared machine is slow now and then; that is no failure of a property.
settings.register_profile("streamconsole", deadline=None)
settings.load_profile("streamconsole")


@pytest.fixture(scope="session", autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Point the XDG folders of this process and its children into the tests' own folder."""
    home = tmp_path_factory.mktemp("xdg")
    with pytest.MonkeyPatch.context() as patch:
        for kind in ("CONFIG", "STATE", "CACHE", "DATA"):
            patch.setenv(f"XDG_{kind}_HOME", str(home / kind.lower()))
        for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a PostgreSQL server."""
    with postgresql_server.running() as url:
        yield url


@pytest.fixture
def postgresql_database(postgresql: str) -> Iterator[str]:
    """The URL of a new database on it."""
    with postgresql_server.database(postgresql) as url:
        yield url


@pytest.fixture(scope="session")
def postgresql_workspace(postgresql: str) -> Iterator[str]:
    """The URL of a database that holds a workspace, to be copied."""

    async def make(url: str) -> None:
        await (await Workspace.open(url)).close()

    with postgresql_server.database(postgresql) as url:
        asyncio.run(make(url))
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.services)])
def workspace_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A new workspace on every kind of database that it can be on."""
    if request.param == "sqlite":
        yield str(tmp_path / "workspace.db")
        return
    made = request.getfixturevalue("postgresql_workspace")
    with postgresql_server.database(request.getfixturevalue("postgresql"), like=made) as url:
        yield url


@pytest.fixture(scope="session")
def crash_count() -> int:
    """How many kills a crash test makes: `make crash N=200`, else a short form."""
    return int(os.environ.get("CRASH_N", "5"))
