"""What some worker of a workspace has to see to: dead workers' jobs, old events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection

from streamconsole.engines.errors import StreamConsoleError
from streamconsole.engines.queue import journal, stalled
from streamconsole.engines.queue.rows import JobRow
from streamconsole.engines.workspace import Workspace

BEAT = 0.5
"""Seconds between two looks for dead workers: a dead one is noticed within 2 s, a busy machine included."""


async def keep_up(
    workspace: Workspace,
    me: str,
    found: Callable[[list[JobRow]], None],
    troubled: Callable[[str], None],
    keep_events: int = journal.KEEP,
) -> None:
    """Look after the workspace until cancelled.

    Args:
        workspace: the workspace.
        me: this process's node: it is alive.
        found: told of jobs taken from dead workers.
        troubled: told what could not be done.
        keep_events: rows of the queues' event log.
    """
    beats = 0
    while True:
        try:
            for node in await workspace.read(_dead, workspace.locks, me):
                await _recover(workspace, node, found)
            if beats % 4 == 0:
                await _trim(workspace, keep_events)
        except StreamConsoleError as error:
            troubled(str(error))
        beats += 1
        await asyncio.sleep(BEAT)


async def _recover(workspace: Workspace, node: str, found: Callable[[list[JobRow]], None]) -> None:
    while lost := await workspace.write(stalled.recover, node):
        found(lost)


async def _trim(workspace: Workspace, keep: int) -> None:
    # Up to 200,000 in one look: more than is written between two.
    for _ in range(40):
        if await workspace.write(journal.trim, keep) < journal.CHUNK:
            return


def _dead(connection: Connection, locks: Path, me: str) -> list[str]:
    return [node for node in stalled.dead(stalled.holders(connection), locks) if node != me]
