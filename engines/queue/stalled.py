"""Jobs whose worker is dead: back to waiting, or failed when that happened too often."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, insert, select, text, update

from streamconsole.engines.queue import counts, deduplication, journal, registry, rows
from streamconsole.engines.queue.rows import JobRow
from streamconsole.engines.queue.states import CANCELLED, Happened, JobState, ready_state
from streamconsole.engines.workspace import nodes
from streamconsole.engines.workspace.clock import now_ms
from streamconsole.engines.workspace.queue_tables import job_failures, jobs

TOO_OFTEN = "job stalled more than allowable limit"
ACTIVE = text("state = 'active'")
"""Said so, and not by a parameter, it is found by its index."""

ROUND = 500
"""Jobs of a dead worker moved in one transaction."""


def holders(connection: Connection) -> list[tuple[str, nodes.Node | None]]:
    """Who holds active jobs: ids, and the nodes as far as they are still registered."""
    statement = select(jobs.c.node).where(ACTIVE).distinct()
    return [(node, nodes.get(connection, node)) for node in connection.execute(statement).scalars()]


def dead(held: list[tuple[str, nodes.Node | None]], locks: Path) -> list[str]:
    """Those of them that are dead. Looks at files: not to be done in a transaction."""
    return [node_id for node_id, node in held if node is None or not nodes.is_alive(node, locks)]


def recover(connection: Connection, node: str) -> list[JobRow]:
    """Take the jobs of a dead node from it, some at a time; gives them as they were."""
    found = connection.execute(select(*rows.columns).where(ACTIVE, jobs.c.node == node).limit(ROUND)).all()
    lost = [JobRow._make(row) for row in found]
    for queue in {row.queue for row in lost}:
        _recover_queue(connection, queue, [row for row in lost if row.queue == queue])
    return lost


def _recover_queue(connection: Connection, queue: str, lost: list[JobRow]) -> None:
    settings = registry.ensure(connection, queue).settings
    now, change, failed = now_ms(), Counter[JobState](), []
    for row, place in zip(lost, rows.allocate(connection, len(lost)), strict=True):
        reason = _fatal(row, settings.max_stalled_count)
        state = JobState.FAILED if reason else JobState.DELAYED if settings.stalled_backoff else _ready(row)
        values: dict[str, Any] = {"state": state, "node": None, "stalled": row.stalled + 1, "position": place}
        if reason:
            values |= {"failure": reason, "finished_at": now}
            failed.append((row, reason))
        elif state is JobState.DELAYED:
            values["due_at"] = now + settings.stalled_backoff
        connection.execute(update(jobs).where(jobs.c.seq == row.seq).values(**values))
        change[state] += 1
        change[JobState.ACTIVE] -= 1
    counts.moved(connection, queue, change)
    journal.append(connection, now, queue, Happened.STALLED, [row.seq for row in lost])
    if failed:
        _failed(connection, queue, failed, now)


def _ready(row: JobRow) -> JobState:
    return ready_state(row.priority)


def _fatal(row: JobRow, allowed: int) -> str | None:
    if row.cancel:
        return CANCELLED
    return TOO_OFTEN if row.stalled + 1 > allowed else None


def _failed(connection: Connection, queue: str, failed: list[tuple[JobRow, str]], now: int) -> None:
    connection.execute(
        insert(job_failures),
        [
            {"job": row.seq, "attempt": row.attempts_made + 1, "at": now, "worker": "", "reason": reason}
            for row, reason in failed
        ],
    )
    counts.measured(connection, queue, now, Counter({False: len(failed)}))
    deduplication.release(connection, [row.seq for row, _ in failed])
    said = [(row.seq, orjson.dumps({"failure": reason}).decode()) for row, reason in failed]
    journal.append_each(connection, now, queue, Happened.FAILED, said)
