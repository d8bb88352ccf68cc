"""The built package in an environment of its own: its worker, driven by JSON lines, against a real S3 endpoint."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.services.endpoint import KEYS, PROGRAM, running

pytestmark = pytest.mark.services


@pytest.mark.parametrize("layout", ["framed", "stream"])
def test_the_installed_worker_uploads_and_downloads(clean_venv: Path, tmp_path: Path, layout: str) -> None:
    if PROGRAM is None:
        pytest.skip("versitygw is not installed: `make services`")
    file, out = tmp_path / "file", tmp_path / "out"
    file.write_bytes(os.urandom(1_500_000) + b"the same line again\n" * 50_000)
    with running(tmp_path / "s3") as endpoint:
        common = {"store": endpoint.url()}
        messages = [
            {"type": "UPLOAD_START", "file": str(file), "layout": layout, **common},
            {"type": "DOWNLOAD_START", "file": str(out), "manifest": f"{file}.manifest.json", **common},
        ]
        done = subprocess.run(
            [clean_venv / "bin" / "python", "-m", "streamconsole.engines.transfer.worker"],
            input="".join(json.dumps(message) + "\n" for message in messages),
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], **KEYS},
            capture_output=True,
            text=True,
        )
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["type"] for each in said if each["type"] != "CHUNK"] == ["FILE_UPLOADED", "FILE_DOWNLOADED"], done
    assert out.read_bytes() == file.read_bytes()
