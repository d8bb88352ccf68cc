"""Other job queues, each in an environment of its own, made in the cache folder: none is a dependency of ours."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep

from tests.services.endpoint import free_port

CACHE = Path(__file__).parents[2] / ".cache" / "peers"
PROGRAMS = Path(__file__).parent / "programs"

BULLMQ = ("bullmq@6.7.0", "ioredis@5")
HUEY = "huey==3.5.4"
PGQUEUER = "pgqueuer[asyncpg]==1.6.0"


def bullmq(count: int) -> float | None:
    """Jobs a second of BullMQ on Redis with `appendonly everysec`; None without Node, npm and Redis."""
    if not all(map(shutil.which, ("node", "npm", "redis-server"))):
        return None
    folder = CACHE / "bullmq"
    if not (folder / "node_modules" / "bullmq").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), *BULLMQ])
    with _redis() as port:
        program = shutil.copy(PROGRAMS / "bullmq_work.js", folder)
        return float(_run(["node", str(program), str(count), str(port)]))


def huey(count: int) -> float:
    """Jobs a second of huey on SQLite, each of its commits durable."""
    with TemporaryDirectory() as made:
        return float(_run([_python("huey", HUEY), str(PROGRAMS / "huey_work.py"), str(count), f"{made}/huey.db"]))


def pgqueuer(count: int, url: str) -> float:
    """Jobs a second of pgqueuer on a PostgreSQL server."""
    return float(_run([_python("pgqueuer", PGQUEUER), str(PROGRAMS / "pgqueuer_work.py"), str(count), url]))


def _python(name: str, package: str) -> str:
    """The interpreter of an environment that holds a package."""
    folder = CACHE / name
    python = folder / "bin" / "python"
    if not (folder / "made").exists():
        _run([sys.executable, "-m", "venv", "--clear", str(folder)])
        _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package])
        (folder / "made").touch()
    return str(python)


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip()[-500:]}")
    return done.stdout


@contextmanager
def _redis() -> Iterator[int]:
    """The port of a Redis server of its own."""
    with TemporaryDirectory() as folder:
        port = free_port()
        options = ["--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--dir", folder]
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", *options]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            _until_it_answers(port)
            yield port
        finally:
            server.terminate()
            server.wait()


def _until_it_answers(port: int) -> None:
    until = monotonic() + 30
    while subprocess.run(["redis-cli", "-p", str(port), "ping"], capture_output=True, check=False).returncode:
        if monotonic() > until:
            raise SystemExit("Redis does not answer")
        sleep(0.05)
