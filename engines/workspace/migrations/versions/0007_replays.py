"""Lines of a replayed window that left the list of refused rows; there once they have."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the column."""
    op.add_column("windows", sa.Column("replayed", sa.Text))
