"""Where the workspace's tables are gathered, whichever engine they belong to."""

from __future__ import annotations

from sqlalchemy import MetaData

metadata = MetaData()
