"""What all tests share: nothing of theirs lands in the user's home, and kills are counted."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

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
def crash_count() -> int:
    """How many kills a crash test makes: `make crash N=200`, else a short form."""
    return int(os.environ.get("CRASH_N", "5"))
