"""The examples run as a reader would run them."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_migrating_a_file_as_a_library(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "examples.migrate_a_file", ROOT / "tests/data/customers.json", "shop.db", "customers"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == ["completed", "1 completed 500 0"], done
    assert sqlite3.connect(tmp_path / "shop.db").execute("SELECT count(*) FROM customers").fetchone() == (500,)
