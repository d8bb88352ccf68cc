"""Sending commands from a screen, and what the operator is told about them."""

from __future__ import annotations

from typing import Any, Protocol

from streamconsole.engines.control import Command, Verb
from streamconsole.engines.rate import canonical
from streamconsole.engines.states import EngineKind, RunState
from streamconsole.screens.model import Model
from streamconsole.screens.views import RunView
from streamconsole.screens.widgets.key_line import Keys


class Desk(Protocol):
    """What a screen asks of the application it stands in."""

    model: Model
    read_only: bool

    @property
    def told(self) -> tuple[str, bool]:
        """The last line for the operator, and whether it was bad news."""
        ...

    async def action_open_run(self, run_id: str) -> None:
        """Show a run in full."""
        ...

    def send(self, command: Command) -> None:
        """Send a command; its outcome appears in the status line."""
        ...

    def verify(self, run_id: str) -> None:
        """Verify a run, or go on with its verification, and show it."""
        ...

    def replay(self, run_id: str) -> None:
        """Replay a run's refused rows; how it ends appears in the status line."""
        ...

    def tell(self, text: str, *, bad: bool = False) -> None:
        """Show a line to the operator."""
        ...


def command_for(view: RunView, verb: Verb, unit: str | None = None, **args: Any) -> Command:
    """A command to a run."""
    return Command(view.run.id, verb, unit, args)


RATE_HINT = "5000 rows/s, 20 MB/s, or none"


def wrong_rate(text: str) -> str | None:
    """Why a text is no limit; None when it is one."""
    try:
        canonical(text)
    except ValueError as error:
        return f"It {error}"
    return None


def pause_or_resume(*, running: bool) -> Verb:
    """What the one key for both does to a run that is running now, or is not."""
    return Verb.PAUSE if running else Verb.RESUME


def keys_for(view: RunView | None, planned: int) -> Keys:
    """The keys that matter for a run now, the most important first.

    Args:
        view: the run that is chosen.
        planned: how many runs wait to be started.
    """
    if view is not None:
        if view.run.state is RunState.PLANNED:
            yield from () if view.waiting else (("r", "Start"),)
        elif not view.finished:
            yield "p", "Pause" if view.running else "Resume"
        if view.totals.failed:
            yield "a", "Retry failed"
    if planned > 1 or (planned and (view is None or view.run.state is not RunState.PLANNED)):
        yield "s", f"Start {planned} planned"


def no_use(view: RunView, verb: Verb) -> str | None:
    """Why a verb would do nothing; None when it may do something. Spares a question, never an answer."""
    if verb is Verb.CANCEL and view.finished:
        return f"{view.run.id} is {view.run.state}: there is nothing to cancel"
    # What a transfer comes to is read once a second: a file may have failed since.
    counted = view.run.engine is EngineKind.MIGRATION
    if verb is Verb.RETRY and counted and not view.totals.failed and not view.running:
        return f"{view.run.id}: nothing has failed"
    if verb is Verb.RESUME and view.waiting:
        return f"{view.run.id} {view.waits}: it begins by itself then"
    if verb is Verb.RESUME and view.finished:
        again = ": a does again what has failed" if view.totals.failed else ""
        return f"{view.run.id} is {view.run.state}{again or ': there is nothing to resume'}"
    if verb in (Verb.WORKERS, Verb.RATE) and view.finished:
        return f"{view.run.id} is {view.run.state}: there is nothing left to turn"
    return None
