"""Asking before refused rows are replayed."""

from __future__ import annotations

from typing import Any, cast

from textual.app import App

from streamconsole.engines.states import RunState
from streamconsole.screens.confirm import Confirm
from streamconsole.screens.steering import Desk
from streamconsole.screens.views import RunView


def ask_replay(app: App[Any], view: RunView) -> None:
    """Ask whether a run's refused rows are to be replayed, unless there is no use in it; then have it done."""
    desk = cast("Desk", app)
    reason = no_use_of_replay(view)
    if reason is not None:
        desk.tell(reason, bad=True)
        return
    if desk.read_only:
        # Nothing to ask: it tells that it changes nothing.
        desk.replay(view.run.id)
        return

    def answered(yes: bool | None) -> None:
        if yes:
            desk.replay(view.run.id)

    runbook = view.run.plan.get("runbook")
    mapping = f"{runbook} as it is now" if runbook else "the run's own mapping"
    question = (
        f"Replay {view.totals.rejects:,} refused rows of {view.run.id}?\n\n"
        f"They are read again from the source, and those that fit by {mapping} are written into the target. "
        "The others stay in the list."
    )
    app.push_screen(Confirm(question, "Replay them"), answered)


def no_use_of_replay(view: RunView) -> str | None:
    """Why a replay would do nothing; None when it may do something."""
    run, plan = view.run, view.run.plan
    if "verifies" in plan:
        return f"{run.id} is a verification: there is nothing to replay in it"
    if "replays" in plan:
        return f"{run.id} is a replay itself: choose run {plan['replays']}"
    if run.state is not RunState.COMPLETED:
        return f"{run.id} is {run.state}: its refused rows can be replayed once it is completed"
    return None if view.totals.rejects else f"{run.id}: no row is refused"
