"""`streamconsole runs prune`: removing what is kept about runs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streamconsole.cli.looking import look
from streamconsole.cli.options import common, given
from streamconsole.cli.output import print_json, say
from streamconsole.engines.states import FINISHED_RUNS, RunState
from streamconsole.wording import counted

if TYPE_CHECKING:
    from streamconsole.engines.workspace import Workspace
    from streamconsole.engines.workspace.pruning import Prunable

UNITS = {"h": 1 / 24, "d": 1.0, "w": 7.0}


class Days(click.ParamType[float]):
    """A number of days: `30`, `30d`, `12h`, `2w`."""

    name = "days"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number of days."""
        text = str(value).strip().lower()
        unit = UNITS.get(text[-1:])
        try:
            days = float(text if unit is None else text[:-1]) * (unit or 1.0)
        except ValueError:
            self.fail(f"{value!r} is not a number of days: write 30d, 12h or 2w", param, ctx)
        if not 0 <= days < 1e6:
            self.fail(f"{value!r} is out of range", param, ctx)
        return days


class States(click.ParamType[frozenset[RunState]]):
    """States of runs: `completed,cancelled`."""

    name = "states"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> frozenset[RunState]:
        """The states."""
        known = {state.value: state for state in RunState}
        names = [name.strip() for name in str(value).split(",") if name.strip()]
        wrong = [name for name in names if name not in known]
        if wrong or not names:
            self.fail(f"{', '.join(wrong) or 'nothing'} is no state of runs: there are {', '.join(known)}", param, ctx)
        return frozenset(known[name] for name in names)


@click.command("prune", short_help="Remove what is kept about finished runs.")
@click.argument("runs", metavar="[RUN]...", nargs=-1)
@click.option("--older-than", metavar="DAYS", type=Days(), help="That ended longer ago: 30d, 12h, 2w.")
@click.option("--keep", metavar="N", type=click.IntRange(0), help="All but the newest N.")
@click.option(
    "--state", "states", metavar="LIST", type=States(), help="In one of these states.  [default: completed,cancelled]"
)
@click.option("--dry-run", is_flag=True, help="Say what would go; remove nothing.")
@common
@click.pass_context
def prune(
    context: click.Context,
    runs: tuple[str, ...],
    older_than: float | None,
    keep: int | None,
    states: frozenset[RunState] | None,
    dry_run: bool,
) -> None:
    """Remove what is kept about finished runs (their rows in the target stay).

    Runs are named, or chosen by --older-than, --keep and --state: those that fulfil all that is said. A run that
    somebody works on is never removed.
    """
    from streamconsole.engines.workspace.pruning import Prunable

    if not runs and older_than is None and keep is None and states is None:
        raise click.UsageError("name runs, or say --older-than 30d, --keep N or --state LIST", context)
    by_rule = older_than is not None or keep is not None or states is not None
    wanted = Prunable(states or FINISHED_RUNS, older_than, keep or 0) if by_rule else None

    async def collect(workspace: Workspace) -> tuple[list[str], int]:
        return await _prune(workspace, runs, wanted, dry_run)

    gone, freed = look(context, collect)
    if given(context).json:
        print_json([{"event": "pruned", "dry_run": dry_run, "runs": gone, "bytes": freed}])
        return
    done = "would remove" if dry_run else "removed"
    free = "" if dry_run or not freed else f"; {freed:,} bytes are free again"
    say(f"{done} {counted(len(gone), 'run')}{': ' if gone else ''}{', '.join(gone)}{free if gone else ''}")


async def _prune(
    workspace: Workspace, named: tuple[str, ...], wanted: Prunable | None, dry_run: bool
) -> tuple[list[str], int]:
    from streamconsole.engines.workspace import pruning

    chosen = await workspace.read(pruning.choose, named, wanted, workspace.locks)
    if dry_run:
        return chosen, 0
    gone, freed = [], 0
    for run_id in chosen:
        # One after the other: whoever else writes to the workspace waits for one of them at most.
        found = await workspace.write(pruning.remove, run_id, workspace.locks)
        if found is not None:
            gone.append(run_id)
            freed += found + _remove_files(workspace.path, run_id)
    return gone, freed


def _remove_files(workspace: Path, run_id: str) -> int:
    """Remove what lies beside the workspace for a run; gives its bytes."""
    folder = workspace.with_name(f"stderr-{run_id}")
    files = [path for path in folder.glob("*") if path.is_file()]
    beside = [
        workspace.with_name(f"{kind}-{run_id}.{ending}") for kind, ending in (("history", "json"), ("error", "log"))
    ]
    beside = [path for path in beside if path.is_file()]
    freed = sum(path.stat().st_size for path in (*files, *beside))
    shutil.rmtree(folder, ignore_errors=True)
    for path in beside:
        path.unlink(missing_ok=True)
    return freed
