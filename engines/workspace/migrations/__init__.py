"""Revisions of the workspace's schema, run by Alembic on open."""
