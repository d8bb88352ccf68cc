"""Every command that README and docs show is run, in the order they show it, in one folder per page."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", *sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
RUNBOOK = re.compile(r"^```toml\n# nightly.toml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[str]:
    text = (ROOT / page).read_text()
    return [line[2:] for block in BLOCK.findall(text) for line in block.splitlines() if line.startswith("$ ")]


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)])
def test_commands_of_a_page_work(page: str, tmp_path: Path) -> None:
    for name in ("customers.json", "accounts.json"):
        shutil.copy(ROOT / "tests" / "data" / name, tmp_path)
    (tmp_path / "nightly.toml").write_text(RUNBOOK.findall((ROOT / "README.md").read_text())[0])
    environ = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for command in commands(page):
        done = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=environ, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr


def test_the_runbook_page_shows_every_key() -> None:
    from streamconsole.console_settings import ConsoleSettings, WorkspaceSettings
    from streamconsole.engines.migration.settings import MigrationSettings
    from streamconsole.engines.transfer.settings import TransferSettings
    from streamconsole.queue_book import NamedQueue

    text = (ROOT / "docs" / "runbook.md").read_text()
    unshown = {"windows", "download", "out"}
    for model in (MigrationSettings, TransferSettings, ConsoleSettings, WorkspaceSettings, NamedQueue):
        for key in set(model.model_fields) - unshown:
            assert re.search(rf"^{key} = ", text, re.MULTILINE), f"docs/runbook.md does not show {key}"
