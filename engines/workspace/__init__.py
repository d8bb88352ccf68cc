"""The durable state: tables, schema revisions, the writer, and repository functions over a connection."""

from streamconsole.engines.workspace.workspace import Workspace

__all__ = ["Workspace"]
