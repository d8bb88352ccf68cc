"""How work ended: the exit status and the last line of output."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamconsole import exit_codes
from streamconsole.engines.errors import Refused
from streamconsole.engines.secrets import mask
from streamconsole.engines.states import EngineKind, RunState
from streamconsole.engines.supervisor import Ended
from streamconsole.engines.workspace import Workspace, chunks, runs, windows
from streamconsole.engines.workspace.chunks import TransferTotals
from streamconsole.engines.workspace.replays import replayed_by
from streamconsole.engines.workspace.runs import Run
from streamconsole.engines.workspace.windows import Totals
from streamconsole.engines.workspace.workspace import DEFAULT_NAME
from streamconsole.wording import counted

if TYPE_CHECKING:
    from streamconsole.queue_work import QueueSummary


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What became of one run.

    Args:
        run: the run.
        totals: sums over its windows.
        ended: how work on it ended in this process, if it did any.
        where: ` --workspace …` for commands that are suggested; empty for the default place.
        transfer: sums over its files and chunks, when it is a transfer.
        held: why it was not begun, when what it waits for is not done.
    """

    run: Run
    totals: Totals
    ended: Ended | None = None
    where: str = ""
    transfer: TransferTotals | None = None
    held: str | None = None

    @property
    def seconds(self) -> float:
        """From start to end, 0 when it has not ended."""
        if self.run.finished_at is None or self.run.started_at is None:
            return 0.0
        return (self.run.finished_at - self.run.started_at) / 1000

    def exit_code(self) -> int:
        """What this run alone would make the program exit with."""
        error = self.ended.error if self.ended else None
        if error is not None:
            return exit_codes.REFUSED if isinstance(error, Refused) else exit_codes.FAILURE
        if self.run.state is RunState.FAILURE:
            return exit_codes.FAILURE
        clean = self.run.state is RunState.COMPLETED and not self.totals.failed and not self.totals.rejects
        return exit_codes.DONE if clean else exit_codes.UNITS_FAILED

    def as_json(self) -> dict[str, Any]:
        """The run's entry in the summary line."""
        totals = self.totals
        error = self.ended.error if self.ended else None
        return {
            "run": self.run.id,
            "engine": self.run.engine,
            "name": self.run.name,
            "status": self.run.state,
            "reason": mask(str(error)) if error else self.held or self.run.reason,
            "units": {
                "completed": totals.completed,
                "failed": totals.failed,
                "pending": totals.pending + totals.running,
            },
            **self._measures(),
            "seconds": round(self.seconds, 3),
        } | self._about_another()

    @property
    def verifies(self) -> str | None:
        """The run that this one verifies, if it is a verification."""
        return self.run.plan.get("verifies")

    def _about_another(self) -> dict[str, Any]:
        if self.verifies:
            return {"verifies": self.verifies, "source_changed": self.run.plan.get("changed")}
        return {"replays": self.replays} if self.replays else {}

    @property
    def replays(self) -> str | None:
        """The run whose refused rows this one writes, if it is a replay."""
        return replayed_by(self.run)

    def _measures(self) -> dict[str, Any]:
        totals, transfer = self.totals, self.transfer
        if transfer is None:
            return {
                "rows": totals.rows_written,
                "rows_read": totals.rows_read,
                "rejects": totals.rejects,
                "dropped": totals.dropped,
            }
        return {
            "bytes": transfer.bytes_done,
            "sent": transfer.bytes_sent,
            "files": transfer.files_done,
            "files_failed": transfer.files_failed,
            "stored": transfer.stored,
            "present": transfer.present,
        }

    def sentence(self) -> str:
        """One line for the operator."""
        totals, run = self.totals, self.run
        if self.held is not None:
            return f"{run.id} {run.state}: {self.held}"
        if self.verifies and run.state is RunState.COMPLETED:
            return f"{run.id}: {self._verdict()}"
        if self.replays and run.state is RunState.COMPLETED:
            return f"{run.id}: {self._replay()}"
        moved = f"{counted(totals.rows_written, 'row')} in {counted(totals.completed, 'window')}"
        parts = [f"{run.id} {run.state}: {_carried(self.transfer) if self.transfer else moved}"]
        if self.transfer is not None and self.transfer.files_failed:
            failed = counted(self.transfer.files_failed, "file")
            parts.append(f"{failed} failed (`streamconsole runs retry {run.id}{self.where}`)")
        elif totals.failed:
            parts.append(f"{counted(totals.failed, 'window')} failed (`streamconsole runs retry {run.id}{self.where}`)")
        if totals.rejects:
            parts.append(
                f"{counted(totals.rejects, 'row')} refused (`streamconsole runs rejects {run.id}{self.where}`)"
            )
        if totals.dropped:
            what = "dropped" if totals.dropped > 0 else "added"
            parts.append(f"{counted(abs(totals.dropped), 'row')} {what} by transforms")
        if run.state in (RunState.PAUSED, RunState.FAILURE, RunState.RUNNING):
            reason = f"{run.reason}: " if run.reason else ""
            parts.append(f"{reason}resume with `streamconsole runs resume {run.id}{self.where}`")
        elif self.seconds:
            parts.append(f"{self.seconds:,.1f} s")
        return ", ".join(parts)

    def _replay(self) -> str:
        totals, of = self.totals, self.replays
        told = [f"{of}: {counted(totals.rows_written, 'row')} of {totals.rows_read:,} that were refused written"]
        if totals.dropped:
            what = "dropped" if totals.dropped > 0 else "added"
            told.append(f"{counted(abs(totals.dropped), 'row')} {what} by transforms")
        if totals.rejects:
            told.append(f"{counted(totals.rejects, 'row')} refused (`streamconsole runs rejects {of}{self.where}`)")
        if totals.failed:
            told.append(
                f"{counted(totals.failed, 'window')} failed (`streamconsole runs retry {of} --rejects{self.where}`)"
            )
        return ", ".join(told)

    def _verdict(self) -> str:
        totals, changed = self.totals, self.run.plan.get("changed")
        told = [f"{self.verifies} verified: {counted(totals.rows_read, 'row')} compared"]
        if totals.rejects:
            differ = f"{counted(totals.rejects, 'row')} {'differs' if totals.rejects == 1 else 'differ'}"
            told.append(f"{differ} (`streamconsole runs rejects {self.run.id}{self.where}`)")
        elif not totals.failed:
            told.append("both sides are equal")
        if totals.failed:
            told.append(
                f"{counted(totals.failed, 'window')} could not be compared "
                f"(`streamconsole runs retry {self.run.id}{self.where}`)"
            )
        return ", ".join([*told, *([changed] if changed else [])])


