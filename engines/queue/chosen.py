"""Verbs for jobs that were chosen one by one, or frozen as a list: what is added meanwhile is not meant."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from streamconsole.engines.queue import pages, rows
from streamconsole.engines.queue.hub import hub_of
from streamconsole.engines.queue.pages import Key, Shelf
from streamconsole.engines.workspace import Workspace

Verb = Callable[[Connection, str, Sequence[int]], int]
"""`retry`, `promote`, `cancel` or `remove` of `verbs`."""


async def gather(workspace: Workspace, queue: str, shelf: Shelf, words: str = "") -> list[int]:
    """Numbers of all jobs on a shelf that hold some words, read in parts."""
    found: list[int] = []
    after: Key | None = None
    while True:
        some, after = await workspace.read(pages.numbers, queue, shelf, words, after)
        found += some
        if after is None:
            return found


async def change(
    workspace: Workspace, queue: str, verb: Verb, numbers: Sequence[int], told: Callable[[int], None] | None = None
) -> int:
    """Do a verb to jobs, a transaction for each 500; gives how many it changed.

    Args:
        workspace: where they are.
        queue: whose jobs they are.
        verb: what is done.
        numbers: of the jobs.
        told: hears after each transaction how many have been changed.
    """
    total = 0
    for some in rows.chunks(list(numbers)):
        total += await workspace.write(verb, queue, some)
        hub_of(workspace).changed(queue)
        if told is not None:
            told(total)
    return total
