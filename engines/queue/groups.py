"""Groups: jobs of one key in their order, so many at once, and every key in its turn."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, func, insert, select, text, update

from streamconsole.engines.queue.options import Limiter
from streamconsole.engines.queue.prepared import Prepared
from streamconsole.engines.queue.registry import QueueRow
from streamconsole.engines.workspace.queue_tables import READY, jobs, queue_groups, queues

_ACTIVE = Prepared(
    "SELECT count(*) FROM jobs WHERE queue = :queue AND group_key = :key AND group_key IS NOT NULL AND state = 'active'"
)
_NEXT_KEY = Prepared(
    f"SELECT min(group_key) FROM jobs WHERE queue = :queue AND group_key > :key AND group_key IS NOT NULL AND {READY}"
)
_HEADS = Prepared(
    "SELECT seq, priority, position FROM jobs WHERE queue = :queue AND group_key = :key AND group_key IS NOT NULL "
    f"AND {READY} ORDER BY priority, position LIMIT :want"
)
_ALONE = Prepared(
    "SELECT seq, priority, position FROM jobs WHERE queue = :queue AND group_key IS NULL "
    f"AND {READY} ORDER BY priority, position LIMIT :want"
)

VISITS = 1_000
"""Groups looked at in one claim, beside those that give jobs: a claim stays short among many full groups."""

Candidate = tuple[int, int, int, int]
"""Priority, round, position, number: in the order in which jobs are taken."""


def choose(connection: Connection, queue: QueueRow, want: int, now: int) -> tuple[list[int], int | None]:
    """Numbers of the jobs whose turn it is, and when a group's rate lets more start (None when none waits)."""
    found: list[Candidate] = [
        (priority, 0, position, seq) for seq, priority, position in _ALONE.one(connection, queue.name, want)
    ]
    waits: int | None = None
    served: dict[int, str] = {}
    key, visited, wrapped = queue.group_cursor, 0, False
    while visited < VISITS and len(served) < want:
        key_or_none = _NEXT_KEY.one(connection, queue.name, key).scalar()
        if key_or_none is None:
            if wrapped:
                break
            key, wrapped = "", True
            continue
        key = str(key_or_none)
        if wrapped and key > queue.group_cursor:
            break
        visited += 1
        allowed, until = _allowed(connection, queue, key, want, now)
        waits = min(filter(None, (waits, until)), default=None)
        if allowed:
            for round_, (seq, priority, position) in enumerate(_HEADS.one(connection, queue.name, key, allowed)):
                found.append((priority, round_, position, seq))
                served[seq] = key
    taken = [candidate[3] for candidate in sorted(found)[:want]]
    _served(connection, queue, [served[seq] for seq in taken if seq in served], now)
    return taken, waits


def _allowed(connection: Connection, queue: QueueRow, key: str, want: int, now: int) -> tuple[int, int | None]:
    """How many of a group may start now; when its rate lets more, if that is what holds it."""
    row = _row(connection, queue.name, key)
    if row is not None and row.paused:
        return 0, None
    active = _ACTIVE.one(connection, queue.name, key).scalar() or 0
    allowed = min(want, queue.settings.group_concurrency - active)
    limiter = queue.settings.group_limiter
    if limiter is None or row is None:
        return max(0, min(allowed, limiter.max if limiter else allowed)), None
    left, until = window_left(limiter, row.window_start, row.window_used, now)
    return max(0, min(allowed, left)), until if left < allowed else None


def window_left(limiter: Limiter, start: int, used: int, now: int) -> tuple[int, int]:
    """How many may start in the present window, and when it ends. A clock set back begins a new one."""
    if not start <= now < start + limiter.duration:
        return limiter.max, now + limiter.duration
    return max(0, limiter.max - used), start + limiter.duration


def window_after(limiter: Limiter, start: int, used: int, taken: int, now: int) -> tuple[int, int]:
    """Start and use of the window after so many have started."""
    if not start <= now < start + limiter.duration:
        return now, taken
    return start, used + taken


def set_paused(connection: Connection, queue: str, key: str, paused: bool) -> None:
    """Pause or resume a group."""
    row = _row(connection, queue, key)
    _save(connection, queue, key, row, {"paused": int(paused)})


def paused(connection: Connection, queue: str) -> list[str]:
    """Groups that are paused."""
    statement = select(queue_groups.c.key).where(queue_groups.c.queue == queue, queue_groups.c.paused == 1)
    return list(connection.execute(statement.order_by(queue_groups.c.key)).scalars())


def waiting(connection: Connection, queue: str, limit: int = 100) -> list[tuple[str, int]]:
    """Groups with jobs that wait, and how many."""
    statement: Select[Any] = (
        select(jobs.c.group_key, func.count())
        .where(jobs.c.queue == queue, jobs.c.group_key.is_not(None), text(READY))
        .group_by(jobs.c.group_key)
        .order_by(func.count().desc(), jobs.c.group_key)
        .limit(limit)
    )
    return [(row[0], row[1]) for row in connection.execute(statement)]


def _served(connection: Connection, queue: QueueRow, keys: list[str], now: int) -> None:
    if not keys:
        return
    connection.execute(update(queues).where(queues.c.name == queue.name).values(group_cursor=keys[-1]))
    limiter = queue.settings.group_limiter
    if limiter is None:
        return
    for key in set(keys):
        row = _row(connection, queue.name, key)
        began, so_far = (row.window_start, row.window_used) if row else (0, 0)
        start, used = window_after(limiter, began, so_far, keys.count(key), now)
        _save(connection, queue.name, key, row, {"window_start": start, "window_used": used})


def _row(connection: Connection, queue: str, key: str) -> Any:
    return connection.execute(
        select(queue_groups).where(queue_groups.c.queue == queue, queue_groups.c.key == key)
    ).first()


def _save(connection: Connection, queue: str, key: str, row: Any, values: dict[str, int]) -> None:
    if row is None:
        fresh = {"queue": queue, "key": key, "paused": 0, "window_start": 0, "window_used": 0}
        connection.execute(insert(queue_groups).values(**fresh | values))
    else:
        connection.execute(
            update(queue_groups).where(queue_groups.c.queue == queue, queue_groups.c.key == key).values(**values)
        )
