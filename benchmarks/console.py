"""The same migration with the console open on a terminal, beside no screen."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import tempfile
import termios
import threading
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
    (run,) = _runs(folder)
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
    while not any(run["status"] == "completed" for run in _runs(folder)):
        if monotonic() - began > PATIENCE:
            raise SystemExit("the run in the console did not come to its end")
        sleep(1.0)
    os.write(master, b"q")
    os.waitpid(pid, 0)
    os.close(master)


def _runs(folder: Path) -> list[dict[str, str]]:
    command = [sys.executable, "-m", "streamconsole", "runs", "list", "--json"]
    command += ["--workspace", str(folder / "workspace.db")]
    # Refused as long as there is no workspace: then there are no runs either.
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def _read_all(master: int) -> None:
    try:
        while os.read(master, 65_536):
            pass
    except OSError:
        pass
