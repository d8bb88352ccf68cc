"""The queue engine: queues, jobs, their events, logs and failures."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

BIG_KEY = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables."""
    _job_events()
    _job_failures()
    _job_logs()
    _jobs()
    _queue_counts()
    _queue_deduplication()
    _queue_groups()
    _queue_metrics()
    _queue_schedulers()
    _queues()


def _partial_index(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    op.create_index(name, table, columns, unique=unique, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def _job_events() -> None:
    op.create_table(
        "job_events",
        sa.Column("id", BIG_KEY, primary_key=True, autoincrement=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("queue", sa.String(200), nullable=False),
        sa.Column("job", sa.BigInteger),
        sa.Column("name", sa.String(20), nullable=False),
        sa.Column("data", sa.Text),
    )
    op.create_index("job_events_by_job", "job_events", ["job"])


def _job_failures() -> None:
    op.create_table(
        "job_failures",
        sa.Column("id", BIG_KEY, primary_key=True, autoincrement=True),
        sa.Column("job", sa.BigInteger, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("worker", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("trace", sa.Text),
    )
    op.create_index("job_failures_by_job", "job_failures", ["job"])


def _job_logs() -> None:
    op.create_table(
        "job_logs",
        sa.Column("id", BIG_KEY, primary_key=True, autoincrement=True),
        sa.Column("job", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("line", sa.Text, nullable=False),
    )
    op.create_index("job_logs_by_job", "job_logs", ["job", "id"])


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("seq", BIG_KEY, primary_key=True, autoincrement=True),
        sa.Column("queue", sa.String(200), nullable=False),
        sa.Column("custom_id", sa.String(200)),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("options", sa.Text),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("group_key", sa.String(200)),
        sa.Column("attempts_made", sa.Integer, nullable=False),
        sa.Column("stalled", sa.Integer, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("node", sa.String(32)),
        sa.Column("cancel", sa.Integer, nullable=False),
        sa.Column("progress", sa.Text),
        sa.Column("result", sa.Text),
        sa.Column("failure", sa.Text),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("started_at", sa.BigInteger),
        sa.Column("finished_at", sa.BigInteger),
        sqlite_autoincrement=True,
    )
    _partial_index("jobs_active", "jobs", ["node", "queue"], "state = 'active'")
    _partial_index(
        "jobs_active_in_groups", "jobs", ["queue", "group_key"], "group_key IS NOT NULL AND state = 'active'"
    )
    _partial_index("jobs_by_custom_id", "jobs", ["queue", "custom_id"], "custom_id IS NOT NULL", unique=True)
    _partial_index("jobs_delayed", "jobs", ["queue", "due_at"], "state = 'delayed'")
    _partial_index("jobs_finished", "jobs", ["queue", "state", "finished_at"], "state IN ('completed', 'failed')")
    _partial_index("jobs_ready", "jobs", ["queue", "priority", "position"], "state IN ('waiting', 'prioritized')")
    _partial_index(
        "jobs_ready_in_groups",
        "jobs",
        ["queue", "group_key", "priority", "position"],
        "group_key IS NOT NULL AND state IN ('waiting', 'prioritized')",
    )
    _partial_index("jobs_to_cancel", "jobs", ["node"], "cancel = 1 AND state = 'active'")


def _queue_counts() -> None:
    op.create_table(
        "queue_counts",
        sa.Column("queue", sa.String(200), primary_key=True),
        sa.Column("state", sa.String(16), primary_key=True),
        sa.Column("jobs", sa.BigInteger, nullable=False),
    )


def _queue_deduplication() -> None:
    op.create_table(
        "queue_deduplication",
        sa.Column("queue", sa.String(200), primary_key=True),
        sa.Column("id", sa.String(200), primary_key=True),
        sa.Column("job", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
    )
    op.create_index("queue_deduplication_by_job", "queue_deduplication", ["job"])


def _queue_groups() -> None:
    op.create_table(
        "queue_groups",
        sa.Column("queue", sa.String(200), primary_key=True),
        sa.Column("key", sa.String(200), primary_key=True),
        sa.Column("paused", sa.Integer, nullable=False),
        sa.Column("window_start", sa.BigInteger, nullable=False),
        sa.Column("window_used", sa.Integer, nullable=False),
    )


def _queue_metrics() -> None:
    op.create_table(
        "queue_metrics",
        sa.Column("queue", sa.String(200), primary_key=True),
        sa.Column("minute", sa.BigInteger, primary_key=True),
        sa.Column("completed", sa.Integer, nullable=False),
        sa.Column("failed", sa.Integer, nullable=False),
    )


def _queue_schedulers() -> None:
    op.create_table(
        "queue_schedulers",
        sa.Column("queue", sa.String(200), primary_key=True),
        sa.Column("id", sa.String(200), primary_key=True),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("next_at", sa.BigInteger),
        sa.Column("fired", sa.Integer, nullable=False),
        sa.Column("last_job", sa.BigInteger),
    )
    op.create_index("queue_schedulers_due", "queue_schedulers", ["queue", "next_at"])


def _queues() -> None:
    op.create_table(
        "queues",
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("paused", sa.Integer, nullable=False),
        sa.Column("settings", sa.Text, nullable=False),
        sa.Column("grouped", sa.Integer, nullable=False),
        sa.Column("group_cursor", sa.Text, nullable=False),
        sa.Column("window_start", sa.BigInteger, nullable=False),
        sa.Column("window_used", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
