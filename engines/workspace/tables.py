"""The tables of the workspace (schema made and upgraded by `migrations/`).

Times are integer milliseconds since the epoch; lists and objects are JSON text.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text

from streamconsole.engines.workspace import queue_tables, transfer_tables
from streamconsole.engines.workspace.metadata import metadata

HEAD = "0007"
"""Revision that this program writes; a workspace at a later one is refused."""

__all__ = [
    "HEAD",
    "commands",
    "digests",
    "events",
    "failures",
    "metadata",
    "nodes",
    "queue_tables",
    "rejects",
    "runs",
    "transfer_tables",
    "windows",
]

nodes = Table(
    "nodes",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("host", String(255), nullable=False),
    Column("boot", String(64), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("lease_until", BigInteger, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("id", String(80), primary_key=True),
    Column("engine", String(16), nullable=False),
    Column("name", String(200), nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", Text),
    Column("spec", Text, nullable=False),
    Column("plan", Text, nullable=False),
    Column("owner", String(32)),
    Column("epoch", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),
    Column("finished_at", BigInteger),
    Column("tuning", Text),
    Index("runs_by_state", "state"),
    Index("runs_by_time", "created_at"),
)

windows = Table(
    "windows",
    metadata,
    Column("run", String(80), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("lo", BigInteger, nullable=False),
    Column("hi", BigInteger, nullable=False),
    Column("first_row", BigInteger, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("bounds", Text),
    Column("state", String(16), nullable=False),
    Column("worker", Integer),
    Column("attempt", Integer, nullable=False),
    Column("rows_read", Integer, nullable=False),
    Column("rows_written", Integer, nullable=False),
    Column("rejects", Integer, nullable=False),
    Column("error", Text),
    Column("started_at", BigInteger),
    Column("finished_at", BigInteger),
    Column("replayed", Text),
    Index("windows_by_state", "run", "state"),
)

failures = Table(
    "failures",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("run", String(80), nullable=False),
    Column("window", Integer, nullable=False),
    Column("lo", BigInteger, nullable=False),
    Column("hi", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("worker", Integer, nullable=False),
    Column("message", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index("failures_by_window", "run", "window"),
)

rejects = Table(
    "rejects",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("run", String(80), nullable=False),
    Column("window", Integer, nullable=False),
    Column("line", BigInteger, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("column", Text),
    Column("reason", Text, nullable=False),
    Column("row", Text, nullable=False),
    Index("rejects_by_window", "run", "window"),
)

digests = Table(
    "digests",
    metadata,
    Column("run", String(80), primary_key=True),
    Column("window", Integer, primary_key=True),
    Column("source_rows", BigInteger, nullable=False),
    Column("source", String(32), nullable=False),
    Column("target_rows", BigInteger, nullable=False),
    Column("target", String(32), nullable=False),
)

commands = Table(
    "commands",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("run", String(80), nullable=False),
    Column("unit", String(80)),
    Column("verb", String(16), nullable=False),
    Column("args", Text, nullable=False),
    Column("sent_by", Text, nullable=False),
    Column("sent_at", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("outcome", Text),
    Column("done_at", BigInteger),
    Index("commands_by_state", "state", "run"),
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("engine", String(16), nullable=False),
    Column("run", String(80), nullable=False),
    Column("name", String(40), nullable=False),
    Column("unit", String(80)),
    Column("data", Text, nullable=False),
    Index("events_by_run", "run", "id"),
)
