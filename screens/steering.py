"""Sending commands from a screen, and what the operator is told about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from streamconsole.engines.control import Command, Verb
from streamconsole.engines.states import RunState
from streamconsole.screens.model import Model, RunView


class Desk(Protocol):
    """What a screen asks of the application it stands in."""

    model: Model
    read_only: bool

    def send(self, command: Command) -> None:
        """Send a command; its outcome appears in the status line."""
        ...

    def tell(self, text: str, *, bad: bool = False) -> None:
        """Show a line to the operator."""
        ...


def command_for(view: RunView, verb: Verb, unit: str | None = None, **args: Any) -> Command:
    """A command to a run."""
    return Command(view.run.id, verb, unit, args)


def pause_or_resume(view: RunView) -> Verb:
    """What the one key for both does now."""
    running = view.run.state is RunState.RUNNING and not view.interrupted
    return Verb.PAUSE if running else Verb.RESUME


def worker_count(view: RunView, by: int) -> Mapping[str, int]:
    """Arguments that change the number of workers."""
    return {"count": max(1, view.workers + by)}
