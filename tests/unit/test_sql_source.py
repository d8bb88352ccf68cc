"""Tables of databases as sources: every row in one window, whatever its key, its name or what it holds."""

from __future__ import annotations

import json
import math
import pickle
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamconsole.engines.errors import Refused, SideLost
from streamconsole.engines.migration.batch import NotAlike
from streamconsole.engines.migration.columns import ColumnType
from streamconsole.engines.migration.locations import source_of
from streamconsole.engines.migration.settings import MigrationSettings
from streamconsole.engines.migration.sources.sql import SqlSource
from streamconsole.engines.units import Window

INT64 = 2**63


def database(path: Path, *statements: str, rows: Sequence[Sequence[Any]] = (), into: str = "t") -> Path:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        for row in rows:
            connection.execute(f'INSERT INTO "{into}" VALUES ({", ".join("?" * len(row))})', row)
        connection.commit()
    return path


def source(path: Path, table: str = "t", **asked: Any) -> SqlSource:
    found = source_of(MigrationSettings(source=f"sqlite:///{path}#{table}", target="out.ndjson", **asked))
    assert isinstance(found, SqlSource)
    return found


def refuse_none(index: int, column: str | None, reason: str) -> None:
    raise AssertionError(f"row {index} refused: {column} {reason}")


def windows_of(of: SqlSource, most: int | None = None) -> Iterator[Window]:
    number, lo, behind = 1, of.align(0), None
    while (window := of.cut(number, lo, lo, None if most is None else most - lo, None, behind)) is not None:
        yield window
        number, lo, behind = number + 1, window.hi, window.bounds


def rows_of(of: SqlSource) -> list[dict[str, Any]]:
    """All rows by way of windows: both ways of reading must agree."""
    found = []
    for window in windows_of(of):
        one_by_one = list(of.reader.rows(window, refuse_none))
        assert [index for index, _ in one_by_one] == list(range(len(one_by_one)))
        assert window.hi - window.lo == window.rows == len(one_by_one)
        assert [row for some in of.reader.alike(window) for row in some] == [row for _, row in one_by_one]
        found += [row for _, row in one_by_one]
    return found


KEYS: dict[str, tuple[str, list[tuple[Any, ...]]]] = {
    "rowid": ("id INTEGER PRIMARY KEY", [(n,) for n in (-INT64, -5, 0, 1, 7, 2**53 + 1, INT64 - 1)]),
    "text": ("id TEXT PRIMARY KEY NOT NULL", [(k,) for k in ("", "A", "a", "ä", "Z", "10", "9", "😀", 'q"', "a b")]),
    "no case": ("id TEXT COLLATE NOCASE PRIMARY KEY NOT NULL", [(k,) for k in ("B", "a", "C", "d", "_", "É", "é")]),
    "padded": ("id TEXT COLLATE RTRIM PRIMARY KEY NOT NULL", [(k,) for k in ("a ", "b", "  a", "", "c   ")]),
    "nullable": ("id TEXT PRIMARY KEY", [(k,) for k in (None, None, "x", "a")]),
    "binary": ("id BLOB PRIMARY KEY NOT NULL", [(bytes([n, 255 - n]),) for n in range(5)]),
    "float": ("id REAL PRIMARY KEY NOT NULL", [(k,) for k in (-1e300, -0.5, 5e-324, 0.1, 1e300)]),
    "any": ("id PRIMARY KEY NOT NULL", [(k,) for k in (1, 2.5, "1", b"1", "x", -3, b"")]),
    "two": ("a TEXT NOT NULL, b INTEGER NOT NULL, PRIMARY KEY (a, b)", [(a, b) for a in "xyz" for b in (3, 1, 2)]),
    "three": (
        "a INTEGER NOT NULL, b TEXT COLLATE NOCASE NOT NULL, c BLOB NOT NULL, PRIMARY KEY (b, a, c)",
        [(a, b, bytes([c])) for a in (1, 2) for b in ("q", "P", "r") for c in (0, 9)],
    ),
    "without rowid": ("id TEXT PRIMARY KEY", [(k,) for k in "hgfedcba"]),
    "unique": ("a INTEGER, b TEXT NOT NULL UNIQUE", [(None, k) for k in "dbca"]),
    "partly unique": ("a TEXT UNIQUE, b TEXT", [(None, "x"), (None, "x"), ("a", "y")]),
    "no key": ("a TEXT", [("same",)] * 7),
    "rowid taken": ("rowid TEXT, oid TEXT", [("same", "same")] * 5),
}


