from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.endpoint import KEYS, PROGRAM, Endpoint, running


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """The S3 endpoint of this session."""
    if PROGRAM is None:
        pytest.skip("versitygw is not installed: `make services`")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in KEYS.items():
            patch.setenv(name, value)
        with running(tmp_path_factory.mktemp("s3")) as started:
            yield started


@pytest.fixture(params=["folder", "s3"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Every kind of store that can be had here."""
    if request.param == "folder":
        return str(tmp_path / "store")
    endpoint: Endpoint = request.getfixturevalue("endpoint")
    return endpoint.url(prefix=tmp_path.name)
