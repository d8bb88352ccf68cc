"""Reading queues for the screens, in a thread: counts that are kept, never counted ones."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, func, select, text

from streamconsole.engines.queue import counts
from streamconsole.engines.queue.counts import Minute
from streamconsole.engines.queue.options import DEFAULT_SETTINGS, QueueSettings
from streamconsole.engines.queue.states import FINISHED_JOBS, JobState
from streamconsole.engines.workspace import nodes
from streamconsole.engines.workspace.clock import now_ms
from streamconsole.engines.workspace.queue_tables import jobs, queue_metrics, queues

MINUTES = 60
"""Minutes of which is shown what was done."""

MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class AtWork:
    """A process that has jobs of a queue in hand.

    Args:
        name: of the process, for operators.
        active: jobs in hand.
        here: it is this one.
        alive: it lives; else its jobs are about to be given to others.
    """

    name: str
    active: int
    here: bool
    alive: bool


@dataclass(frozen=True, slots=True)
class QueueView:
    """A queue as it was read.

    Args:
        counts: jobs by state.
        minutes: what it did lately, in each minute in which it did something.
        at_work: who has jobs of it in hand.
        settings: how it is treated.
    """

    name: str
    paused: bool
    counts: dict[JobState, int]
    minutes: tuple[Minute, ...]
    at_work: tuple[AtWork, ...]
    settings: QueueSettings

    @property
    def ready(self) -> int:
        """Jobs that wait for a worker."""
        return self.counts[JobState.WAITING] + self.counts[JobState.PRIORITIZED]

    @property
    def left(self) -> int:
        """Jobs that have not finished."""
        return sum(count for state, count in self.counts.items() if state not in FINISHED_JOBS)

    @property
    def word(self) -> str:
        """What it does, in one word."""
        if self.paused:
            return "paused"
        if self.counts[JobState.ACTIVE]:
            return "running"
        return "waiting" if self.left else "idle"

    def per_minute(self, now: int) -> tuple[float, float]:
        """Jobs completed and failed in the last minute, of which it is known by the minute only.

        Args:
            now: milliseconds since the epoch.
        """
        this = now - now % MINUTE_MS
        part = (now - this) / MINUTE_MS
        shares = {this: 1.0, this - MINUTE_MS: 1.0 - part}
        done = sum(shares.get(minute.at, 0.0) * minute.completed for minute in self.minutes)
        return done, sum(shares.get(minute.at, 0.0) * minute.failed for minute in self.minutes)

    def history(self, now: int, minutes: int) -> list[Minute]:
        """What it did in each of the last minutes, oldest first, idle ones too."""
        known = {minute.at: minute for minute in self.minutes}
        this = now - now % MINUTE_MS
        return [known.get(at, Minute(at, 0, 0)) for at in range(this - (minutes - 1) * MINUTE_MS, this + 1, MINUTE_MS)]


def load(connection: Connection, locks: Path) -> dict[str, QueueView]:
    """All queues, by name.

    Args:
        connection: to read from.
        locks: folder of the files that tell who lives.
    """
    by_state = counts.of_all(connection)
    minutes = _minutes(connection, now_ms() - MINUTES * MINUTE_MS)
    at_work = _at_work(connection, locks)
    found = connection.execute(select(queues.c.name, queues.c.paused, queues.c.settings).order_by(queues.c.name))
    return {
        name: QueueView(
            name,
            bool(paused),
            by_state.get(name) or dict.fromkeys(JobState, 0),
            tuple(minutes.get(name, ())),
            tuple(at_work.get(name, ())),
            DEFAULT_SETTINGS if settings == "{}" else QueueSettings.model_validate_json(settings),
        )
        for name, paused, settings in found
    }


def _minutes(connection: Connection, since: int) -> dict[str, list[Minute]]:
    found: dict[str, list[Minute]] = {}
    columns = (queue_metrics.c.queue, queue_metrics.c.minute, queue_metrics.c.completed, queue_metrics.c.failed)
    # Queue by queue, as the key stands: all minutes of two weeks are not read for those of the last hour.
    names = select(queues.c.name).scalar_subquery()
    statement = select(*columns).where(queue_metrics.c.queue.in_(names), queue_metrics.c.minute >= since)
    for queue, *minute in connection.execute(statement.order_by(queue_metrics.c.queue, queue_metrics.c.minute)):
        found.setdefault(queue, []).append(Minute(*minute))
    return found


def _at_work(connection: Connection, locks: Path) -> dict[str, list[AtWork]]:
    found: dict[str, list[AtWork]] = {}
    active = select(jobs.c.node, jobs.c.queue, func.count()).where(text("state = 'active'"))
    for node, queue, count in connection.execute(active.group_by(jobs.c.node, jobs.c.queue)):
        found.setdefault(queue, []).append(_process(connection, node, count, locks))
    return found


def _process(connection: Connection, node_id: str | None, active: int, locks: Path) -> AtWork:
    node = nodes.get(connection, node_id) if node_id else None
    if node is None:
        return AtWork("a process that is gone", active, False, False)
    here = (node.host, node.pid, node.boot) == (socket.gethostname(), os.getpid(), nodes.boot_id())
    return AtWork(str(node), active, here, here or nodes.is_alive(node, locks))
