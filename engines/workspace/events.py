"""The event log: every state transition, written in the transaction that caused it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, delete, func, insert, select

from streamconsole.engines.bus import Event
from streamconsole.engines.workspace.tables import events

KEEP_EVENTS = 200_000
"""Rows kept by default; older ones are trimmed."""


def append(connection: Connection, happened: Sequence[Event]) -> None:
    """Write events to the log."""
    if happened:
        connection.execute(
            insert(events),
            [
                {
                    "at": int(event.at * 1000),
                    "engine": event.engine,
                    "run": event.run,
                    "name": event.name,
                    "unit": event.unit,
                    "data": orjson.dumps(event.data()).decode(),
                }
                for event in happened
            ],
        )


def of_run(connection: Connection, run: str, limit: int = 1000) -> list[dict[str, Any]]:
    """The last events of a run, oldest first."""
    rows = connection.execute(select(events).where(events.c.run == run).order_by(events.c.id.desc()).limit(limit)).all()
    return [{**row._mapping, "data": orjson.loads(row.data)} for row in reversed(rows)]


def trim(connection: Connection, keep: int = KEEP_EVENTS) -> int:
    """Remove all but the newest `keep` events; gives how many went.

    At most 5,000 go at once: a transaction on a shared file stays short.
    """
    newest = connection.execute(select(func.max(events.c.id))).scalar() or 0
    oldest = connection.execute(select(func.min(events.c.id))).scalar() or 0
    until = min(newest - keep, oldest + 5_000)
    if until < oldest:
        return 0
    return connection.execute(delete(events).where(events.c.id <= until)).rowcount
