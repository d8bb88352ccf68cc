"""What a replay of refused rows goes by: the mapping as it is now."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from streamconsole.engines.errors import Refused, StreamConsoleError
from streamconsole.engines.workspace import runs
from streamconsole.engines.workspace.runs import Run
from streamconsole.session import Session
from streamconsole.summary import summarise

if TYPE_CHECKING:
    from streamconsole.runbook import NamedMigration


def mapping_now(run: Run, runbook: Path | None = None) -> dict[str, Any]:
    """Columns and transforms of a run as its runbook says now; empty when it came from none (blocking).

    Args:
        run: whose refused rows are replayed.
        runbook: to be looked at instead of the one that the run came from.

    Raises:
        Refused: the runbook cannot be read, or does not know the migration any more.
    """
    known = run.plan.get("runbook")
    path = runbook or (Path(known) if known else None)
    if path is None:
        return {}
    # Here, so that runs which replay nothing start without the engines that a runbook may name.
    from streamconsole.runbook import load

    for migration in load(path).migration:
        if _is_of(run, migration):
            return migration.model_dump(mode="json", include={"columns", "transform"})
    raise Refused(f"runbook {path} has no migration {run.name!r}: name another one with --runbook, or a --map")


async def replay(session: Session, run_id: str, changed: dict[str, Any] | None, runbook: Path | None = None) -> str:
    """Make a replay ready to be started; gives its id, or that of the run itself when none of its rows is refused.

    Args:
        session: the open workspace.
        run_id: the run.
        changed: settings that are others now; None for what its runbook says.
        runbook: to be looked at instead of the one that the run came from.

    Raises:
        Refused: it cannot be done.
    """
    run = await session.workspace.read(runs.get, run_id)
    if "replays" in run.plan:
        run = await session.workspace.read(runs.get, run.plan["replays"])
    if changed is None:
        changed = await asyncio.to_thread(mapping_now, run, runbook)
    made = await session.migration.replay(run.id, changed)
    return run.id if made is None else made.id


class Tell(Protocol):
    """Tells the operator something."""

    def __call__(self, text: str, *, bad: bool = False) -> None:
        """Tell it."""
        ...


async def replay_and_tell(session: Session, run_id: str, follow: Callable[[str], Awaitable[None]], tell: Tell) -> None:
    """Replay a run's refused rows by what its runbook says now, and tell how that ends.

    Args:
        session: the open workspace.
        run_id: the run.
        follow: told of the replay once it has begun.
        tell: tells the operator.
    """
    try:
        made = await replay(session, run_id, None)
        if made == run_id:
            tell(f"{run_id}: no row is refused any more")
            return
        working = await session.supervisor.start(made, retry_failed=True)
        await follow(made)
        ended = await asyncio.shield(working)
        if ended.error is None:
            (summary,) = await summarise(session.workspace, [made])
            tell(summary.sentence(), bad=summary.exit_code() != 0)
    except StreamConsoleError as error:
        tell(str(error), bad=True)


def _is_of(run: Run, migration: NamedMigration) -> bool:
    whole = migration.tables is not None and run.name.startswith(f"{migration.name}.")
    return run.name == migration.name or whole
