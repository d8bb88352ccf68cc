"""The examples run as a reader would run them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
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


def test_legacy_users_hashed_checked_by_a_program_and_inserted_by_a_cluster(tmp_path: Path) -> None:
    folder = tmp_path / "legacy_users"
    shutil.copytree(ROOT / "examples" / "legacy_users", folder)
    command = [sys.executable, "-m", "streamconsole", "legacy_users.toml", "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    users = [json.loads(line) for line in (folder / "legacy_users.ndjson").read_text().splitlines()]
    good = [user for user in users if "@" in user["email"]]
    wanted = [
        (
            user["id"],
            user["name"],
            user["email"],
            hashlib.sha256(user["password"].encode()).hexdigest() if user["password"] is not None else None,
            user["zip"],
            int(user["active"]),
        )
        for user in good
    ]
    assert done.returncode == 1, done
    statement = "SELECT id, first_name, email, password, zip, active FROM users ORDER BY id"
    assert sqlite3.connect(folder / "users.db").execute(statement).fetchall() == wanted
    summary = json.loads(done.stdout.splitlines()[-1])["runs"][0]
    assert (summary["rows_read"], summary["rows"], summary["rejects"]) == (240, len(good), 240 - len(good))
    command = [sys.executable, "-m", "streamconsole", "runs", "rejects", summary["run"], "--json"]
    listed = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    rejects = [json.loads(line) for line in listed.stdout.splitlines()]
    assert [reject["line"] for reject in rejects] == [user["id"] for user in users if user not in good]
    assert all(reject["column"] == "email" and '"***"' in reject["row"] for reject in rejects)


def test_migrating_a_database_as_a_library(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.executescript(
            "CREATE TABLE lines (id INTEGER PRIMARY KEY, of INTEGER REFERENCES orders);"
            "CREATE TABLE orders (id INTEGER PRIMARY KEY);"
            "INSERT INTO orders VALUES (1); INSERT INTO lines VALUES (7, 1);"
        )
    done = subprocess.run(
        [sys.executable, "-m", "examples.migrate_a_database", "shop.db", "copy.db"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == ["orders completed", "lines completed"], done
    with closing(sqlite3.connect(tmp_path / "copy.db")) as connection:
        assert connection.execute("SELECT * FROM lines").fetchall() == [(7, 1)]


def test_a_queue_as_a_library(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "examples.queue_mails", "mails.db"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done
    assert done.stdout.splitlines() == [
        "sent to ann",
        "flaky: ConnectionError: no answer",
        "sent to bob",
        "sent to cy",
        "{'completed': 3}",
    ]


def test_backing_up_a_folder_as_a_library(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.jpg").write_bytes(b"x" * 1000)
    done = subprocess.run(
        [sys.executable, "-m", "examples.back_up_a_folder", "photos", "store"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == ["completed", "one.jpg done 1000"], done
    assert (tmp_path / "photos.manifest.json").exists()
