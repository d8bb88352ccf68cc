"""The ledger of windows as the workspace keeps it: every range with its outcome."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, case, func, insert, literal, select, update

from streamconsole.engines.states import WindowState
from streamconsole.engines.units import Window
from streamconsole.engines.workspace.clock import now_ms
from streamconsole.engines.workspace.runs import Run, check_epoch
from streamconsole.engines.workspace.tables import failures, windows


@dataclass(frozen=True, slots=True)
class WindowRecord:
    """A window with its outcome; times in milliseconds since the epoch."""

    window: Window
    state: WindowState
    worker: int | None
    attempt: int
    rows_read: int
    rows_written: int
    rejects: int
    error: str | None
    started_at: int | None
    finished_at: int | None

    def as_json(self) -> dict[str, Any]:
        """The form that `runs history --json` prints and `--windows` accepts."""
        return {
            "window": self.window.number,
            "lo": self.window.lo,
            "hi": self.window.hi,
            "first_row": self.window.first_row,
            "rows": self.window.rows,
            "bounds": self.window.bounds,
            "state": self.state,
            "worker": self.worker,
            "attempt": self.attempt,
            "rows_read": self.rows_read,
            "rows_written": self.rows_written,
            "rejects": self.rejects,
            "error": self.error,
            "started_at": self.started_at,
            "finished_at": self.finished_at,
        }


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over a run's windows; `offset_done` in the unit of the windows' offsets, `uneven` those with rejects."""

    pending: int = 0
    running: int = 0
    completed: int = 0
    failed: int = 0
    rows_read: int = 0
    rows_written: int = 0
    rejects: int = 0
    offset_done: int = 0
    uneven: int = 0

    @property
    def windows(self) -> int:
        """Windows in all."""
        return self.pending + self.running + self.completed + self.failed

    @property
    def dropped(self) -> int:
        """Rows that transforms left out, less those they added."""
        return self.rows_read - self.rows_written - self.rejects


def plan(connection: Connection, run: Run, planned: Sequence[Window]) -> None:
    """Record windows as pending, before they are handed out."""
    check_epoch(connection, run)
    if planned:
        connection.execute(
            insert(windows),
            [
                {
                    "run": run.id,
                    "number": window.number,
                    "lo": window.lo,
                    "hi": window.hi,
                    "first_row": window.first_row,
                    "rows": window.rows,
                    "bounds": window.bounds,
                    "state": WindowState.PENDING,
                    "attempt": 0,
                    "rows_read": 0,
                    "rows_written": 0,
                    "rejects": 0,
                }
                for window in planned
            ],
        )


def copy(connection: Connection, run_id: str, to: Run, states: Collection[WindowState]) -> None:
    """Record the windows of another run, as pending, under the same numbers.

    Args:
        connection: in a transaction.
        run_id: the other run.
        to: the run that gets them.
        states: of the windows that are meant.
    """
    same = ("number", "lo", "hi", "first_row", "rows", "bounds")
    made = {"state": WindowState.PENDING, "attempt": 0, "rows_read": 0, "rows_written": 0, "rejects": 0}
    found = select(
        literal(to.id), *(windows.c[name] for name in same), *(literal(value) for value in made.values())
    ).where(windows.c.run == run_id, windows.c.state.in_(list(states)))
    connection.execute(insert(windows).from_select(["run", *same, *made], found))


def start(connection: Connection, run: Run, number: int, worker: int) -> int:
    """A worker has begun with a window; gives the attempt, counted from 1."""
    check_epoch(connection, run)
    begun = {"state": WindowState.RUNNING, "worker": worker, "started_at": now_ms(), "finished_at": None}
    statement = _one(run, number).values(attempt=windows.c.attempt + 1, **begun).returning(windows.c.attempt)
    return int(connection.execute(statement).scalar_one())


def complete(connection: Connection, run: Run, number: int, rows_read: int, rows_written: int, rejects: int) -> None:
    """A window's rows are committed in the target."""
    check_epoch(connection, run)
    _change(
        connection,
        run,
        number,
        state=WindowState.COMPLETED,
        rows_read=rows_read,
        rows_written=rows_written,
        rejects=rejects,
        error=None,
        finished_at=now_ms(),
    )


