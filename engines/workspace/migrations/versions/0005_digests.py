"""Digests of verified windows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "digests",
        sa.Column("run", sa.String(80), primary_key=True),
        sa.Column("window", sa.Integer, primary_key=True),
        sa.Column("source_rows", sa.BigInteger, nullable=False),
        sa.Column("source", sa.String(32), nullable=False),
        sa.Column("target_rows", sa.BigInteger, nullable=False),
        sa.Column("target", sa.String(32), nullable=False),
    )
