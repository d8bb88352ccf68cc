"""Verification of tables of PostgreSQL: values as the database keeps them, whatever they were written as."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.integration.running import house, write_lines
from tests.integration.test_verifying import HOSTILE, verified

pytestmark = pytest.mark.services

TYPED: list[dict[str, Any]] = [
    {
        "id": 1,
        "price": {"$numberDecimal": "12.50"},
        "at": {"$date": "2024-01-02T03:04:05.678Z"},
        "data": {"b": 1, "a": [2]},
        "uuid": "6BA7B810-9DAD-11D1-80B4-00C04FD430C8",
        "clock": "2024-01-02 03:04:05",
        "hour": "12:30:00.25",
    },
    {"id": 2, "price": {"$numberDecimal": "1"}, "at": {"$date": "1999-01-02T03:04:05Z"}, "data": {}},
]

TYPES = (
    "ALTER price TYPE numeric(12,4) USING price::numeric, ALTER at TYPE timestamptz USING at::timestamptz, "
    "ALTER data TYPE jsonb USING data::jsonb, ALTER uuid TYPE uuid USING uuid::uuid, "
    "ALTER clock TYPE timestamp USING clock::timestamp, ALTER hour TYPE time USING hour::time"
)


def change(url: str, statement: str) -> None:
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        connection.execute(statement)


@pytest.mark.parametrize(
    ("rows", "key", "before", "harmless", "harm"),
    [
        (HOSTILE, ("id",), None, None, "DELETE FROM t WHERE id = 3"),
        (HOSTILE, (), "CREATE TABLE t (id bigint)", None, "INSERT INTO t (id) VALUES (99)"),
        (TYPED, ("id",), None, f"ALTER TABLE t {TYPES}", "UPDATE t SET price = 12.51 WHERE id = 1"),
        (TYPED, ("at",), None, f"ALTER TABLE t {TYPES}", "UPDATE t SET data = '{\"b\": 1}' WHERE id = 1"),
        (TYPED, ("id",), None, f"ALTER TABLE t {TYPES}", "UPDATE t SET hour = '12:30:00.26' WHERE id = 1"),
        (TYPED, ("price",), None, f"ALTER TABLE t {TYPES}", "UPDATE t SET at = at + interval '1 ms' WHERE id = 1"),
        (TYPED, ("id", "uuid"), None, None, "UPDATE t SET clock = '' WHERE id = 1"),
    ],
)
async def test_what_the_database_keeps_is_compared(
    tmp_path: Path,
    postgresql_database: str,
    rows: list[dict[str, Any]],
    key: tuple[str, ...],
    before: str | None,
    harmless: str | None,
    harm: str,
) -> None:
    rows = [row for row in rows if all(row.get(name) is not None for name in key)]
    source = write_lines(tmp_path / "rows.ndjson", [json.dumps(row).encode() for row in rows])
    if before:
        change(postgresql_database, before)
    target = postgresql_database.replace("postgresql://", "postgresql+psycopg://") + "#t"
    async with house(tmp_path / "w.db") as home:
        run = await home.migrate(source, target, window_rows=3, writers=0, key=key)
        if harmless:
            change(postgresql_database, harmless)
        assert (await verified(home, run))[1:] == ([], 0)
        change(postgresql_database, harm)
        assert (await verified(home, run))[2] == 1
