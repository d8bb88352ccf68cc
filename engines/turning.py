"""What a command makes of the workers or the rate of a run, whoever works on it."""

from __future__ import annotations

from typing import Any

from streamconsole.engines.control import Command, Verb
from streamconsole.engines.rate import Rate, Unit, canonical, told
from streamconsole.engines.workspace.runs import Run

MOST_WORKERS = 256


class NotTurned(ValueError):
    """What a command asks for cannot be."""


def turn(command: Command, workers: int) -> dict[str, Any]:
    """What is to be kept with a run from now on: its `workers` (`count`, or `by` so many more), or its `rate`.

    Args:
        command: with `count`, `by` or `rate` among its arguments.
        workers: as many as it has now.

    Raises:
        NotTurned: it cannot be.
    """
    if command.verb is Verb.RATE:
        try:
            return {"rate": canonical(command.args.get("rate", ""))}
        except ValueError as error:
            raise NotTurned(f"the limit {error}") from None
    by = command.args.get("by")
    if type(by) is int:
        return {"workers": max(1, min(MOST_WORKERS, workers + by))}
    count = command.args.get("count")
    if type(count) is not int or not 1 <= count <= MOST_WORKERS:
        raise NotTurned(f"workers must be 1 to {MOST_WORKERS}")
    return {"workers": count}


def workers_of(run: Run) -> int:
    """Units that a run has in hand at once: as it was turned last, or as was asked for."""
    spec = run.spec
    return int(run.tuning.get("workers") or max(spec.get("workers") or 1, spec.get("writers") or 1))


def rate_of(run: Run) -> str | None:
    """The limit to how fast a run goes; None for none."""
    bandwidth = run.spec.get("bandwidth")
    asked = str(Rate(bandwidth, Unit.BYTES)) if bandwidth else run.spec.get("rate")
    rate: str | None = run.tuning.get("rate", asked)
    return rate


def look_ahead_of(run: Run) -> int:
    """Chunks that a transfer fetches before they are needed."""
    return int(run.tuning.get("look_ahead") or run.spec.get("look_ahead") or 1)


def told_turn(said: dict[str, Any]) -> str:
    """What is kept from now on, for people."""
    if "workers" in said:
        return f"{said['workers']} worker{'s' if said['workers'] > 1 else ''}"
    return f"limit {told(said['rate'])}" if said["rate"] else "no limit"
