"""Uploads and downloads killed at named points and at random instants: gone on with, they end right."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random, SystemRandom

import pytest

from tests.program import Result, finish, start, wait_until

LAYOUTS = pytest.mark.parametrize("layout", ["framed", "stream"])

SIZE = 12_000_000


@dataclass(slots=True)
class Transfer:
    """One transfer in a folder of its own, killed and gone on with as often as one likes."""

    folder: Path
    verb: str
    arguments: tuple[str, ...]
    run: str | None = field(default=None, init=False)

    def go(self, faults: str = "", kill_after: int | None = None) -> Result:
        """Start it or go on with it; with `kill_after`, SIGKILL once so many more chunks are kept."""
        asked = self.arguments if self.run is None else ("--resume", self.run)
        kept = self.settled()
        process = start(self.verb, *asked, "--no-ui", "--workspace", "w.db", cwd=self.folder, faults=faults)
        if kill_after is not None:
            wait_until(lambda: process.poll() is not None or self.settled() >= kept + kill_after, "chunks kept")
            process.kill()
        result = finish(process)
        self.run = self.run or self.recorded("id")
        return result

    def recorded(self, column: str) -> str | None:
        return self._ask(f"SELECT {column} FROM runs WHERE name = ? ORDER BY created_at DESC", self.verb)

    def settled(self) -> int:
        of_run = "SELECT count(*) FROM transfer_chunks WHERE run = (SELECT id FROM runs WHERE name = ?)"
        return int(self._ask(of_run, self.verb) or 0)

    def _ask(self, statement: str, value: str) -> str | None:
        path = self.folder / "w.db"
        if not path.exists():
            return None
        with closing(sqlite3.connect(path)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'transfer_chunks'").fetchone():
                return None
            row = connection.execute(statement, (value,)).fetchone()
        return row[0] if row else None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = Random(7)
    (tmp_path / "file").write_bytes(random.randbytes(SIZE // 2) + b"the same line again\n" * (SIZE // 40))
    return tmp_path


def upload(folder: Path, layout: str) -> Transfer:
    options = ("--store", "store", "--layout", layout, "--name", "upload")
    return Transfer(folder, "upload", ("file", *options))


def download(folder: Path) -> Transfer:
    return Transfer(folder, "download", ("file.manifest.json", "out", "--store", "store", "--name", "download"))


def ends_right(transfer: Transfer) -> None:
    """Go on to the end, and look at what is there; going on once more changes nothing."""
    if transfer.recorded("state") != "completed":
        result = transfer.go()
        assert result.code == 0, result
        assert "Traceback" not in result.err
    if transfer.verb == "upload":
        call = ("transfer", "verify", "file.manifest.json", "--store", "store")
        assert finish(start(*call, cwd=transfer.folder)).code == 0
        result = download(transfer.folder).go()
        assert result.code == 0, result
    before = {path: path.stat().st_mtime_ns for path in transfer.folder.rglob("*") if "w.db" not in path.name}
    assert (transfer.folder / "out").read_bytes() == (transfer.folder / "file").read_bytes()
    assert transfer.go().code == 2
    names = {path: path.stat().st_mtime_ns for path in transfer.folder.rglob("*") if "w.db" not in path.name}
    assert {path for path in names if path.is_file()} == {path for path in before if path.is_file()}
    assert not [path for path in names if "part" in path.name]


@LAYOUTS
@pytest.mark.parametrize(
    "point", ["chunk.send:1", "chunk.send:9", "chunk.sent:1", "chunk.sent:12", "upload.read", "upload.manifest"]
)
def test_an_upload_killed_at_a_named_point(folder: Path, layout: str, point: str) -> None:
    transfer = upload(folder, layout)
    assert transfer.go(f"kill@{point}").killed
    assert not (folder / "file.manifest.json").exists()
    ends_right(transfer)


@LAYOUTS
@pytest.mark.parametrize("point", ["chunk.fetch:1", "chunk.fetch:10", "download.chunk:12", "download.in_place"])
def test_a_download_killed_at_a_named_point(folder: Path, layout: str, point: str) -> None:
    assert upload(folder, layout).go().code == 0
    transfer = download(folder)
    assert transfer.go(f"kill@{point}").killed
    assert not (folder / "out").exists()
    ends_right(transfer)


@LAYOUTS
@pytest.mark.parametrize("point", ["download.renamed", "download.placed"])
def test_a_download_killed_after_its_last_rename_is_done(folder: Path, layout: str, point: str) -> None:
    assert upload(folder, layout).go().code == 0
    transfer = download(folder)
    assert transfer.go(f"kill@{point}").killed
    assert (folder / "out").exists()
    if point == "download.renamed":
        # A larger file has kept by now what it goes on from.
        (folder / ".out.streamconsole-part.state").touch()
    ends_right(transfer)
    other = Transfer(folder, "download", (*transfer.arguments[:-1], "other"))
    assert other.go().code == 2


@pytest.mark.slow
@LAYOUTS
@pytest.mark.parametrize("verb", ["upload", "download"])
def test_kills_at_random_instants(tmp_path: Path, layout: str, verb: str, crash_count: int) -> None:
    seed = int(os.environ.get("CRASH_SEED") or SystemRandom().randrange(10**9))
    print(f"CRASH_SEED={seed}")
    random = Random(seed)
    landed = attempts = 0
    while landed < crash_count:
        folder = tmp_path / str(attempts)
        folder.mkdir()
        (folder / "file").write_bytes(random.randbytes(3 * SIZE))
        if verb == "download":
            assert upload(folder, layout).go().code == 0
        transfer = upload(folder, layout) if verb == "upload" else download(folder)
        for _ in range(4):
            result = transfer.go(kill_after=random.randrange(0, 20))
            assert result.killed or result.code == 0, f"CRASH_SEED={seed} {result}"
            landed += result.killed
            if transfer.recorded("state") == "completed" or landed >= crash_count:
                break
        ends_right(transfer)
        attempts += 1
        assert attempts <= 10 + crash_count
