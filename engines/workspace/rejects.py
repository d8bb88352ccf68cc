"""Rows that could not be fitted: where they stand, and why they were refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from streamconsole.engines.units import Reject
from streamconsole.engines.workspace.runs import Run, check_epoch
from streamconsole.engines.workspace.tables import rejects


def replace(connection: Connection, run: Run, window: int, refused: Sequence[Reject]) -> None:
    """Keep a window's rejects, instead of those of an earlier attempt.

    Done before the window commits in the target: a window redone after a crash finds its own again.

    Raises:
        StaleEpoch: somebody else owns the run by now.
    """
    check_epoch(connection, run)
    connection.execute(delete(rejects).where(rejects.c.run == run.id, rejects.c.window == window))
    if refused:
        connection.execute(insert(rejects), [{"run": run.id, "window": window, **asdict(reject)} for reject in refused])


def listing(
    connection: Connection, run_id: str, window: int | None = None, limit: int | None = None
) -> list[dict[str, Any]]:
    """A run's rejects in the order of the source."""
    statement = (
        select(
            rejects.c.window,
            rejects.c.line,
            rejects.c.offset,
            rejects.c.column,
            rejects.c.reason,
            rejects.c.row,
        )
        .where(rejects.c.run == run_id)
        .order_by(rejects.c.window, rejects.c.line)
        .limit(limit)
    )
    if window is not None:
        statement = statement.where(rejects.c.window == window)
    # Names that are words of SQL come as a subclass of str, which JSON writers refuse.
    return [{str(name): value for name, value in row._mapping.items()} for row in connection.execute(statement)]
