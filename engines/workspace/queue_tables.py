"""The tables of the queue engine.

A job's `seq` is its id unless it was given one (`custom_id`). What is read often is found by partial
indexes, which a job enters and leaves with its state: a million completed jobs cost a claim nothing. (On
PostgreSQL they are partial, too, by the revision that makes them: to say so here would load its dialect.)
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text, text

from streamconsole.engines.workspace.metadata import metadata

# Only a column that is exactly INTEGER names SQLite's own row number.
_big_key = BigInteger().with_variant(Integer, "sqlite")

READY = "state IN ('waiting', 'prioritized')"
FINISHED = "state IN ('completed', 'failed')"

queues = Table(
    "queues",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("paused", Integer, nullable=False),
    Column("settings", Text, nullable=False),
    Column("grouped", Integer, nullable=False),
    Column("group_cursor", Text, nullable=False),
    Column("window_start", BigInteger, nullable=False),
    Column("window_used", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

queue_counts = Table(
    "queue_counts",
    metadata,
    Column("queue", String(200), primary_key=True),
    Column("state", String(16), primary_key=True),
    Column("jobs", BigInteger, nullable=False),
)

queue_metrics = Table(
    "queue_metrics",
    metadata,
    Column("queue", String(200), primary_key=True),
    Column("minute", BigInteger, primary_key=True),
    Column("completed", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
)

queue_groups = Table(
    "queue_groups",
    metadata,
    Column("queue", String(200), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("paused", Integer, nullable=False),
    Column("window_start", BigInteger, nullable=False),
    Column("window_used", Integer, nullable=False),
)

queue_schedulers = Table(
    "queue_schedulers",
    metadata,
    Column("queue", String(200), primary_key=True),
    Column("id", String(200), primary_key=True),
    Column("spec", Text, nullable=False),
    Column("next_at", BigInteger),
    Column("fired", Integer, nullable=False),
    Column("last_job", BigInteger),
    Index("queue_schedulers_due", "queue", "next_at"),
)

queue_deduplication = Table(
    "queue_deduplication",
    metadata,
    Column("queue", String(200), primary_key=True),
    Column("id", String(200), primary_key=True),
    Column("job", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Index("queue_deduplication_by_job", "job"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("seq", _big_key, primary_key=True, autoincrement=True),
    Column("queue", String(200), nullable=False),
    Column("custom_id", String(200)),
    Column("name", String(200), nullable=False),
    Column("payload", Text, nullable=False),
    Column("options", Text),
    Column("state", String(16), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("due_at", BigInteger),
    Column("group_key", String(200)),
    Column("attempts_made", Integer, nullable=False),
    Column("stalled", Integer, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("node", String(32)),
    Column("cancel", Integer, nullable=False),
    Column("progress", Text),
    Column("result", Text),
    Column("failure", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),
    Column("finished_at", BigInteger),
    Index("jobs_ready", "queue", "priority", "position", sqlite_where=text(READY)),
    Index(
        "jobs_ready_in_groups",
        "queue",
        "group_key",
        "priority",
        "position",
        sqlite_where=text(f"group_key IS NOT NULL AND {READY}"),
    ),
    Index(
        "jobs_delayed",
        "queue",
        "due_at",
        sqlite_where=text("state = 'delayed'"),
    ),
    Index(
        "jobs_active",
        "node",
        "queue",
        sqlite_where=text("state = 'active'"),
    ),
    Index(
        "jobs_active_in_groups",
        "queue",
        "group_key",
        sqlite_where=text("group_key IS NOT NULL AND state = 'active'"),
    ),
    Index(
        "jobs_to_cancel",
        "node",
        sqlite_where=text("cancel = 1 AND state = 'active'"),
    ),
    Index(
        "jobs_finished",
        "queue",
        "state",
        "finished_at",
        sqlite_where=text(FINISHED),
    ),
    Index(
        "jobs_by_custom_id",
        "queue",
        "custom_id",
        unique=True,
        sqlite_where=text("custom_id IS NOT NULL"),
    ),
    sqlite_autoincrement=True,
)

job_failures = Table(
    "job_failures",
    metadata,
    Column("id", _big_key, primary_key=True, autoincrement=True),
    Column("job", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("worker", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("trace", Text),
    Index("job_failures_by_job", "job"),
)

job_logs = Table(
    "job_logs",
    metadata,
    Column("id", _big_key, primary_key=True, autoincrement=True),
    Column("job", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("line", Text, nullable=False),
    Index("job_logs_by_job", "job", "id"),
)

job_events = Table(
    "job_events",
    metadata,
    Column("id", _big_key, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("queue", String(200), nullable=False),
    Column("job", BigInteger),
    Column("name", String(20), nullable=False),
    Column("data", Text),
    Index("job_events_by_job", "job"),
)
