"""Replays: runs that write refused rows of another run, and what becomes of those rows in its list.

Until the target has everything safe, the list of the run stays as it is; what is refused again is
kept under the replay. Then window by window the one takes the place of the other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, delete, exists, func, insert, literal, select, update

from streamconsole.engines.states import EngineKind, RunState, WindowState
from streamconsole.engines.workspace import runs
from streamconsole.engines.workspace.runs import Run, check_epoch
from streamconsole.engines.workspace.tables import rejects, windows
from streamconsole.engines.workspace.tables import runs as run_table

WINDOWS_TOGETHER = 50
REJECTS_TOGETHER = 2_000
"""What is handed over in one transaction, at most (one window always is)."""


def replayed_by(run: Run) -> str | None:
    """The run whose refused rows a run writes; None when it is no replay."""
    found: str | None = run.plan.get("replays")
    return found


def unfinished(connection: Connection, of: str) -> Run | None:
    """The replay of a run that has windows left to do, whatever its state; there is one at most."""
    left = exists().where(windows.c.run == run_table.c.id, windows.c.replayed.is_(None))
    found = connection.execute(select(run_table.c.id).where(_replaying(of), left).limit(1)).scalar()
    return runs.get(connection, found) if found else None


def replays_of(connection: Connection, of: str) -> list[Run]:
    """The replays of a run, in the order in which they were made."""
    found = connection.execute(
        select(run_table.c.id).where(_replaying(of)).order_by(run_table.c.created_at, run_table.c.id)
    ).scalars()
    return [runs.get(connection, run_id) for run_id in found.all()]


def lines_of(connection: Connection, replay: str, window: int) -> list[int]:
    """Lines of a window that a replay took out of the list of refused rows."""
    asked = select(windows.c.replayed).where(windows.c.run == replay, windows.c.number == window)
    found: list[int] = orjson.loads(connection.execute(asked).scalar() or "[]")
    return found


def create(connection: Connection, of: Run, spec: dict[str, Any], plan: dict[str, Any], locks: Path) -> Run:
    """Record a replay of a run's refused rows, window by window; or give the one that is begun new settings.

    Args:
        connection: in a transaction.
        of: the run.
        spec: settings of the replay.
        plan: what is known of it; its size is added.
        locks: tells living owners from dead ones.

    Raises:
        Held: the one that is begun is being worked on.
    """
    begun = unfinished(connection, of.id)
    if begun is None:
        made = runs.create(connection, EngineKind.MIGRATION, f"replay {of.name}", spec, plan)
        _plan_windows(connection, of.id, made.id)
    else:
        made = begun
        holder = runs.owner_of(connection, begun.id, locks)
        if holder is not None:
            raise runs.held_by(begun, holder)
    size = select(func.sum(windows.c.hi - windows.c.lo)).where(windows.c.run == made.id)
    kept = {"spec": spec, "plan": plan | {"size": connection.execute(size).scalar() or 0}}
    connection.execute(
        update(run_table)
        .where(run_table.c.id == made.id)
        .values(
            # One that was cancelled, or has failed windows, goes on: what it has written is known to it alone.
            state=RunState.PLANNED if made.state is RunState.PLANNED else RunState.PAUSED,
            reason=None,
            **{name: orjson.dumps(value).decode() for name, value in kept.items()},
        )
    )
    return runs.get(connection, made.id)


def _replaying(of: str) -> ColumnElement[bool]:
    return run_table.c.plan.contains(f'"replays":{orjson.dumps(of).decode()}', autoescape=True)


def has_rejects(connection: Connection, run_id: str) -> bool:
    """Whether a row of the run is refused."""
    return connection.execute(select(rejects.c.id).where(rejects.c.run == run_id).limit(1)).first() is not None


def hand_over(connection: Connection, replay: Run, of: str) -> int:
    """Hand over some windows that are written: what is refused still takes the place of what was; gives how many.

    Raises:
        StaleEpoch: somebody else owns the replay by now.
    """
    check_epoch(connection, replay)
    done = connection.execute(
        select(windows.c.number, windows.c.rows_written, windows.c.rejects, windows.c.rows_read)
        .where(
            windows.c.run == replay.id,
            windows.c.state == WindowState.COMPLETED,
            windows.c.replayed.is_(None),
        )
        .order_by(windows.c.number)
        .limit(WINDOWS_TOGETHER)
    ).all()
    count = rows = 0
    for window in done:
        if count and rows + window.rows_read > REJECTS_TOGETHER:
            break
        _hand_over_one(connection, replay.id, of, window.number, window.rows_written, window.rejects)
        count, rows = count + 1, rows + window.rows_read
    return count


def _hand_over_one(connection: Connection, replay: str, of: str, number: int, written: int, refused_now: int) -> None:
    lines = select(rejects.c.line).where(rejects.c.window == number)
    refused = set(connection.execute(lines.where(rejects.c.run == of)).scalars())
    gone = refused.difference(connection.execute(lines.where(rejects.c.run == replay)).scalars())
    connection.execute(delete(rejects).where(rejects.c.run == of, rejects.c.window == number))
    connection.execute(update(rejects).where(rejects.c.run == replay, rejects.c.window == number).values(run=of))
    connection.execute(
        update(windows)
        .where(windows.c.run == of, windows.c.number == number)
        .values(rows_written=windows.c.rows_written + written, rejects=refused_now)
    )
    connection.execute(
        update(windows)
        .where(windows.c.run == replay, windows.c.number == number)
        .values(replayed=orjson.dumps(sorted(gone)).decode())
    )


def _plan_windows(connection: Connection, of: str, replay: str) -> None:
    same = ("number", "lo", "hi", "first_row", "rows", "bounds")
    made = {"state": WindowState.PENDING, "attempt": 0, "rows_read": 0, "rows_written": 0, "rejects": 0}
    refused = exists().where(rejects.c.run == of, rejects.c.window == windows.c.number)
    found = select(
        literal(replay), *(windows.c[name] for name in same), *(literal(value) for value in made.values())
    ).where(windows.c.run == of, windows.c.state == WindowState.COMPLETED, refused)
    connection.execute(insert(windows).from_select(["run", *same, *made], found))
