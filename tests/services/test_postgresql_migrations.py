"""Migrations into and out of PostgreSQL: every value, every mode, what the server refuses."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row, tuple_row

from streamconsole.engines.errors import Refused, StaleEpoch
from streamconsole.engines.migration.columns import ColumnType
from streamconsole.engines.migration.locations import source_of, target_of
from streamconsole.engines.migration.settings import MigrationSettings
from streamconsole.engines.states import RunState, WindowState
from tests.crash.inputs import write_hostile
from tests.integration.conftest import here
from tests.integration.running import DATA, House, inject, rows_of, write_lines
from tests.integration.test_real_files import expected, plain
from tests.integration.test_verifying import verified

pytestmark = pytest.mark.services

__all__ = ["here"]

MADE = "generate://users?count=1500&seed=3"


@pytest.fixture
def url(postgresql_database: str) -> str:
    return postgresql_database


@pytest.fixture
def server(url: str) -> Iterator[psycopg.Connection[Any]]:
    with closing(psycopg.connect(url, autocommit=True, row_factory=dict_row)) as connection:
        yield connection


def ask(server: psycopg.Connection[Any], statement: str) -> list[Any]:
    return server.cursor(row_factory=tuple_row).execute(statement.encode()).fetchall()


def kinds(server: psycopg.Connection[Any], table: str = "t") -> dict[str, str]:
    found = ask(server, f"SELECT column_name, data_type FROM information_schema.columns WHERE table_name = '{table}'")
    return dict(found)


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


# Real files ---------------------------------------------------------------------------------------


async def test_customers(here: House, url: str, server: psycopg.Connection[Any]) -> None:
    run = await here.migrate(DATA / "customers.json", f"{url}#public.customers", workers=4, window_rows=50)
    records = await here.windows(run)
    assert {record.worker for record in records} == {1, 2, 3, 4}
    rows = server.execute('SELECT * FROM customers ORDER BY _id COLLATE "C"').fetchall()
    wanted = expected("customers.json")
    assert len(rows) == len(wanted) == 500
    for row, want in zip(rows, wanted, strict=True):
        assert row["_id"] == str(want["_id"])
        assert [row[name] for name in ("username", "address", "birthdate")] == [
            want[name] for name in ("username", "address", "birthdate")
        ]
        assert row["accounts"] == plain(want["accounts"])
        assert row["tier_and_details"] == plain(want["tier_and_details"])
        assert row["active"] == want.get("active")
    assert kinds(server, "customers")["birthdate"] == "timestamp with time zone"
    assert kinds(server, "customers")["tier_and_details"] == "jsonb"


async def test_accounts_in_children(here: House, url: str, server: psycopg.Connection[Any]) -> None:
    run = await here.migrate(DATA / "accounts.json", f"{url}#accounts", workers=4, window_rows=100, writers=2)
    assert (await here.totals(run)).rows_written == 1746
    rows = server.execute('SELECT * FROM accounts ORDER BY _id COLLATE "C"').fetchall()
    for row, want in zip(rows, expected("accounts.json"), strict=True):
        assert (row["_id"], row["account_id"], row["limit"]) == (str(want["_id"]), want["account_id"], want["limit"])
        assert row["products"] == want["products"]


# Round trips --------------------------------------------------------------------------------------


@pytest.mark.parametrize("writers", [0, 2])
async def test_made_rows_through_it_and_back(here: House, url: str, tmp_path: Path, writers: int) -> None:
    await here.migrate(MADE, f"{url}#t", window_rows=200, writers=writers)
    await here.migrate(f"{url}#t", f"{url}#public.copy", window_rows=300, writers=writers)
    await here.migrate(f"{url}#copy", tmp_path / "back.ndjson", window_rows=400, writers=writers)
    await here.migrate(MADE, tmp_path / "first.ndjson")
    assert lines_of(tmp_path / "back.ndjson") == lines_of(tmp_path / "first.ndjson")


async def test_made_rows_from_sqlite_and_back(here: House, url: str, tmp_path: Path) -> None:
    await here.migrate(MADE, f"sqlite:///{tmp_path / 'in.db'}#t")
    await here.migrate(f"sqlite:///{tmp_path / 'in.db'}#t", f"{url}#t", window_rows=300)
    await here.migrate(f"{url}#t", f"sqlite:///{tmp_path / 'out.db'}#t", window_rows=400)
    wanted, found = rows_of(tmp_path / "in.db", order="id"), rows_of(tmp_path / "out.db", order="id")
    for row in (*wanted, *found):
        # The order of keys is nobody's.
        row["address"] = json.loads(row["address"]) if row["address"] else None
    assert found == wanted


async def test_hostile_rows_are_those_that_sqlite_has(
    here: House, url: str, server: psycopg.Connection[Any], tmp_path: Path
) -> None:
    """Late columns, wider types, odd text and refused rows: what differs is what PostgreSQL has no place for."""
    source = write_hostile(tmp_path / "in.ndjson", 20, 60)
    mine = await here.create(source, f"{url}#t", window_rows=20, workers=4)
    await here.work(mine)
    other = await here.create(source, f"sqlite:///{tmp_path / 'own.db'}#t", window_rows=20, workers=4)
    await here.work(other)
    refused = {each["line"]: each["reason"] for each in await here.rejects(mine)}
    common = {each["line"]: each["reason"] for each in await here.rejects(other)}
    without = {line: reason for line, reason in refused.items() if line not in common}
    assert without
    assert all("NUL" in reason for reason in without.values()), without
    # SQLite has no NaN; and where the first of two rows with a key is refused, the second one is not.
    other_way = {reason for line, reason in common.items() if line not in refused}
    second = {reason.removeprefix("duplicate key ") for reason in other_way}
    assert {reason for reason in other_way if "duplicate" not in reason} <= {"NaN has no place in a database column"}
    wanted = {row["_id"]: row for row in rows_of(tmp_path / "own.db")}
    found = {row["_id"]: row for row in server.execute("SELECT * FROM t").fetchall()}
    assert kinds(server)["widens to decimal"] == "numeric"
    for key in (found.keys() & wanted.keys()) - second:
        row, want = found[key], wanted[key]
        assert row["nested"] == json.loads(want["nested"])
        assert row["widens to decimal"] is None or row["widens to decimal"] == Decimal(want["widens to decimal"])
        assert row["widens to float"] == want["widens to float"]
        for name in ("Ünïcode 🙂", "late text", "flag"):
            assert row[name] == want[name], name
    assert len(found.keys() & wanted.keys()) > 900


async def test_odd_values_come_back(here: House, url: str, server: psycopg.Connection[Any], tmp_path: Path) -> None:
    rows = [
        {
            "id": 1,
            "t": "a\tb\nc\\d\\N\r'\"",
            "f": 0.1,
            "d": {"$numberDecimal": "1.50"},
            "j": {"a": [1, None, "\\u0000"]},
        },
        {
            "id": 2,
            "t": "\\N",
            "f": 5e-324,
            "d": {"$numberDecimal": "1E+30"},
            "j": [],
            "b": {"$binary": {"base64": "AP8=", "subType": "00"}},
        },
        {
            "id": 3,
            "t": "",
            "f": 1e300,
            "d": {"$numberDecimal": "-0.000001"},
            "j": {"": 2**63, "x": 12345678901234567890123},
        },
        {"id": 4, "t": None, "f": {"$numberDouble": "NaN"}, "d": None, "j": None, "b": None},
        {"id": 5, "t": "🙂", "f": {"$numberDouble": "-Infinity"}, "m": {"$date": "1969-12-31T23:59:59.999Z"}},
        {"id": -(2**63), "m": {"$date": "9999-12-31T23:59:59.999999Z"}, "t": "x" * 100_000},
        {"id": 2**63 - 1, "m": {"$date": "0001-01-01T00:00:00Z"}, "big": 2**53},
    ]
    source = write_lines(tmp_path / "in.ndjson", [json.dumps(row).encode() for row in rows])
    run = await here.migrate(source, f"{url}#t")
    assert await here.rejects(run) == []
    assert kinds(server) == {
        "id": "bigint", "t": "text", "f": "double precision", "d": "numeric", "j": "jsonb", "b": "bytea",
        "m": "timestamp with time zone", "big": "bigint",
    }  # fmt: skip
    await here.migrate(f"{url}#t", f"{url}#copy", window_rows=2)
    await here.migrate(f"{url}#copy", tmp_path / "out.ndjson")
    await here.migrate(source, tmp_path / "same.ndjson")
    found = {row["id"]: row for row in lines_of(tmp_path / "out.ndjson")}
    for row in lines_of(tmp_path / "same.ndjson"):
        back = {key: value for key, value in found[row["id"]].items() if value is not None}
        if (number := back.get("d")) is not None:
            # A numeric has no exponent: the value is kept.
            assert Decimal(number["$numberDecimal"]) == Decimal(row["d"]["$numberDecimal"])
            back["d"] = row["d"]
        assert back == {key: value for key, value in row.items() if value is not None}


async def test_every_type_of_the_server_is_read_truthfully(
    here: House, url: str, server: psycopg.Connection[Any], tmp_path: Path
) -> None:
    server.execute("CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE DOMAIN small AS int CHECK (VALUE < 10)")
    columns: dict[str, tuple[str, str, Any]] = {
        "i2": ("smallint", "'-5'", -5),
        "r4": ("real", "'0.1'", 0.1),
        "n": ("numeric(20,5)", "'1.10000'", {"$numberDecimal": "1.10000"}),
        "nan": ("numeric", "'NaN'", {"$numberDecimal": "NaN"}),
        "fnan": ("float8", "'NaN'", {"$numberDouble": "NaN"}),
        "u": ("uuid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        "dt": ("date", "'2024-02-29'", "2024-02-29"),
        "never": ("date", "'infinity'", "infinity"),
        "bc": ("date", "'0044-03-15 BC'", "0044-03-15 BC"),
        "tm": ("time", "'24:00:00'", "24:00:00"),
        "tz": ("timestamptz", "'2024-02-29 12:00:00.123456+02'", {"$date": "2024-02-29T10:00:00.123456Z"}),
        "forever": ("timestamptz", "'infinity'", "infinity"),
        "ts": ("timestamp", "'2024-02-29 12:00:00'", "2024-02-29T12:00:00"),
        "iv": ("interval", "'1 year 2 mons 3 days 04:05:06'", "P1Y2M3DT4H5M6S"),
        "ip": ("inet", "'10.0.0.1/24'", "10.0.0.1/24"),
        "rg": ("int4range", "'[1,5)'", "[1,5)"),
        "m": ("mood", "'bad'", "bad"),
        "s": ("small", "7", 7),
        "c": ("char(4)", "'ab'", "ab  "),
        "by": ("bytea", r"'\x00ff'", {"$binary": {"base64": "AP8=", "subType": "00"}}),
        "ai": ("int[]", "'{{1,2},{3,NULL}}'", [[1, 2], [3, None]]),
        "af": ("float8[]", "'{1.5,NaN}'", [1.5, {"$numberDouble": "NaN"}]),
        "an": ("numeric[]", "'{1.10}'", [{"$numberDecimal": "1.10"}]),
        "at": ("text[]", """'{"a,b",NULL,""}'""", ["a,b", None, ""]),
        "aj": ("jsonb[]", """ARRAY['{"a": 1}'::jsonb, NULL]""", [{"a": 1}, None]),
        "jb": ("jsonb", """'{"a": 1.10, "b": 12345678901234567890.5, "c": [true]}'""",
               {"a": 1.1, "b": {"$numberDecimal": "12345678901234567890.5"}, "c": [True]}),
        "js": ("json", """'{"a": 1,   "a": 2}'""", '{"a": 1,   "a": 2}'),
        "plain": ("json", """'{"z": 1, "a": [2]}'""", {"z": 1, "a": [2]}),
        "bit": ("bit(3)", "'101'", "101"),
    }  # fmt: skip
    made = ", ".join(f'"{name}" {kind}' for name, (kind, _, _) in columns.items())
    server.execute(f"CREATE TABLE t (id int PRIMARY KEY, {made})".encode())
    server.execute(f"INSERT INTO t VALUES (1, {', '.join(value for _, value, _ in columns.values())})".encode())
    server.execute("INSERT INTO t VALUES (2)")
    await here.migrate(f"{url}#t", tmp_path / "out.ndjson")
    first, second = lines_of(tmp_path / "out.ndjson")
    assert first == {"id": 1} | {name: value for name, (_, _, value) in columns.items()}
    assert second == {"id": 2} | dict.fromkeys(columns)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("uuid", "SELECT md5(n::text)::uuid FROM generate_series(1, 100) n"),
        ("text", "SELECT 'k%' || n FROM generate_series(1, 100) n"),
        ("numeric", "SELECT n + 0.5 FROM generate_series(1, 100) n"),
        ("timestamptz", "SELECT now() + n * interval '1 microsecond' FROM generate_series(1, 100) n"),
        ("date", "SELECT current_date + n FROM generate_series(1, 100) n"),
        ("bigint", "SELECT n * 4000000000 FROM generate_series(-50, 49) n"),
        ("bytea", r"SELECT decode(lpad(to_hex(n), 2, '0'), 'hex') FROM generate_series(1, 100) n"),
    ],
)
async def test_windows_by_every_kind_of_key(
    here: House, url: str, server: psycopg.Connection[Any], tmp_path: Path, kind: str, values: str
) -> None:
    server.execute(f'CREATE TABLE "100%" ("k%" {kind} PRIMARY KEY); INSERT INTO "100%" {values}'.encode())
    run = await here.migrate(f"{url}#100%25", tmp_path / "out.ndjson", window_rows=7, workers=3)
    assert len(await here.windows(run)) == 15
    assert len(set((tmp_path / "out.ndjson").read_bytes().splitlines())) == 100


async def test_windows_by_several_columns(
    here: House, url: str, server: psycopg.Connection[Any], tmp_path: Path
) -> None:
    server.execute(
        "CREATE SCHEMA other; CREATE TABLE other.t (a text, b int, PRIMARY KEY (a, b));"
        "INSERT INTO other.t SELECT 'a' || n % 5, n FROM generate_series(1, 100) n"
    )
    await here.migrate(f"{url}#other.t", f"{url}#other.copy", window_rows=7)
    assert ask(server, "SELECT * FROM other.copy EXCEPT SELECT * FROM other.t") == []
    assert ask(server, "SELECT count(*) FROM other.copy") == [(100,)]
    # The ledger is where the table is.
    assert ask(server, "SELECT count(*) FROM other._streamconsole_windows") == [(15,)]


# Widening -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 4])
async def test_columns_widen_in_mid_run_and_no_value_depends_on_when(
    here: House, url: str, server: psycopg.Connection[Any], tmp_path: Path, workers: int
) -> None:
    moment = {"$date": "2024-01-01T00:00:00.001500Z"}
    first = {"i": 7, "f": 1e16, "g": 0.1, "b": True, "m": moment, "j": {"bb": [1, 1e3], "a": "ü\n"}, "x": 5, "y": 1}
    first["raw"] = {"$binary": {"base64": "/w8A" * 40, "subType": "00"}}
    late = first | dict.fromkeys(("i", "f", "g", "b", "m", "j", "raw"), "text") | {"x": 0.5, "y": 2**70}
    rows = [{"id": n} | first for n in range(3000)] + [{"id": 3000} | late, {"id": 3001} | first]
    source = write_lines(tmp_path / "in.ndjson", (json.dumps(row).encode() for row in rows))
    await here.migrate(source, f"{url}#t", window_rows=500, workers=workers)
    found = kinds(server)
    assert {found[name] for name in ("i", "f", "g", "b", "m", "j", "raw")} == {"text"}
    assert (found["x"], found["y"]) == ("double precision", "numeric")
    distinct = server.execute("SELECT DISTINCT i, f, g, b, m, j, raw, x, y FROM t WHERE id <> 3000").fetchall()
    assert distinct == [
        {
            "i": "7", "f": "10000000000000000", "g": "0.1", "b": "true", "m": "2024-01-01T00:00:00.001500Z",
            "j": '{"a": "ü\\n", "bb": [1, 1000.0]}', "raw": "/w8A" * 40, "x": 5.0, "y": Decimal(1),
        }
    ]  # fmt: skip


async def test_a_column_of_nulls_becomes_what_comes(
    here: House, url: str, server: psycopg.Connection[Any], tmp_path: Path
) -> None:
    rows: list[Any] = [{"id": n, "v": None} for n in range(2000)] + [{"id": 2000, "v": 5, "new": [1]}]
    await here.migrate(write_lines(tmp_path / "in.ndjson", rows), f"{url}#t", window_rows=500)
    assert kinds(server) == {"id": "bigint", "v": "bigint", "new": "jsonb"}
    assert ask(server, "SELECT v, new FROM t WHERE id >= 1999 ORDER BY id") == [(None, None), (5, [1])]


# Modes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["insert", "append", "upsert", "replace"])
@pytest.mark.parametrize("name", ["t", "a table with a name that has sixty-three bytes, as many as fit"])
async def test_modes(
    here: House, url: str, server: psycopg.Connection[Any], tmp_path: Path, mode: str, name: str
) -> None:
    server.execute(f"CREATE TABLE \"{name}\" (id INTEGER PRIMARY KEY, v TEXT, other TEXT DEFAULT 'd')".encode())
    server.execute(f"INSERT INTO \"{name}\" VALUES (1, 'old', 'kept'), (9, 'old', 'kept')".encode())
    server.execute(f'CREATE INDEX by_v ON "{name}" (v)'.encode())
    rows = [{"id": 1, "v": "new"}, {"id": 2, "v": "first"}, {"id": 2, "v": "new"}]
    source = write_lines(tmp_path / "in.ndjson", rows if mode == "upsert" else rows[:1] + rows[2:])
    target = f"{url}#{name.replace(' ', '%20')}"
    if mode == "insert":
        with pytest.raises(Refused, match="holds rows already"):
            await here.create(source, target)
        return
    run = await here.migrate(source, target, mode=mode)
    wanted: dict[str, list[Any]] = {
        "append": [(1, "old", "kept"), (2, "new", "d"), (9, "old", "kept")],
        "upsert": [(1, "new", "kept"), (2, "new", "d"), (9, "old", "kept")],
        "replace": [(1, "new"), (2, "new")],
    }
    assert ask(server, f'SELECT * FROM "{name}" ORDER BY id') == wanted[mode]
    reasons = [reject["reason"] for reject in await here.rejects(run)]
    assert reasons == (["duplicate key 1"] if mode == "append" else [])
    found = ask(server, f"SELECT indexname FROM pg_indexes WHERE tablename = '{name}' ORDER BY 1")
    assert [index for (index,) in found] == sorted([f"{name.encode()[:58].decode()}_pkey", "by_v"])


async def test_many_windows_upsert_at_the_same_time(
    here: House, url: str, server: psycopg.Connection[Any], tmp_path: Path
) -> None:
    server.execute("CREATE TABLE t (id bigint PRIMARY KEY CHECK (id <> 5), v int); INSERT INTO t VALUES (1, 0)")
    rows = [{"id": n % 700, "v": n} for n in range(1000)]
    run = await here.migrate(
        write_lines(tmp_path / "in.ndjson", rows), f"{url}#t", mode="upsert", workers=4, window_rows=50, writers=2
    )
    assert [each["line"] for each in await here.rejects(run)] == [6, 706]
    assert ask(server, "SELECT count(*), count(*) FILTER (WHERE v NOT IN (id, id + 700)) FROM t") == [(699, 0)]


async def test_rows_that_the_server_refuses_become_rejects(
    here: House, url: str, server: psycopg.Connection[Any], tmp_path: Path
) -> None:
    server.execute(
        "CREATE TABLE t (id smallint PRIMARY KEY, v varchar(5) NOT NULL CHECK (v <> 'bad'), u uuid UNIQUE, d date)"
    )
    uuid = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
    rows: list[dict[str, Any]] = [
        {"id": 1, "v": "a", "u": uuid, "d": "2024-02-29"},
        {"id": 1, "v": "b"},
        {"id": 2, "v": "bad"},
        {"id": 3, "v": None},
        {"id": 4, "v": "too long"},
        {"id": 40_000, "v": "a"},
        {"id": 5, "v": "a", "u": "none"},
        {"id": 6, "v": "a", "u": uuid},
        {"id": 7, "v": "a\0"},
        {"id": 8, "v": "a", "d": "2024-02-30"},
        {"id": 9, "v": "z"},
    ]
    run = await here.migrate(write_lines(tmp_path / "in.ndjson", rows), f"{url}#t")
    assert ask(server, "SELECT id, v FROM t ORDER BY id") == [(1, "a"), (9, "z")]
    found = [(reject["line"], reject["column"], reject["reason"]) for reject in await here.rejects(run)]
    wanted = [
        (2, "id", "duplicate key 1"),
        (3, None, "check constraint"),
        (4, "v", "null value"),
        (5, "v", "too long"),
        (6, "id", "out of range"),
        (7, "u", "invalid input syntax for type uuid"),
        (8, None, "Key (u)"),
        (9, "v", "NUL"),
        (10, "d", "out of range"),
    ]
    assert [(line, column) for line, column, _ in found] == [(line, column) for line, column, _ in wanted]
    for (_, _, said), (_, _, words) in zip(found, wanted, strict=True):
        assert words in said


async def test_nothing_is_dropped_without_a_word(
    here: House, url: str, server: psycopg.Connection[Any], tmp_path: Path
) -> None:
    server.execute("CREATE TABLE t (id int PRIMARY KEY, d date, ts timestamp, tm time, n numeric(6,2))")
    moment, midnight = {"$date": "2024-02-29T12:30:00.5Z"}, {"$date": "2024-02-29T00:00:00Z"}
    rows: list[dict[str, Any]] = [
        {"id": 1, "d": midnight, "ts": moment, "tm": "12:30:00", "n": 1.25},
        {"id": 2, "d": moment},
        {"id": 3, "d": "2024-02-29T12:30:00"},
        {"id": 4, "ts": "2024-02-29T12:30:00+02:00"},
        {"id": 5, "tm": "2024-02-29 12:30"},
        {"id": 6, "n": 1.255},
        {"id": 7, "d": "2024-02-29", "ts": "2024-02-29", "n": {"$numberDecimal": "1.2500"}},
    ]
    run = await here.migrate(write_lines(tmp_path / "in.ndjson", rows), f"{url}#t")
    found = ask(server, "SELECT id, d::text, ts::text, tm::text, n::text FROM t ORDER BY id")
    assert found == [
        (1, "2024-02-29", "2024-02-29 12:30:00.5", "12:30:00", "1.25"),
        (7, "2024-02-29", "2024-02-29 00:00:00", None, "1.25"),
    ]
    assert [(each["line"], each["column"]) for each in await here.rejects(run)] == [
        (2, "d"), (3, "d"), (4, "ts"), (5, "tm"), (6, "n"),
    ]  # fmt: skip
    assert (await verified(here, run))[1:] == ([], 0)


async def test_refused_rows_are_replayed(
    here: House, url: str, server: psycopg.Connection[Any], tmp_path: Path
) -> None:
    server.execute("CREATE TABLE t (id int PRIMARY KEY, v varchar(3))")
    rows = [{"id": n, "v": "long" if n % 10 == 0 else "a"} for n in range(100)]
    run = await here.migrate(write_lines(tmp_path / "in.ndjson", rows), f"{url}#t", window_rows=30)
    assert len(await here.rejects(run)) == 10
    server.execute("ALTER TABLE t ALTER v TYPE text")
    replay = await here.engine.replay(run.id, {})
    assert replay is not None
    assert (await here.work(replay)).state is RunState.COMPLETED
    assert ask(server, "SELECT count(*), count(*) FILTER (WHERE v = 'long') FROM t") == [(100, 10)]
    assert await here.rejects(run) == []
    # What the ledger of the run itself has is what is there.
    counted = f"SELECT sum(rows_written), sum(rejects) FROM _streamconsole_windows WHERE run = '{run.id}'"
    assert ask(server, counted) == [(100, 0)]


async def test_windows_of_large_rows_are_small(
    here: House, url: str, server: psycopg.Connection[Any], tmp_path: Path
) -> None:
    server.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v jsonb);"
        "INSERT INTO t SELECT n, to_jsonb(repeat('x', CASE WHEN n BETWEEN 400 AND 450 THEN 50000 ELSE 5 END)) "
        "FROM generate_series(1, 1000) n"
    )
    run = await here.migrate(f"{url}#t", tmp_path / "out.ndjson", window_rows=500, window_bytes=2**20)
    sizes = [record.window.rows for record in await here.windows(run)]
    assert sum(sizes) == 1000
    assert max(sizes[1:4]) < 100, sizes


async def test_nul_in_json_and_numbers_past_all_limits_are_refused(
    here: House, url: str, server: psycopg.Connection[Any], tmp_path: Path
) -> None:
    rows = [
        b'{"id": 1, "j": {"a\\u0000": 1}, "n": 2}',
        b'{"id": 2, "j": ["\\\\u0000"], "n": {"$numberDecimal": "1.5"}}',
        b'{"id": 3, "j": ["\\\\\\u0000"]}',
    ]
    run = await here.migrate(write_lines(tmp_path / "in.ndjson", rows), f"{url}#t")
    assert ask(server, "SELECT id, j FROM t") == [(2, ["\\u0000"])]
    assert [(each["line"], each["column"]) for each in await here.rejects(run)] == [(1, "j"), (3, "j")]


async def test_no_create_and_no_schema(here: House, url: str, server: psycopg.Connection[Any], tmp_path: Path) -> None:
    source = write_lines(tmp_path / "in.ndjson", [{"id": 1, "v": "a"}])
    with pytest.raises(Refused, match="does not exist, and --no-create"):
        await here.create(source, f"{url}#t", create=False)
    with pytest.raises(Refused, match="has no schema nowhere"):
        await here.create(source, f"{url}#nowhere.t")
    server.execute("CREATE TABLE t (id bigint PRIMARY KEY)")
    with pytest.raises(Refused, match="has no column v"):
        await here.create(source, f"{url}#t", create=False)


async def test_replacing_what_others_depend_on_is_refused(
    here: House, url: str, server: psycopg.Connection[Any], tmp_path: Path
) -> None:
    server.execute(
        "CREATE TABLE t (id int PRIMARY KEY); CREATE VIEW seen AS SELECT * FROM t;"
        "CREATE TABLE other (t int REFERENCES t (id))"
    )
    with pytest.raises(Refused, match="other, seen would be left without it"):
        await here.create(write_lines(tmp_path / "in.ndjson", [{"id": 1}]), f"{url}#t", mode="replace")


async def test_hostile_names(here: House, url: str, server: psycopg.Connection[Any], tmp_path: Path) -> None:
    long = "ü" * 40
    names = ["select", 'qu"ote', "emoji 😀", "co:lon", "100%s", "Name", "name", "(p)s", long + "1", long + "2", "a\0b"]
    source = write_lines(tmp_path / "in.ndjson", [{"id": 1} | {name: name.replace("\0", "") for name in names}])
    for mode in ("insert", "replace"):
        await here.migrate(source, f"{url}#or%25der%20%22by%22", mode=mode)
        (row,) = ask(server, 'SELECT * FROM "or%der ""by"""')
        assert row == (1, *(name.replace("\0", "") for name in names))
    await here.migrate(f"{url}#or%25der%20%22by%22", tmp_path / "out.ndjson")
    assert list(lines_of(tmp_path / "out.ndjson")[0].values()) == list(row)


