"""Failed attempts of a run as rows, the latest first."""

from __future__ import annotations

from streamconsole.engines.workspace import Workspace, windows
from streamconsole.screens.views import RunView
from streamconsole.screens.widgets.live_table import Row

PROBLEMS_SHOWN = 500


async def problems_of(workspace: Workspace, view: RunView) -> tuple[list[tuple[int, int]], list[Row]]:
    """Keys (the failure and its window) and rows: the window, the attempt, how the window is now, what failed."""
    found = await workspace.read(windows.failures_of, view.run.id, None, PROBLEMS_SHOWN)
    ledger = view.ledger or {}
    keys: list[tuple[int, int]] = [(each["id"], each["window"]) for each in found]
    rows: list[Row] = [
        (
            each["window"],
            each["attempt"],
            ledger[each["window"]].state if each["window"] in ledger else "",
            each["message"],
        )
        for each in found
    ]
    return keys, rows
