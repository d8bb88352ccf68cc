"""Calling the command line, and what must hold however it is called."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

from tests.program import Result


class Call(Protocol):
    """Calls the command line in the current folder."""

    def __call__(self, *arguments: str) -> Result:
        """How the call ended."""
        ...


def migrate(call: Call, source: str, target: str = "sqlite:///t.db#t", *options: str) -> Result:
    """A migration without a screen; JSON Lines on stdout."""
    return call("migrate", source, target, "--json", "--workspace", "w.db", *options)


def assert_refused(result: Result, *words: str) -> None:
    """Exit status 2, and one clear line that names what it is about."""
    assert result.code == 2, result
    assert result.out == ""
    assert "Traceback" not in result.err
    assert len(result.err.splitlines()) == 1, result.err
    assert result.err.startswith("streamconsole: ")
    for word in words:
        assert word in result.err


def rejects(call: Call, result: Result) -> list[dict[str, Any]]:
    """The rows that a migration has refused, as the operator lists them."""
    listed = call("runs", "rejects", result.summary["runs"][0]["run"], "--json", "--workspace", "w.db")
    assert listed.code == 0, listed
    return [json.loads(line) for line in listed.out.splitlines()]


def rows(path: Path | str = "t.db", statement: str = "SELECT * FROM t") -> list[tuple[Any, ...]]:
    """Rows of a target."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def write_lines(path: Path, *lines: str | bytes) -> Path:
    """A file of these lines."""
    path.write_bytes(b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines))
    return path
