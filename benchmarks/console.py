"""The same migration with the console open on a terminal, beside no screen."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import sqlite3
import struct
import subprocess
import sys
import tempfile
import termios
import threading
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep

from benchmarks.data import rows_file
from benchmarks.pairs import Result, pairs, ratio

ROWS, COLUMNS = 40, 120
PATIENCE = 600.0


def measure(*, short: bool) -> list[Result]:
    """The console's benchmark: seconds the run itself took, by its own record."""
    rows, count = (100_000, 2) if short else (1_000_000, 5)
    source = rows_file(rows)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        taken = pairs(count, lambda: _seconds(source, folder, True), lambda: _seconds(source, folder, False))
    return [ratio(f"console open, {rows:,} rows, beside no screen", taken, 0.85)]


def _seconds(source: Path, folder: Path, console: bool) -> float:
    for file in folder.iterdir():
        if file.is_file():
            file.unlink()
    command = [sys.executable, "-m", "streamconsole", "migrate", str(source), f"sqlite:///{folder / 'out.db'}#rows"]
    command += ["--workspace", str(folder / "workspace.db")]
    if console:
        _on_a_terminal(command, folder)
    else:
        subprocess.run([*command, "--no-ui"], check=True, capture_output=True)
    run = _run(folder)
    if run["status"] != "completed":
        raise SystemExit(f"the run is {run['status']}: {run['reason']}")
    return float(run["seconds"])


def _on_a_terminal(command: list[str], folder: Path) -> None:
    """Run with a terminal that takes everything; leave by `q` once the run is completed."""
    pid, master = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execv(command[0], command)
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    threading.Thread(target=_read_all, args=(master,), daemon=True).start()
    began = monotonic()
    while not (folder / "workspace.db").exists() or not _is_completed(folder):
        if monotonic() - began > PATIENCE:
            raise SystemExit("the run in the console did not come to its end")
        sleep(0.25)
    os.write(master, b"q")
    os.waitpid(pid, 0)
    os.close(master)


def _run(folder: Path) -> dict[str, str]:
    command = [sys.executable, "-m", "streamconsole", "runs", "list", "--json"]
    command += ["--workspace", str(folder / "workspace.db")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    run: dict[str, str] = json.loads(done.stdout)
    return run


def _is_completed(folder: Path) -> bool:
    """A look into the workspace itself: a command's start, each time, would take a good part of the processors."""
    with closing(sqlite3.connect(f"file:{folder / 'workspace.db'}?mode=ro", uri=True)) as connection:
        try:
            found = connection.execute("SELECT count(*) FROM runs WHERE state = 'completed'").fetchone()
        except sqlite3.OperationalError:
            # It is only just being made.
            return False
    return bool(found[0])


def _read_all(master: int) -> None:
    try:
        while os.read(master, 65_536):
            pass
    except OSError:
        pass
