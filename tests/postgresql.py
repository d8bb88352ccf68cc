"""A PostgreSQL server of the tests' own, on loopback; or the one that the environment names."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from uuid import uuid4

import pytest

from tests.services.endpoint import free_port

NAMED = "STREAMCONSOLE_TEST_POSTGRESQL"
"""Names a server that is there already: a URL with a user who may make databases."""

USER = "postgres"

QUICK = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")
"""What a server need not do whose data nobody will miss."""


def program(name: str) -> str | None:
    """A program of the server, wherever the system keeps it."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return shutil.which(name) or next((str(each / name) for each in places if (each / name).exists()), None)


class Server:
    """A server over a folder; it can be killed and started again on the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            shutil.chown(folder, USER, USER)
        self._run("initdb", "-D", str(folder / "data"), "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "-N")

    @property
    def url(self) -> str:
        """Of its first database."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/postgres"

    def start(self, *, quick: bool = True) -> None:
        """Start it, and come back when it answers."""
        settings = [f"port={self.port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={self.folder}"]
        settings += ["max_connections=200", *(QUICK if quick else ())]
        options = [word for each in settings for word in ("-c", each)]
        command = [*self._as_user(), str(program("postgres")), "-D", str(self.folder / "data"), *options]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/")
        self._run("pg_isready", "-h", "127.0.0.1", "-p", str(self.port), "-t", "30", within=60)

    def kill(self) -> None:
        """End it at once; what was committed is there when it starts again."""
        if self._process is not None:
            self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "-w", "stop")
            self._process.wait()
            self._process = None

    def _run(self, name: str, *arguments: str, within: float = 0) -> None:
        until = monotonic() + within
        while True:
            done = subprocess.run(
                [*self._as_user(), str(program(name)), *arguments], capture_output=True, text=True, cwd="/", check=False
            )
            if done.returncode == 0:
                return
            if monotonic() > until:
                raise RuntimeError(f"{name}: {done.stdout}{done.stderr}")
            sleep(0.05)

    @staticmethod
    def _as_user() -> list[str]:
        # PostgreSQL refuses to run as root.
        return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"] if os.geteuid() == 0 else []


@contextmanager
def running() -> Iterator[str]:
    """The URL of a server, for as long as the block runs; skips where there is none to be had."""
    if named := os.environ.get(NAMED):
        yield named
        return
    if program("initdb") is None:
        pytest.skip(f"PostgreSQL is not installed (`make services`), and {NAMED} names no server")
    # Not among pytest's own folders, which are private: the server is another user's when the tests are root's.
    with TemporaryDirectory(prefix="streamconsole-postgresql-", ignore_cleanup_errors=True) as made:
        Path(made).chmod(0o755)
        server = Server(Path(made))
        try:
            server.start()
            yield server.url
        finally:
            server.kill()


@contextmanager
def database(url: str, like: str | None = None) -> Iterator[str]:
    """A new database on a server, for as long as the block runs; gives its URL.

    Args:
        url: of another database of the server.
        like: the URL of one to copy.
    """
    import psycopg

    name = f"test_{uuid4().hex}"
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        template = f' TEMPLATE "{like.rpartition("/")[2]}"' if like else ""
        connection.execute(f'CREATE DATABASE "{name}"{template}')
        try:
            yield f"{url.rpartition('/')[0]}/{name}"
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
