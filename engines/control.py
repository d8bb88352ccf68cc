"""The control protocol: the same few verbs for every engine, addressed and recorded.

A verb is a command in the workspace: whoever sends it (a key, `streamconsole runs pause RUN` in
another terminal, later another host) writes the same row, the run's owner obeys it, and the
outcome is kept beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from streamconsole.engines.states import EngineKind, RunState
from streamconsole.engines.workspace.runs import Run


class Verb(StrEnum):
    """What an operator can do to a run, or to one unit of it."""

    PAUSE = "pause"
    RESUME = "resume"
    RETRY = "retry"
    CANCEL = "cancel"
    STOP = "stop"
    WORKERS = "workers"
    RATE = "rate"


@dataclass(frozen=True, slots=True)
class Command:
    """A verb with its address.

    Args:
        run: id of the run.
        verb: what to do.
        unit: the unit it is for; None for the whole run.
        args: what the verb needs (`{"count": 3}` or `{"by": -1}` for workers, `{"rate": "20 MiB/s"}` for the rate).
    """

    run: str
    verb: Verb
    unit: str | None = None
    args: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a command, in the operator's words."""

    done: bool
    text: str


@dataclass(frozen=True, slots=True)
class Leftover:
    """What a drain left undone: units that are pending again or never began."""

    run: str
    finished: bool
    left: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run as its engine sees it now.

    Args:
        state: the run's state.
        workers: units in hand at once, at most.
        active: units in hand.
    """

    run: str
    state: RunState
    workers: int
    active: int


class Engine(Protocol):
    """What every engine can be asked.

    `kind` says which of the four it is.
    """

    kind: EngineKind

    async def start(self, run: Run, *, retry_failed: bool) -> RunState:
        """Work on a claimed run until it ends, is drained, or loses a side; gives its state then.

        Raises:
            Refused: it cannot begin; nothing was written.
            SideLost: a side is gone.
            StaleEpoch: another process has taken it over.
        """
        ...

    async def obey(self, command: Command) -> Outcome:
        """Do what a command says to a run that is being worked on."""
        ...

    async def drain(self, run: str, within: float) -> Leftover:
        """Take no more work, finish what is active within so many seconds, hand the rest back."""
        ...

    def snapshot(self, run: str) -> Snapshot | None:
        """The run as it is now; None when it is not being worked on."""
        ...