@pytest.mark.parametrize("rows", [1, 2, 3, 100])
@pytest.mark.parametrize("kind", KEYS)
def test_every_row_is_in_one_window(kind: str, rows: int, tmp_path: Path) -> None:
    columns, keys = KEYS[kind]
    end = " WITHOUT ROWID" if kind == "without rowid" else ""
    path = database(tmp_path / "in.db", f"CREATE TABLE t ({columns}){end}", rows=keys)
    found = source(path, window_rows=rows)
    assert sorted(map(repr, (tuple(row.values()) for row in rows_of(found)))) == sorted(map(repr, keys))
    assert len(list(windows_of(found))) == math.ceil(len(keys) / rows)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.text(max_size=3), st.integers(-3, 3)), unique=True, max_size=25),
    st.integers(1, 7),
    st.sampled_from(["BINARY", "NOCASE", "RTRIM"]),
)
def test_composite_keys_in_any_collation(keys: list[tuple[str, int]], rows: int, collation: str) -> None:
    # Text that SQLite takes for equal stands once.
    with closing(sqlite3.connect(":memory:")) as memory:
        statement = f"a TEXT NOT NULL COLLATE {collation}, b INTEGER NOT NULL, PRIMARY KEY (a, b)"
        memory.execute(f"CREATE TABLE t ({statement})")
        memory.executemany("INSERT OR IGNORE INTO t VALUES (?, ?)", keys)
        kept = memory.execute("SELECT a, b FROM t ORDER BY a, b").fetchall()
    path = Path(f"/dev/shm/streamconsole-keys-{id(keys)}.db")
    try:
        database(path, f"CREATE TABLE t ({statement})", rows=kept)
        if kept:
            assert [tuple(row.values()) for row in rows_of(source(path, window_rows=rows))] == kept
    finally:
        path.unlink(missing_ok=True)


@pytest.mark.parametrize(
    "name", ["order", 'qu"ote', "emoji 😀", "per%cent", "co:lon", "semi;colon", "[b]", "a.b", "ÄÖ"]
)
def test_hostile_names(name: str, tmp_path: Path) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    path = database(
        tmp_path / "in.db",
        f'CREATE TABLE {quoted} ({quoted} TEXT NOT NULL, "select" TEXT, PRIMARY KEY ({quoted}))',
        f"INSERT INTO {quoted} VALUES ('1', 'x'), ('2', NULL), ('3', '')",
    )
    url = f"sqlite:///{path}#{name.replace('%', '%25')}"
    found = source_of(MigrationSettings(source=url, target="out.ndjson", window_rows=2))
    assert isinstance(found, SqlSource)
    assert found.inspect().key == (name,)
    assert [tuple(row) for row in rows_of(found)] == [(name, "select")] * 3


def test_a_table_by_its_schema_and_a_secret_that_no_repr_shows(tmp_path: Path) -> None:
    path = database(tmp_path / "in.db", "CREATE TABLE t (id INTEGER PRIMARY KEY)", rows=[(1,), (2,)])
    assert rows_of(source(path, "main.t", window_rows=1)) == [{"id": 1}, {"id": 2}]
    found = source_of(MigrationSettings(source="mssql+pymssql://u:secret@h/d#t", target="out.ndjson"))
    assert isinstance(found, SqlSource)
    assert "secret" not in f"{found.database!r} {found.database}"


def test_values_of_every_storage_class_come_back(tmp_path: Path) -> None:
    values = [None, 0, INT64 - 1, -INT64, 1.5, "007", "", "ä\0b", b"", b"\x00\xff", "2024-01-01 10:00:00", '{"a":1}']
    path = database(tmp_path / "in.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", rows=list(enumerate(values)))
    assert [row["v"] for row in rows_of(source(path, window_rows=5))] == values


