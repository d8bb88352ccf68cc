"""Looking whether somebody wants an active job to stop."""

from __future__ import annotations

from sqlalchemy import Connection

from streamconsole.engines.queue.prepared import Prepared

_CANCELLED = Prepared("SELECT seq FROM jobs WHERE node = :node AND cancel = 1 AND state = 'active'")


def cancelled_of(connection: Connection, node: str) -> list[int]:
    """Numbers of a node's active jobs that are to be cancelled."""
    return [row[0] for row in _CANCELLED.one(connection, node)]