def record_failure(connection: Connection, run: Run, window: Window, worker: int, attempt: int, message: str) -> None:
    """An attempt failed; the window may yet be tried again."""
    check_epoch(connection, run)
    connection.execute(
        insert(failures).values(
            run=run.id,
            window=window.number,
            lo=window.lo,
            hi=window.hi,
            attempt=attempt,
            worker=worker,
            message=message,
            at=now_ms(),
        )
    )
    _change(connection, run, window.number, error=message)


def fail(connection: Connection, run: Run, number: int, message: str) -> None:
    """A window failed for good (until it is retried by hand)."""
    check_epoch(connection, run)
    _change(connection, run, number, state=WindowState.FAILED, error=message, finished_at=now_ms())


def hand_back(connection: Connection, run: Run, states: Collection[WindowState], number: int | None = None) -> int:
    """Put windows in one of `states` (all of the run, or just one) back to pending; gives how many."""
    check_epoch(connection, run)
    statement = update(windows).where(windows.c.run == run.id, windows.c.state.in_(list(states)))
    if number is not None:
        statement = statement.where(windows.c.number == number)
    # What an earlier attempt wrote is counted again when the window is done again.
    begun_anew = {"worker": None, "started_at": None, "rows_read": 0, "rows_written": 0, "rejects": 0}
    return connection.execute(statement.values(state=WindowState.PENDING, **begun_anew)).rowcount


def listing(connection: Connection, run_id: str, states: Collection[WindowState] | None = None) -> list[WindowRecord]:
    """A run's windows in order, of the given states or all."""
    statement = select(windows).where(windows.c.run == run_id).order_by(windows.c.number)
    if states is not None:
        statement = statement.where(windows.c.state.in_(list(states)))
    return [_from_row(row) for row in connection.execute(statement)]


def get(connection: Connection, run_id: str, number: int) -> WindowRecord | None:
    """One window."""
    row = connection.execute(select(windows).where(windows.c.run == run_id, windows.c.number == number)).first()
    return _from_row(row) if row else None


def failures_of(
    connection: Connection, run_id: str, number: int | None = None, limit: int | None = None
) -> list[dict[str, Any]]:
    """Failed attempts of a run, or of one window, the latest first; `limit` of them at most."""
    statement = select(failures).where(failures.c.run == run_id).order_by(failures.c.id.desc()).limit(limit)
    if number is not None:
        statement = statement.where(failures.c.window == number)
    # Names that are words of SQL come as a subclass of str, which JSON writers refuse.
    return [{str(name): value for name, value in row._mapping.items()} for row in connection.execute(statement)]


def totals(connection: Connection, run_ids: Sequence[str]) -> dict[str, Totals]:
    """Sums per run, for the runs asked for."""
    rows = connection.execute(
        select(
            windows.c.run,
            windows.c.state,
            func.count().label("windows"),
            func.sum(windows.c.rows_read).label("rows_read"),
            func.sum(windows.c.rows_written).label("rows_written"),
            func.sum(windows.c.rejects).label("rejects"),
            func.sum(case((windows.c.rejects > 0, 1), else_=0)).label("uneven"),
            func.sum(windows.c.hi - windows.c.lo).label("offset"),
        )
        .where(windows.c.run.in_(run_ids))
        .group_by(windows.c.run, windows.c.state)
    )
    sums: dict[str, dict[str, int]] = {run_id: {} for run_id in run_ids}
    for row in rows:
        of_run = sums[row.run]
        of_run[row.state] = row.windows
        for column in ("rows_read", "rows_written", "rejects", "uneven"):
            of_run[column] = of_run.get(column, 0) + getattr(row, column)
        if row.state == WindowState.COMPLETED:
            of_run["offset_done"] = row.offset
    return {run_id: Totals(**values) for run_id, values in sums.items()}


def _one(run: Run, number: int) -> Any:
    return update(windows).where(windows.c.run == run.id, windows.c.number == number)


def _change(connection: Connection, run: Run, number: int, **values: Any) -> None:
    connection.execute(_one(run, number).values(**values))


def _from_row(row: Row[Any]) -> WindowRecord:
    return WindowRecord(
        window=Window(row.number, row.lo, row.hi, row.first_row, row.rows, row.bounds),
        state=WindowState(row.state),
        worker=row.worker,
        attempt=row.attempt,
        rows_read=row.rows_read,
        rows_written=row.rows_written,
        rejects=row.rejects,
        error=row.error,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )
