"""Windows of sources whose rows are found by their keys: where they begin and end."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column."""
    op.add_column("windows", sa.Column("bounds", sa.Text))
