"""Rows that could not be fitted: where they stand, and why they were refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from streamconsole.engines.units import Reject
from streamconsole.engines.workspace.runs import Run, check_epoch
from streamconsole.engines.workspace.tables import rejects

ROWS_FETCHED = 1_000


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


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rejects are meant.

    Args:
        window: of this window.
        column: that do not fit this column.
        reason: in whose reason this stands, in whatever case.
        limit: so many of them, at most.
    """

    window: int | None = None
    column: str | None = None
    reason: str | None = None
    limit: int | None = None


def listing(
    connection: Connection, run_id: str, window: int | None = None, limit: int | None = None
) -> list[dict[str, Any]]:
    """A run's rejects in the order of the source."""
    return list(each(connection, run_id, Wanted(window, limit=limit)))


def each(connection: Connection, run_id: str, wanted: Wanted) -> Iterator[dict[str, Any]]:
    """A run's rejects one by one, in the order of the source; a few are in memory at a time."""
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
        .order_by(rejects.c.window, rejects.c.line, rejects.c.id)
        .limit(wanted.limit)
    )
    if wanted.window is not None:
        statement = statement.where(rejects.c.window == wanted.window)
    if wanted.column is not None:
        statement = statement.where(rejects.c.column == wanted.column)
    if wanted.reason is not None:
        statement = statement.where(rejects.c.reason.icontains(wanted.reason, autoescape=True))
    # Names that are words of SQL come as a subclass of str, which JSON writers refuse.
    names = ("window", "line", "offset", "column", "reason", "row")
    found = connection.execution_options(stream_results=True, yield_per=ROWS_FETCHED).execute(statement)
    for row in found:
        yield dict(zip(names, row, strict=True))
