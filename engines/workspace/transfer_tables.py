"""The tables of the transfer engine: files, and chunks that have come to an end."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, String, Table, Text

from streamconsole.engines.workspace.metadata import metadata

files = Table(
    "transfer_files",
    metadata,
    Column("run", String(80), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("path", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("digest", String(64)),
    Column("hashed", BigInteger, nullable=False),
    Column("hash_state", Text),
    Column("packed", BigInteger, nullable=False),
    Column("error", Text),
)

chunks = Table(
    "transfer_chunks",
    metadata,
    Column("run", String(80), primary_key=True),
    Column("file", Integer, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("lo", BigInteger, nullable=False),
    Column("size", Integer, nullable=False),
    Column("stored", Integer, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("error", Text),
)
