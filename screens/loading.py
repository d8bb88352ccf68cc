"""Reading for the screens, in a thread: as little as possible, and only what is new.

The windows of a run that nobody works on do not change: they are read once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, time

from sqlalchemy import Connection, select

from streamconsole.engines.states import EngineKind, WindowState
from streamconsole.engines.workspace import chunks, nodes, runs, windows
from streamconsole.engines.workspace.runs import Run
from streamconsole.engines.workspace.tables import windows as table
from streamconsole.engines.workspace.windows import Totals
from streamconsole.screens.views import WindowView, WorkerView

Ledger = dict[int, WindowView]

_COLUMNS = (
    *(table.c.number, table.c.state, table.c.rows_read, table.c.rows_written, table.c.rejects),
    *(table.c.lo, table.c.hi, table.c.worker, table.c.attempt, table.c.started_at),
)


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows of a run as they are now.

    Args:
        ledger: all of them.
        changed: state of those that differ from what was known.
        at_work: what workers do, as far as the ledger tells.
    """

    ledger: Ledger
    changed: dict[int, str]
    at_work: dict[int, WorkerView]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A run as the workspace has it; what was known before and cannot have changed is None."""

    run: Run
    owner: str
    totals: Totals | None
    windows: Windows | None


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a run already.

    Args:
        run: as it was.
        owner: who worked on it then.
        followed: events tell of its windows.
        ledger: its windows, where they are known.
    """

    run: Run
    owner: str
    followed: bool
    ledger: Ledger | None


def load(connection: Connection, locks: Path, known: Mapping[str, Known], wanted: Collection[str]) -> list[Loaded]:
    """Read all runs, newest first, and the windows of some.

    Args:
        connection: to read from.
        locks: folder of the files that tell who lives.
        known: what is known already.
        wanted: runs whose windows are asked for.
    """
    found = runs.listing(connection)
    owners = {owner: _name(connection, owner, locks) for owner in {run.owner for run in found if run.owner}}
    owner_of = {run.id: owners.get(run.owner or "", "") for run in found}
    new = {run.id for run in found if not _unchanged(run, owner_of[run.id], known.get(run.id))}
    sums = windows.totals(connection, sorted(new)) | _transfers(connection, found, new)
    return [
        Loaded(run, owner_of[run.id], sums.get(run.id), _windows_if_new(connection, run, known, wanted, new))
        for run in found
    ]


def _transfers(connection: Connection, found: Sequence[Run], new: Collection[str]) -> dict[str, Totals]:
    """Sums of transfers: files for units, bytes of them for offsets, bytes over the line for rows."""
    asked = [run.id for run in found if run.engine is EngineKind.TRANSFER and run.id in new]
    return {
        run_id: Totals(
            completed=each.files_done,
            failed=each.files_failed,
            rows_written=each.bytes_sent,
            offset_done=each.bytes_done + each.bytes_begun,
        )
        for run_id, each in (chunks.totals(connection, asked) if asked else {}).items()
    }


def _unchanged(run: Run, owner: str, before: Known | None) -> bool:
    if before is None:
        return False
    # Whoever died may have done something after the last look at it.
    return before.followed or (before.run == run and not owner and not before.owner)


def _windows_if_new(
    connection: Connection, run: Run, known: Mapping[str, Known], wanted: Collection[str], new: Collection[str]
) -> Windows | None:
    before = known.get(run.id)
    ledger = before.ledger if before else None
    if run.id not in wanted or (run.id not in new and ledger is not None):
        return None
    return _windows(connection, run.id, ledger or {})


def _name(connection: Connection, owner: str, locks: Path) -> str:
    node = nodes.get(connection, owner)
    return str(node) if node is not None and nodes.is_alive(node, locks) else ""


def _windows(connection: Connection, run_id: str, known: Ledger) -> Windows:
    ledger: Ledger = {}
    changed: dict[int, str] = {}
    at_work: dict[int, WorkerView] = {}
    rows = connection.execute(select(*_COLUMNS).where(table.c.run == run_id).order_by(table.c.number))
    for number, state, read, written, rejects, lo, hi, worker, attempt, started in rows:
        view = WindowView(state, read, written, rejects, hi - lo if state == WindowState.COMPLETED else 0)
        ledger[number] = view
        if known.get(number) != view:
            changed[number] = state
        if worker:
            _note(at_work.setdefault(worker, WorkerView(worker)), number, view, attempt, started)
    return Windows(ledger, changed, at_work)


def _note(worker: WorkerView, number: int, window: WindowView, attempt: int, started: int | None) -> None:
    if window.state == WindowState.RUNNING:
        worker.window, worker.attempt = number, attempt
        worker.since = monotonic() - max(0.0, time() - (started or 0) / 1000)
    elif window.state == WindowState.COMPLETED:
        worker.done += 1
        worker.rows += window.rows
