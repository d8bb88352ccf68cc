"""`queue add --from`: many jobs from NDJSON. The whole file is checked before the first job is added."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from streamconsole.cli.options import given
from streamconsole.cli.output import print_json, say
from streamconsole.cli.queue_calls import Asked, in_workspace
from streamconsole.engines.errors import Refused
from streamconsole.engines.queue import JobOptions, NewJobs
from streamconsole.engines.queue.options import checked
from streamconsole.engines.queue.payloads import from_text

PART = 10_000
"""Jobs in memory at once."""

KEYS = {"name", "payload", "options"}


def add_from(context: click.Context, queue: str, source: str) -> None:
    """Add the jobs of a file (`-`: stdin)."""
    lines = sys.stdin.buffer.read().splitlines() if source == "-" else None
    for _ in _jobs(source, lines):
        pass

    async def add(at: Asked) -> int:
        target, total, part = at.queue(queue), 0, list[NewJobs]()
        for job in _jobs(source, lines):
            part.append(job)
            if len(part) == PART:
                total += len(await target.add_bulk(part))
                part = []
        return total + len(await target.add_bulk(part))

    total = in_workspace(context, add, make=True)
    if given(context).json:
        print_json([{"event": "added", "queue": queue, "jobs": total}])
    else:
        say(f"added {total:,} jobs to queue {queue}")


def _jobs(source: str, lines: list[bytes] | None) -> Iterator[NewJobs]:
    for number, line in enumerate(lines if lines is not None else _read(source), 1):
        if line.strip():
            yield _job(line, f"{source} line {number}")


def _read(source: str) -> Iterator[bytes]:
    try:
        with Path(source).open("rb") as file:
            yield from file
    except OSError as error:
        raise Refused(f"{source} cannot be read: {error.strerror}") from None


def _job(line: bytes, where: str) -> NewJobs:
    try:
        value: Any = from_text(line, "line")
    except Refused as error:
        raise Refused(f"{where}: {error}") from None
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        raise Refused(f'{where}: write {{"name": "…", "payload": …, "options": {{…}}}}')
    unknown = set(value) - KEYS
    if unknown:
        raise Refused(f"{where}: {', '.join(sorted(unknown))} is not known: a job has name, payload and options")
    options = value.get("options")
    return NewJobs(
        value["name"],
        value.get("payload"),
        checked(JobOptions, options, f"{where}: options") if options else None,
    )