def test_declared_names_of_our_own_tables_stand_for_what_was_written(tmp_path: Path) -> None:
    moment = datetime(1969, 12, 31, 23, 59, 59, 1000, UTC)
    path = database(
        tmp_path / "in.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, b BOOLEAN, d DECIMAL_TEXT, w DATETIME_CHAR, j JSON_TEXT)",
        rows=[
            (1, 1, "12.50", "1969-12-31T23:59:59.001Z", '{"a":[1,{"$date":"x"}]}'),
            (2, 0, "1E+400", "2024-01-01", "[1, 2]"),
            (3, None, None, None, None),
            (4, 7, "many", "soon Z", '{"a":1,"a":2}'),
            (5, "yes", "NaN", "", "[123456789012345678901234567890]"),
            (6, 0, "007", "9999-12-31T23:59:59.999999Z", "{broken"),
        ],
    )
    columns = {name: [row[name] for row in rows_of(source(path, window_rows=4))] for name in "bdwj"}
    assert columns["b"] == [True, False, None, 7, "yes", False]
    assert list(map(type, columns["b"])) == [bool, bool, type(None), int, str, bool]
    assert columns["d"] == [Decimal("12.50"), Decimal("1E+400"), None, "many", "NaN", "007"]
    last = datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)
    assert columns["w"] == [moment, "2024-01-01", None, "soon Z", "", last]
    big = [123456789012345678901234567890]
    assert columns["j"] == [{"a": [1, {"$date": "x"}]}, [1, 2], None, '{"a":1,"a":2}', big, "{broken"]


@pytest.mark.parametrize(
    "texts",
    [
        ["[[1]", '{"a":2}],[3]'],
        ["[1", '{"a":2}],[3]'],
        ['{"a":1}', "[]", '{"b":[1,2]}'],
        ["[1]\n[2]", "[3]"],
        ["[1 ]", "[2]"],
        ['["a\\nb"]', "[1e400]"],
        ['["\\u00e9"]', '["é"]'],
    ],
)
def test_json_of_one_row_never_becomes_another_s(texts: list[str], tmp_path: Path) -> None:
    path = database(tmp_path / "in.db", "CREATE TABLE t (j JSON)", rows=[(text,) for text in texts])
    wanted: list[Any] = []
    for text in texts:
        try:
            wanted.append(json.loads(text) if "1e400" not in text else text)
        except ValueError:
            wanted.append(text)
    assert [row["j"] for row in rows_of(source(path))] == wanted


def test_json_that_is_no_object_or_array_stays_text(tmp_path: Path) -> None:
    texts = ['"x"', "5", "true", "null"]
    path = database(tmp_path / "in.db", "CREATE TABLE t (j JSON_TEXT)", rows=[(text,) for text in texts])
    assert [row["j"] for row in rows_of(source(path))] == texts


def test_text_that_is_no_utf8_is_refused_alone(tmp_path: Path) -> None:
    path = database(
        tmp_path / "in.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)",
        "INSERT INTO t VALUES (1, 'ä'), (2, CAST(x'ff41' AS TEXT)), (3, 'z')",
    )
    found = source(path)
    (window,) = windows_of(found)
    with pytest.raises(NotAlike):
        list(found.reader.alike(window))
    refused: list[tuple[int, str | None, str]] = []
    rows = list(found.reader.rows(window, lambda *why: refused.append(why)))
    assert rows == [(0, {"id": 1, "v": "ä"}), (2, {"id": 3, "v": "z"})]
    assert refused == [(1, "v", "the text is not UTF-8")]
    assert found.reader.locate(window, {1}) == {1: (1, '{"id":2,"v":"\ufffdA"}')}


def test_infinity_is_no_quick_matter(tmp_path: Path) -> None:
    path = database(tmp_path / "in.db", "CREATE TABLE t (v REAL)", rows=[(math.inf,)])
    found = source(path)
    (window,) = windows_of(found)
    with pytest.raises(NotAlike):
        list(found.reader.alike(window))
    assert list(found.reader.rows(window, refuse_none)) == [(0, {"v": math.inf})]


def test_what_the_source_declares(tmp_path: Path) -> None:
    path = database(
        tmp_path / "in.db",
        "CREATE TABLE t (b INT NOT NULL, a VARCHAR(9) NOT NULL, n NUMERIC(9, 2), d DATE, x, "
        "g INT GENERATED ALWAYS AS (b + 1), PRIMARY KEY (a, b))",
    )
    facts = source(path).inspect()
    assert (facts.size, facts.sample) == (0, [])
    assert facts.key == ("a", "b")
    assert facts.extras.required == ("b", "a")
    integer, text, unknown = ColumnType.INTEGER, ColumnType.TEXT, ColumnType.NULL
    assert dict(facts.columns) == {"b": integer, "a": text, "n": unknown, "d": unknown, "x": unknown, "g": integer}