async def test_sequences_indexes_and_references_come_after_the_load(
    here: House, url: str, server: psycopg.Connection[Any], tmp_path: Path
) -> None:
    server.execute("CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n serial, v text)")
    for mode, first in (("append", 1), ("upsert", 50)):
        rows = [{"id": n, "n": n * 2, "v": "a"} for n in range(first, first + 100)]
        await here.migrate(write_lines(tmp_path / "in.ndjson", rows), f"{url}#t", mode=mode)
    assert ask(server, "INSERT INTO t (v) VALUES ('later') RETURNING id, n") == [(150, 299)]


async def test_a_whole_database_into_it(here: House, url: str, server: psycopg.Connection[Any], tmp_path: Path) -> None:
    from streamconsole.engines.migration.whole import expand

    with closing(sqlite3.connect(tmp_path / "in.db")) as connection:
        connection.executescript(
            "CREATE TABLE lines (id INTEGER PRIMARY KEY, of TEXT NOT NULL REFERENCES orders (code) ON DELETE CASCADE);"
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE);"
            "CREATE INDEX by_code ON orders (code, id); CREATE INDEX lines_of ON lines (of);"
            "INSERT INTO orders VALUES (1, 'a'); INSERT INTO lines VALUES (7, 'a');"
        )
    server.execute("CREATE TABLE elsewhere (n int); CREATE INDEX by_code ON elsewhere (n)")
    for _, settings in expand(MigrationSettings(source=f"sqlite:///{tmp_path / 'in.db'}", target=url, tables="all")):
        given = settings.model_dump(exclude={"source", "target", "retry"}, exclude_defaults=True)
        await here.migrate(settings.source, settings.target, **given)
    assert ask(server, "SELECT * FROM lines") == [(7, "a")]
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        server.execute("INSERT INTO lines VALUES (8, 'b')")
    with pytest.raises(psycopg.errors.UniqueViolation):
        server.execute("INSERT INTO orders VALUES (2, 'a')")
    found = [name for (name,) in ask(server, "SELECT indexname FROM pg_indexes WHERE tablename = 'orders' ORDER BY 1")]
    assert "orders_by_code" in found
    await here.migrate(f"{url}#lines", f"sqlite:///{tmp_path / 'back.db'}#lines")
    assert rows_of(tmp_path / "back.db", "lines") == [{"id": 7, "of": "a"}]


