"""Alembic's entry: runs the revisions on the connection the workspace hands over."""

from __future__ import annotations

from alembic import context

from streamconsole.engines.workspace.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
# The transaction is the caller's (BEGIN IMMEDIATE): two programs opening at once upgrade once.
context.run_migrations()
