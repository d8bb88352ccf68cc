"""The transfer screen as an operator uses it: files and chunks live, paused, turned, limited, cancelled, done again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.terminal.console import WORKSPACE, Open, Workspace
from tests.terminal.pty_screen import PtyScreen

pytestmark = pytest.mark.terminal

CHUNK = 512 * 1024


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A file of forty chunks that do not shrink."""
    path = tmp_path / "photos.tar"
    path.write_bytes(os.urandom(40 * CHUNK))
    return path


def uploading(console: Open, what: str, *options: str, faults: str = "", rows: int = 24, cols: int = 100) -> PtyScreen:
    screen = console("upload", what, "--store", "store", *options, faults=faults, rows=rows, cols=cols)
    screen.wait_for("Transfers")
    return screen


def settled(workspace: Workspace) -> int:
    return int(workspace.ask("SELECT count(*) FROM transfer_chunks WHERE state IN ('stored', 'present')")[0][0])


def test_an_upload_is_seen_to_its_end(console: Open, workspace: Workspace, photos: Path) -> None:
    screen = uploading(console, photos.name)
    screen.wait_for("✓ completed")
    screen.wait_for("■ 40 stored")
    screen.wait_for("20.0 MiB of 20.0 MiB")
    screen.keys("q")
    assert screen.wait_exit() == 0
    assert Path(f"{photos}.manifest.json").exists()


def test_paused_no_chunk_begins_and_resumed_they_do(console: Open, workspace: Workspace, photos: Path) -> None:
    screen = uploading(console, photos.name, "--bandwidth", "4MB/s")
    screen.wait_until(lambda: settled(workspace) >= 2, "chunks in the store")
    screen.keys("p")
    screen.wait_for("‖ paused")
    # Its file is no better off.
    screen.wait_until(lambda: screen.text.count("‖ paused") == 2, "a file that is paused")
    screen.wait_gone("sending")
    # What has ended is in the ledger, too, a moment later.
    screen.wait_until(lambda: f"■ {settled(workspace)} stored" in screen.text, "the map as the ledger")
    before = settled(workspace)
    # A command makes its way to the owner and back: time in which chunks would have begun.
    assert workspace.runs("show").code == 0
    assert settled(workspace) == before < 40
    screen.keys("p")
    screen.wait_for("✓ completed")
    screen.wait_for("■ 40 stored")


def test_more_at_once_and_a_limit_turned_here_are_kept(console: Open, workspace: Workspace, photos: Path) -> None:
    screen = uploading(console, photos.name, "--bandwidth", "2MB/s")
    screen.wait_for("8 at once  limit 2 MiB/s")
    screen.keys("+")
    screen.wait_for("9 at once  limit 2 MiB/s")
    screen.keys("-", "-")
    screen.wait_for("7 at once  limit 2 MiB/s")
    screen.keys("m")
    screen.wait_for("How fast may")
    screen.wait_for("  2 MiB/s  ")
    screen.keys("none")
    screen.wait_for("  none  ")
    screen.keys("enter")
    screen.wait_for("✓ completed")
    assert workspace.ask("SELECT tuning FROM runs") == [('{"workers":7,"look_ahead":16,"rate":null}',)]


def test_cancelling_asks_and_what_is_stored_stays(console: Open, workspace: Workspace, photos: Path) -> None:
    screen = uploading(console, photos.name, "--bandwidth", "2MB/s")
    screen.wait_until(lambda: settled(workspace) >= 1, "a chunk in the store")
    screen.keys("C")
    screen.wait_for("stored ones stay in the store")
    screen.keys("n")
    screen.wait_gone("stored ones stay")
    assert workspace.state == "running"
    screen.keys("C")
    screen.wait_for("stored ones stay in the store")
    screen.keys("y")
    screen.wait_for("⊘ cancelled")
    assert 1 <= settled(workspace) < 40


def test_a_failed_file_is_seen_and_done_again(console: Open, workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "album").mkdir()
    for name in ("a", "b", "c"):
        (tmp_path / "album" / name).write_bytes(os.urandom(1000))
    (tmp_path / "streamconsole.toml").write_text(
        '[[transfer]]\nname = "album"\nupload = "album"\nstore = "store"\nretry = { attempts = 1 }\n'
    )
    screen = console("streamconsole.toml", faults="fail@chunk.send:1*1", cols=100)
    screen.wait_for("○ planned")
    screen.keys("r")
    screen.wait_for("1 failed")
    screen.wait_for("✘ failure")
    screen.wait_for("enter Files")
    screen.keys("enter")
    screen.wait_for("enter Chunks  t Retry file")
    screen.keys("enter")
    screen.wait_for("enter Chunk  t Retry file")
    screen.keys("enter")
    screen.wait_for("chunk 1  failed")
    screen.wait_for("fault injected")
    screen.keys("escape")
    screen.wait_gone("chunk 1  failed")
    screen.keys("t")
    screen.wait_for("3 of 3 files")
    screen.wait_gone("1 failed")
    assert workspace.ask("SELECT count(*) FROM transfer_files WHERE state = 'done'") == [(3,)]


def test_a_download_is_seen_and_looks_further_ahead(console: Open, workspace: Workspace, photos: Path) -> None:
    screen = uploading(console, photos.name)
    screen.wait_for("✓ completed")
    screen.keys("q")
    assert screen.wait_exit() == 0
    back = ("download", f"{photos.name}.manifest.json", "back.tar", "--store", "store")
    screen = console(*back, "--bandwidth", "4MB/s", cols=100)
    screen.wait_for("16 ahead  limit 4 MiB/s")
    screen.keys("+", "+")
    screen.wait_for("18 ahead")
    screen.wait_until(lambda: workspace.state == "completed", "the end of the download")
    screen.wait_for("✓ completed")
    assert (photos.parent / "back.tar").read_bytes() == photos.read_bytes()


def test_another_console_sees_and_steers_it(console: Open, workspace: Workspace, photos: Path) -> None:
    first = uploading(console, photos.name, "--bandwidth", "2MB/s")
    first.wait_until(lambda: settled(workspace) >= 1, "a chunk in the store")
    second = console(cols=120, rows=30)
    second.keys("4")
    second.wait_for("held by")
    second.wait_until(lambda: "stored" in second.text, "chunks on the map")
    second.keys("p")
    first.wait_for("‖ paused")
    second.wait_for("‖ paused")
    second.keys("p")
    first.wait_for("► running")


def test_a_runbook_of_everything_begins_by_one_key(console: Open, workspace: Workspace, photos: Path) -> None:
    (photos.parent / "streamconsole.toml").write_text(
        '[[migration]]\nname = "orders"\nsource = "generate://orders?count=100"\ntarget = "orders.ndjson"\n'
        '[[transfer]]\nname = "photos"\nupload = "photos.tar"\nstore = "store"\n'
    )
    screen = console("streamconsole.toml", cols=100)
    screen.wait_for("orders-")
    screen.keys("1")
    screen.wait_for("planned  0% of 20.0 MiB")
    screen.keys("s")
    screen.wait_for("completed  100% of 20.0 MiB")
    done = "SELECT count(*) FROM runs WHERE state = 'completed'"
    screen.wait_until(lambda: workspace.ask(done) == [(2,)], "both done")
    screen.keys("4")
    screen.wait_for("■ 40 stored")
    assert (photos.parent / WORKSPACE).exists()
