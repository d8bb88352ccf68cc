"""Retention: removing what is kept about finished runs."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select

from streamconsole.engines.errors import Refused
from streamconsole.engines.states import FINISHED_RUNS
from streamconsole.engines.workspace import runs
from streamconsole.engines.workspace.clock import now_ms
from streamconsole.engines.workspace.tables import runs as run_table

DAY_MS = 86_400_000


def prune_runs(connection: Connection, named: Sequence[str], older_than: float | None, dry_run: bool) -> list[str]:
    """Remove finished runs: those named, and those that ended more than `older_than` days ago.

    Raises:
        Refused: a named run does not exist or has not finished.
    """
    chosen = [_finished(connection, run_id) for run_id in named]
    if older_than is not None:
        chosen += connection.execute(
            select(run_table.c.id).where(
                run_table.c.state.in_(list(FINISHED_RUNS)),
                run_table.c.finished_at < now_ms() - older_than * DAY_MS,
            )
        ).scalars()
    if not dry_run:
        for run_id in chosen:
            runs.remove(connection, run_id)
    return chosen


def _finished(connection: Connection, run_id: str) -> str:
    run = runs.get(connection, run_id)
    if run.state not in FINISHED_RUNS:
        raise Refused(f"run {run.id} is {run.state}: cancel it before it is removed")
    return run.id