@dataclass(slots=True)
class Summary:
    """What became of everything that was asked for.

    Args:
        runs: one entry a run.
        queues: one entry a queue that was worked on.
        refused: what was refused before it became a run.
        notes: what is wrong with all of it together, once every run has come to its end.
        stopped_by: number of the signal that ended the program, if one did.
    """

    runs: list[RunSummary] = field(default_factory=list)
    queues: list[QueueSummary] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stopped_by: int | None = None

    def exit_code(self) -> int:
        """The worst of all."""
        if self.stopped_by is not None:
            return exit_codes.stopped_by(self.stopped_by)
        codes = [*(run.exit_code() for run in self.runs), *(queue.exit_code() for queue in self.queues)]
        if exit_codes.FAILURE in codes:
            return exit_codes.FAILURE
        if self.refused or exit_codes.REFUSED in codes:
            return exit_codes.REFUSED
        return max([*codes, exit_codes.UNITS_FAILED if self.notes else exit_codes.DONE])

    def as_json(self) -> dict[str, Any]:
        """The last of the JSON Lines."""
        words = {exit_codes.DONE: "completed", exit_codes.UNITS_FAILED: "incomplete"}
        words |= {exit_codes.REFUSED: "refused", exit_codes.FAILURE: "failure"}
        line: dict[str, Any] = {
            "event": "summary",
            "status": words.get(self.exit_code(), "stopped"),
            "exit_code": self.exit_code(),
            "runs": [*(run.as_json() for run in self.runs), *(queue.as_json() for queue in self.queues)],
        }
        if self.notes:
            line["notes"] = self.notes
        return line | ({"refused": self.refused} if self.refused else {})


def notes_on(summaries: Sequence[RunSummary]) -> list[str]:
    """What is wrong with whole databases that were filled, beyond what each run knows (blocking)."""
    whole = [each.run.spec for each in summaries if each.run.spec.get("constraints")]
    if not whole:
        return []
    from streamconsole.engines.migration.settings import MigrationSettings
    from streamconsole.engines.migration.whole import broken_references

    return broken_references(map(MigrationSettings.model_validate, whole))


def _carried(totals: TransferTotals) -> str:
    there = f", {counted(totals.present, 'chunk')} there already" if totals.present else ""
    carried = counted(totals.files_done, "file")
    return f"{carried}, {totals.bytes_done:,} bytes; {counted(totals.stored, 'chunk')} moved{there}"


def _as_units(totals: TransferTotals) -> Totals:
    """A transfer's sums in the words that all runs have."""
    failed = max(totals.failed, totals.files_failed)
    return Totals(completed=totals.stored + totals.present, failed=failed)


def _where(workspace: Workspace) -> str:
    return "" if workspace.path == Path(DEFAULT_NAME).absolute() else f" --workspace {shlex.quote(str(workspace))}"


async def summarise(
    workspace: Workspace, run_ids: Sequence[str], ended: Sequence[Ended] = (), held: Mapping[str, str] | None = None
) -> list[RunSummary]:
    """What the workspace says about some runs, with how they ended here."""
    by_run = {each.run: each for each in ended}
    totals = await workspace.read(windows.totals, list(run_ids))
    carried = await workspace.read(chunks.totals, list(run_ids))
    where = _where(workspace)
    found = []
    for run_id in run_ids:
        run = await workspace.read(runs.get, run_id)
        transfer = carried[run_id] if run.engine is EngineKind.TRANSFER else None
        units = totals[run_id] if transfer is None else _as_units(transfer)
        found.append(RunSummary(run, units, by_run.get(run_id), where, transfer, (held or {}).get(run_id)))
    return found