def test_a_view_is_one_stream_and_the_plan_says_so(tmp_path: Path) -> None:
    path = database(
        tmp_path / "in.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY)",
        "CREATE VIEW v AS SELECT id, id % 2 AS odd FROM t",
        rows=[(n,) for n in range(9)],
    )
    facts = source(path, "v", window_rows=2).inspect()
    assert "one stream" in facts.notes[0]
    (window,) = windows_of(source(path, "v", window_rows=2))
    assert window.rows == 9
    assert len(rows_of(source(path, "v", window_rows=2))) == 9
    keyed = source(path, "v", window_rows=2, key=("id",))
    assert keyed.inspect().notes == ()
    assert len(list(windows_of(keyed))) == 5
    assert len(rows_of(keyed)) == 9


def test_a_large_stream_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = database(
        tmp_path / "in.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB)",
        "CREATE VIEW big AS SELECT id, v FROM t",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400) "
        "INSERT INTO t SELECT i, zeroblob(400000) FROM n",
    )
    with pytest.raises(Refused, match="--key"):
        source(path, "big").inspect()


def test_large_rows_make_small_windows(tmp_path: Path) -> None:
    path = database(
        tmp_path / "in.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)",
        rows=[(n, "x" * 10_000) for n in range(50)],
    )
    found = list(windows_of(source(path, window_bytes=100_000)))
    assert [window.rows for window in found] == [9, 9, 9, 9, 9, 5]


def test_large_rows_that_lie_together_make_small_windows_there(tmp_path: Path) -> None:
    sizes = [10] * 400 + [50_000] * 20 + [10] * 400
    path = database(
        tmp_path / "in.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB)",
        rows=[(n, b"x" * size) for n, size in enumerate(sizes)],
    )
    found = list(windows_of(source(path, window_rows=300, window_bytes=200_000)))
    weights = [sum(sizes[window.lo : window.hi]) for window in found]
    assert sum(weights) == sum(sizes)
    assert max(weights) <= 250_000
    assert max(window.rows for window in found) > 50


def test_a_limit_bounds_the_last_window_too(tmp_path: Path) -> None:
    path = database(tmp_path / "in.db", "CREATE TABLE t (id INTEGER PRIMARY KEY)", rows=[(n * 10,) for n in range(10)])
    found = source(path, window_rows=4)
    cut = list(windows_of(found, 6))
    assert [window.rows for window in cut] == [4, 2]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO t VALUES (45)")
    assert [row["id"] for _, row in found.reader.rows(cut[1], refuse_none)] == [40, 45]


def test_from_a_key(tmp_path: Path) -> None:
    path = database(
        tmp_path / "in.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY)",
        "CREATE TABLE u (a TEXT PRIMARY KEY NOT NULL)",
        rows=[(n * 10,) for n in range(10)],
    )
    found = source(path, from_offset=35, window_rows=4)
    assert found.align(35) == 0
    assert [row["id"] for row in rows_of(found)] == [40, 50, 60, 70, 80, 90]
    with pytest.raises(Refused, match="no key of one integer column"):
        source(path, "u", from_offset=3).inspect()


def test_rows_that_come_at_the_end_meanwhile_are_not_passed_over(tmp_path: Path) -> None:
    path = database(tmp_path / "in.db", "CREATE TABLE t (id INTEGER PRIMARY KEY)", rows=[(n,) for n in range(10)])
    found = source(path, window_rows=4)
    cut = list(windows_of(found))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO t VALUES (100), (-3)")
    seen = [row["id"] for window in cut for _, row in found.reader.rows(window, refuse_none)]
    assert seen == [-3, *range(10), 100]


def test_ranges_need_their_keys(tmp_path: Path) -> None:
    path = database(tmp_path / "in.db", "CREATE TABLE t (id INTEGER PRIMARY KEY)", rows=[(1,)])
    with pytest.raises(Refused, match="runs history"):
        source(path).cut(1, 0, 0, None, 10)
    for text in ("{", "[]", '{"upto":[1,2]}', '{"elsewhere":[1]}', '{"upto":[{"odd":1}]}', '{"most":0}', "7"):
        with pytest.raises(Refused, match="no range of keys"):
            source(path).cut(1, 0, 0, 0, None, text)
    assert source(path).cut(1, 0, 0, 0, None, '{"after":[1],"upto":[5]}') is None


