"""Verifications among the runs: which of them says what a run's target holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from streamconsole.engines.states import RunState
from streamconsole.engines.workspace import windows
from streamconsole.engines.workspace.runs import Run, get
from streamconsole.engines.workspace.tables import runs
from streamconsole.engines.workspace.windows import Totals


def newest_of(connection: Connection, run_id: str) -> Run | None:
    """The newest verification of a run, whatever has become of it."""
    named = select(runs.c.id).where(runs.c.plan.contains(f'"verifies":"{run_id}"', autoescape=True))
    for (found,) in connection.execute(named.order_by(runs.c.created_at.desc(), runs.c.id)):
        verification = get(connection, found)
        if verification.plan.get("verifies") == run_id:
            return verification
    return None


def owed(connection: Connection, run: Run) -> bool:
    """Whether a completed run that asks for a verification has none that came to its end since."""
    known = newest_of(connection, run.id)
    return known is None or known.created_at < (run.finished_at or 0) or known.finished_at is None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification says.

    Args:
        run: the verification.
        totals: of its windows.
    """

    run: Run
    totals: Totals

    @property
    def equal(self) -> bool | None:
        """Whether both sides are equal; None while that is not known."""
        if self.totals.rejects:
            return False
        return True if self.run.state is RunState.COMPLETED and not self.totals.failed else None

    @property
    def text(self) -> str:
        """In words."""
        totals = self.totals
        if totals.rejects:
            so_far = "" if self.run.state is RunState.COMPLETED else " so far"
            differ = f"{_counted(totals.rejects, 'row')} {'differs' if totals.rejects == 1 else 'differ'}"
            return f"{differ} in {_counted(totals.uneven, 'window')}{so_far}"
        if self.equal:
            return "equal"
        if self.run.state is RunState.COMPLETED:
            return f"{_counted(totals.failed, 'window')} could not be compared"
        return f"{self.run.state}"

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "run": self.run.id,
            "state": self.run.state,
            "equal": self.equal,
            "rows": self.totals.rows_read,
            "rows_differing": self.totals.rejects,
            "windows_differing": self.totals.uneven,
            "windows_failed": self.totals.failed,
        }


def verdict_on(connection: Connection, run_id: str) -> Verdict | None:
    """What the newest verification of a run says; None when there is none."""
    run = newest_of(connection, run_id)
    return Verdict(run, windows.totals(connection, [run.id])[run.id]) if run is not None else None


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' if number != 1 else ''}"
