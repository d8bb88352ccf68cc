"""What a worker reads and writes in one go."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from streamconsole.engines.queue import claiming, counts, finishing, rows
from streamconsole.engines.queue.claiming import NOTHING, Claimed
from streamconsole.engines.queue.finishing import Outcome
from streamconsole.engines.queue.states import JobState


def turn(
    connection: Connection, queue: str, node: str, worker: str, outcomes: Sequence[Outcome], want: int
) -> tuple[set[int], Claimed]:
    """Write how attempts ended and take the next jobs; gives the stale ones and what was taken."""
    stale = finishing.finish(connection, queue, outcomes, worker) if outcomes else set()
    return stale, claiming.claim(connection, queue, node, want) if want else NOTHING


def is_empty(connection: Connection, queue: str) -> bool:
    """Whether no job waits, is delayed, or is worked on."""
    jobs = counts.of(connection, queue)
    return not any(jobs[state] for state in (JobState.WAITING, JobState.PRIORITIZED, JobState.DELAYED, JobState.ACTIVE))


def has_ended(connection: Connection, number: int, epoch: int) -> bool:
    """Whether an attempt is no longer a job's own."""
    found = rows.of_numbers(connection, [number])
    return not found or found[0].epoch != epoch or found[0].state != JobState.ACTIVE