# What else a target promises ----------------------------------------------------------------------


async def test_a_late_owner_is_refused(url: str) -> None:
    asked = MigrationSettings(source=MADE, target=f"{url}#t")
    old, new = target_of(asked), target_of(asked)
    for target in (old, new):
        target.inspect({"id": ColumnType.INTEGER}, ("id",))
    await old.open("run", 1)
    writer = old.writer()
    await new.open("run", 2)
    with pytest.raises(StaleEpoch):
        await old.widen({"x": ColumnType.TEXT})
    with pytest.raises(StaleEpoch):
        await old.open("run", 1)
    source = source_of(asked)
    window = source.cut(1, 0, 0)
    assert window is not None
    from streamconsole.engines.migration.batch import DecodeTask, decode

    batch = decode(DecodeTask(source.reader, writer.normalizer, window))
    with pytest.raises(StaleEpoch):
        writer.write(window, batch, source.reader, lambda _: None)
    await old.close()
    await new.close()


@pytest.mark.parametrize(
    "point",
    ["window.before_claim", "window.after_claim", "window.after_write", "window.before_commit", "window.after_commit"],
)
async def test_a_window_that_fails_anywhere_is_there_once(
    here: House, url: str, server: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    inject(monkeypatch, f"fail@{point}:2")
    run = await here.migrate(MADE, f"{url}#t", window_rows=500)
    assert [record.state for record in await here.windows(run)] == [WindowState.COMPLETED] * 3
    assert ask(server, "SELECT count(*), count(DISTINCT id) FROM t") == [(1500, 1500)]
    assert (await here.totals(run)).rows_written == 1500


async def test_a_run_is_verified(here: House, url: str, server: psycopg.Connection[Any], tmp_path: Path) -> None:
    source = write_hostile(tmp_path / "in.ndjson", 20, 20)
    run = await here.create(source, f"{url}#t", window_rows=20)
    await here.work(run)
    even = await here.engine.verify(run.id)
    await here.work(even)
    assert (await here.totals(even)).rejects == 0
    (first,), (second,) = ask(server, "SELECT _id FROM t ORDER BY random() LIMIT 2")
    server.execute(f"UPDATE t SET \"select\" = 9 WHERE _id = '{first}'; DELETE FROM t WHERE _id = '{second}'".encode())
    uneven = await here.engine.verify(run.id)
    await here.work(uneven)
    assert (await here.totals(uneven)).rejects == 2