def test_a_reader_crosses_processes(tmp_path: Path) -> None:
    path = database(tmp_path / "in.db", "CREATE TABLE t (id INTEGER PRIMARY KEY)", rows=[(1,)])
    reader = pickle.loads(pickle.dumps(source(path).reader))
    assert list(reader.rows(Window(1, 0, 1, 0, 1, "{}"), refuse_none)) == [(0, {"id": 1})]


@pytest.mark.parametrize("change", ["remove", "replace", "drop", "damage"])
def test_a_source_that_is_gone_is_a_lost_side(change: str, tmp_path: Path) -> None:
    path = database(tmp_path / "in.db", "CREATE TABLE t (id INTEGER PRIMARY KEY)", rows=[(1,), (2,)])
    found = source(path, window_rows=1)
    window = next(windows_of(found))
    if change in ("remove", "replace"):
        path.rename(tmp_path / "away.db")
    if change == "replace":
        database(path, "CREATE TABLE t (id INTEGER PRIMARY KEY)", rows=[(9,)])
    if change == "drop":
        database(path, "DROP TABLE t")
    if change == "damage":
        path.write_bytes(b"no database" * 500)
    with pytest.raises(SideLost) as lost:
        list(found.reader.blocks(window))
    assert lost.value.side == "source"
    with pytest.raises(SideLost):
        found.cut(2, 1, 1, None, None, window.bounds)


def test_a_locked_source_may_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = database(tmp_path / "in.db", "CREATE TABLE t (id INTEGER PRIMARY KEY)", rows=[(1,)])
    found = source(path)
    (window,) = windows_of(found)
    monkeypatch.setattr("streamconsole.engines.migration.sources.sqlite_fetch.BUSY_TIMEOUT_S", 0.01)
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(OSError, match="locked"):
            list(found.reader.blocks(window))
        with pytest.raises(Refused, match="another program holds it"):
            source(path).inspect()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite:///{0}/none.db#t", "does not exist"),
        ("sqlite:///{0}#t", "is a folder"),
        ("sqlite:///{0}/text.db#t", "is it a SQLite file"),
        ("sqlite:///{0}/empty.db#t", "no table was ever made"),
        ("sqlite:///{0}/in.db#cusomers", "no table or view cusomers; there are customers"),
        ("sqlite:///{0}/in.db", "names no table"),
        ("sqlite:///{0}/in.db?mode=ro#t", "is not known"),
        ("sqlite://#t", "relative/path.db"),
        ("nosuch+driver://u:secret@h/d#t", "no driver of that name"),
        ("mssql+pymssql://u:secret@h/d#t", "pip install pymssql"),
        ("postgresql+asyncpg://u:secret@h/d#t", "asyncpg"),
    ],
)
def test_bad_input_is_refused_in_clear_words(url: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("just text " * 500)
    (tmp_path / "empty.db").touch()
    database(tmp_path / "in.db", "CREATE TABLE customers (id)")
    with pytest.raises(Refused) as refused:
        source_of(MigrationSettings(source=url.format(tmp_path), target="out.ndjson")).inspect()
    assert words in str(refused.value)
    assert "secret" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_vacuum_changes_hidden_keys_and_is_noticed(tmp_path: Path) -> None:
    path = database(tmp_path / "in.db", "CREATE TABLE t (v TEXT)", "CREATE TABLE k (id INTEGER PRIMARY KEY)")
    hidden, own = source(path).fingerprint(), source(path, "k").fingerprint()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM")
    assert source(path).fingerprint() != hidden
    assert source(path, "k").fingerprint() == own


def test_a_key_that_holds_null_is_refused_for_no_range_would_hold_its_rows(tmp_path: Path) -> None:
    path = database(tmp_path / "s.db", "CREATE TABLE t (id INT, b TEXT)", rows=[(1, "a"), (None, "b"), (3, "c")])
    database(path, "CREATE VIEW v AS SELECT * FROM t")
    with pytest.raises(Refused, match=r"--key id: NULL in 1 of the rows of v in "):
        source(path, "v", window_rows=3, key=("id",)).inspect()
    # Only what windows are cut by matters: the table has a hidden key.
    assert len(rows_of(source(path, "t", window_rows=1, key=("id",)))) == 3
