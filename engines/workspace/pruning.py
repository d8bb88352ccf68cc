"""Retention: removing what is kept about runs that nobody needs any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, func, select

from streamconsole.engines.errors import Refused
from streamconsole.engines.states import FINISHED_RUNS, RunState
from streamconsole.engines.workspace import replays, runs
from streamconsole.engines.workspace.clock import now_ms
from streamconsole.engines.workspace.runs import Run
from streamconsole.engines.workspace.tables import runs as run_table

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Prunable:
    """Which runs may go, beside those that are named.

    Args:
        states: in one of these.
        older_than: that ended (or, unfinished ones, began) more than so many days ago.
        keep: but not the newest ones, so many of them.
    """

    states: frozenset[RunState] = FINISHED_RUNS
    older_than: float | None = None
    keep: int = 0


def choose(connection: Connection, named: Sequence[str], wanted: Prunable | None, locks: Path) -> list[str]:
    """The runs to remove: those named, and those that are wanted.

    Args:
        connection: to read from.
        named: ids, or beginnings of ids.
        wanted: which others; None for no others.
        locks: tells living owners from dead ones.

    Raises:
        Refused: a named run does not exist, has not finished, or is needed.
    """
    chosen = dict.fromkeys(_finished(connection, run_id, locks) for run_id in named)
    if wanted is not None:
        when = func.coalesce(run_table.c.finished_at, run_table.c.started_at, run_table.c.created_at)
        statement = (
            select(run_table.c.id)
            .where(run_table.c.state.in_(list(wanted.states)))
            .order_by(run_table.c.created_at.desc(), run_table.c.id)
            .offset(wanted.keep)
        )
        if wanted.older_than is not None:
            statement = statement.where(when < now_ms() - wanted.older_than * DAY_MS)
        found = [runs.get(connection, run_id) for run_id in connection.execute(statement).scalars()]
        chosen |= dict.fromkeys(run.id for run in found if needed(connection, run, locks) is None)
    return list(chosen)


def remove(connection: Connection, run_id: str, locks: Path) -> int | None:
    """Remove all that is kept about a run; gives how many bytes that frees, None when it is needed by now."""
    run = runs.get(connection, run_id)
    if run.id != run_id or needed(connection, run, locks) is not None:
        return None
    before = _free_bytes(connection)
    runs.remove(connection, run_id)
    return max(0, _free_bytes(connection) - before)


def needed(connection: Connection, run: Run, locks: Path) -> str | None:
    """Why a run must not be removed; None when it may be."""
    holder = runs.owner_of(connection, run.id, locks)
    if holder is not None:
        return f"is held by {holder}"
    replay = replays.unfinished(connection, run.id)
    if replay is not None:
        return f"is needed by run {replay.id}, which has not replayed all of its refused rows"
    of = replays.replayed_by(run)
    begun = replays.unfinished(connection, of) if of else None
    if begun is not None and begun.id == run.id:
        return f"has not come to its end: it alone knows which refused rows of run {of} it has written"
    return None


def _finished(connection: Connection, run_id: str, locks: Path) -> str:
    run = runs.get(connection, run_id)
    if run.state not in FINISHED_RUNS:
        raise Refused(f"run {run.id} is {run.state}: cancel it before it is removed")
    why = needed(connection, run, locks)
    if why is not None:
        raise Refused(f"run {run.id} {why}")
    return run.id


def _free_bytes(connection: Connection) -> int:
    """Bytes of the workspace's file that hold nothing; 0 on a server, which frees them when it likes."""
    if connection.dialect.name != "sqlite":
        return 0
    pages = [
        int(connection.exec_driver_sql(f"PRAGMA {name}").scalar() or 0) for name in ("freelist_count", "page_size")
    ]
    return pages[0] * pages[1]
