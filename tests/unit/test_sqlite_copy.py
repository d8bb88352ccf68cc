"""Rows that SQLite copies itself: only those that come out as if each had been looked at."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streamconsole.engines.migration.locations import source_of, target_of
from streamconsole.engines.migration.moving import Move, Needs, Task
from streamconsole.engines.migration.planning import needs_of
from streamconsole.engines.migration.settings import MigrationSettings, Mode
from streamconsole.engines.migration.sources.source import Source
from streamconsole.engines.migration.targets import sqlite_window
from streamconsole.engines.migration.targets.sqlite import SqliteTarget
from streamconsole.engines.migration.targets.sqlite_window import SqliteWindows
from streamconsole.engines.migration.targets.target import Written
from streamconsole.engines.units import Reject, Window

TABLE = (
    "CREATE TABLE t (k INTEGER PRIMARY KEY, i INTEGER, r REAL, x TEXT, b BLOB, f BOOLEAN, d DATETIME_CHAR, "
    "j JSON_TEXT, n)"
)

NOT_UTF8 = b"caf\xe9"
MOMENTS = ["2024-02-29T10:00:00.000Z", "2024-02-29T10:00:00.123456Z", "2023-02-29T10:00:00.000Z", "2024-02-29"]
JSON = ['{"a":1}', "[1,2.5]", '{"a": 1}', "{", '{"a":1,"a":2}', '"text"', "[1.0]", '{"b":"\\u00e9"}', '{"b":"é"}']

anything = (
    st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.sampled_from([0, 1, 2, 1.0, 1.5, -0.0, 1e308, float("inf"), float("-inf"), "", "7", "a\0b", b"", b"x", "é"])
)
ROWS = st.lists(
    st.tuples(
        st.integers(-5, 5) | anything,
        st.floats(allow_nan=False) | anything,
        st.text(max_size=3) | anything,
        st.binary(max_size=3) | anything,
        st.sampled_from([0, 1]) | anything,
        st.sampled_from(MOMENTS) | anything,
        st.sampled_from(JSON) | anything,
        st.integers(0, 3) | anything,
    ),
    min_size=1,
    max_size=6,
)


class Parent:
    """Gives turns in one target, and keeps what is refused."""

    def __init__(self, target: SqliteTarget) -> None:
        self.kept: list[Reject] = []
        self._target = target

    def turn(self, move: Move) -> AbstractContextManager[None]:
        return self._target.turn(move.writer)

    def keep_rejects(self, task: Task, rejects: Sequence[Reject]) -> None:
        self.kept += rejects


class Bench:
    """One source file, and targets made from it."""

    def __init__(self, folder: Path, rows: Sequence[Sequence[Any]], table: str = TABLE) -> None:
        self.folder = folder
        self.file = folder / "s.db"
        with closing(sqlite3.connect(self.file)) as connection, connection:
            connection.execute(table)
            marks = ", ".join("?" * (len(rows[0]) + 1))
            connection.executemany(f"INSERT INTO t VALUES ({marks})", [(n, *row) for n, row in enumerate(rows, 1)])

    def change(self, statement: str, *values: Any) -> None:
        with closing(sqlite3.connect(self.file)) as connection, connection:
            connection.execute(statement, values)

    def opened(self, name: str, mode: Mode = Mode.INSERT) -> tuple[Source, SqliteTarget, Window]:
        settings = MigrationSettings(
            source=f"sqlite:///{self.file}#t", target=f"sqlite:///{self.folder / name}#t", mode=mode, key=("k",)
        )
        source, target = source_of(settings), target_of(settings)
        assert isinstance(target, SqliteTarget)
        facts = source.inspect()
        target.use(target.inspect(needs_of(facts), facts.key)["schema"])
        asyncio.run(target.open(f"run-{self.folder}-{name}", 1))
        window = source.cut(1, 0, 0)
        assert window is not None
        return source, target, window

    def read(self, name: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.folder / name)) as connection:
            connection.text_factory = bytes
            columns = [row[1].decode() for row in connection.execute("PRAGMA table_info(t)")]
            typed = ", ".join(f"typeof({column}), {column}" for column in columns)
            return connection.execute(f"SELECT {typed} FROM t ORDER BY k").fetchall()


def copied(source: Source, target: SqliteTarget, window: Window) -> Written | None:
    parent = Parent(target)
    writer = target.writer()
    assert isinstance(writer, SqliteWindows)
    move = Move(source.reader, writer, window)
    return writer.copy(window, source.reader, lambda: parent.turn(move), lambda rejects: None)


def looked_at(source: Source, target: SqliteTarget, window: Window, monkeypatch: pytest.MonkeyPatch) -> list[Reject]:
    parent = Parent(target)
    with monkeypatch.context() as patch:
        patch.setattr(SqliteWindows, "copies", lambda *_: False)
        while True:
            moved = Move(source.reader, target.writer(), window).do(parent)
            if not isinstance(moved, Needs):
                return parent.kept
            asyncio.run(target.widen(moved.columns))


@pytest.fixture(autouse=True)
def _forgetful() -> Iterator[None]:
    sqlite_window._unsuited.clear()
    yield
    sqlite_window._unsuited.clear()


@settings(max_examples=150, deadline=None)
@given(rows=ROWS)
@example(rows=[(0, 0.0, None, b"", 0, None, '{"b":"\\u00e9"}', None)])
@example(rows=[(0, 0.0, None, b"", 0, None, '{"b":1.50}', None)])
@example(rows=[(0, 0.0, None, b"", 0, None, "[1\n]", None), (1, 0.0, None, b"", 0, None, None, None)])
def test_what_is_copied_is_what_would_be_written_row_by_row(rows: list[tuple[Any, ...]]) -> None:
    with TemporaryDirectory() as made, pytest.MonkeyPatch.context() as patch:
        bench = Bench(Path(made), rows)
        source, target, window = bench.opened("copied.db")
        if not target.writer().copies(source.reader):  # type: ignore[attr-defined]
            asyncio.run(target.close())
            return
        written = copied(source, target, window)
        asyncio.run(target.close())
        if written is None:
            assert bench.read("copied.db") == []
            return
        assert written == Written(len(rows), len(rows), 0)
        source, other, window = bench.opened("looked-at.db")
        assert looked_at(source, other, window, patch) == []
        asyncio.run(other.close())
        assert bench.read("copied.db") == bench.read("looked-at.db")


SOUND = (1, 1.5, "é", b"x", 1, MOMENTS[0], JSON[0], 4)


def test_rows_of_every_kind_are_copied(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [SOUND, [None] * 8, SOUND])
    source, target, window = bench.opened("t.db")
    assert copied(source, target, window) == Written(3, 3, 0)
    asyncio.run(target.close())
    assert [row[3] for row in bench.read("t.db")] == [1, None, 1]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("i", 1.5),
        ("i", "x"),
        ("i", b"x"),
        ("r", "x"),
        ("r", float("inf")),
        ("x", b"x"),
        ("b", "x"),
        ("b", 1),
        ("f", 2),
        ("f", "x"),
        ("d", MOMENTS[1]),
        ("d", MOMENTS[2]),
        ("d", "0000-01-01T00:00:00.000Z"),
        ("j", '{"a": 1}'),
        ("j", "{"),
        ("j", '"x"'),
        ("j", "7"),
        ("n", "x"),
        ("n", 1.0),
    ],
)
def test_a_window_with_one_odd_value_is_not(tmp_path: Path, column: str, value: Any) -> None:
    bench = Bench(tmp_path, [SOUND] * 600)
    source, target, window = bench.opened("t.db")
    bench.change(f"UPDATE t SET {column} = ? WHERE k = 555", value)
    assert copied(source, target, window) is None
    asyncio.run(target.close())
    assert bench.read("t.db") == []


def test_text_that_is_not_utf_8_is_seen(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [SOUND] * 3)
    source, target, window = bench.opened("t.db")
    bench.change("UPDATE t SET x = CAST(? AS TEXT) WHERE k = 2", NOT_UTF8)
    assert copied(source, target, window) is None
    asyncio.run(target.close())


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def test_a_change_between_the_look_and_the_copy_is_seen(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [SOUND] * 3)
    source, target, window = bench.opened("t.db")
    writer = target.writer()
    assert isinstance(writer, SqliteWindows)

    @contextmanager
    def turn() -> Iterator[None]:
        bench.change("UPDATE t SET i = 'no number' WHERE k = 2")
        yield

    assert writer.copy(window, source.reader, turn, lambda _: None) is None
    asyncio.run(target.close())
    assert bench.read("t.db") == []


def test_a_key_that_is_there_is_left_to_who_refuses_rows(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [SOUND] * 3)
    source, target, window = bench.opened("t.db")
    assert copied(source, target, window) is not None
    asyncio.run(target.close())
    (tmp_path / "t.db").rename(tmp_path / "again.db")
    source, target, window = bench.opened("again.db", Mode.APPEND)
    moved = Move(source.reader, target.writer(), window).do(parent := Parent(target))
    assert moved == Written(3, 0, 3)
    assert len(parent.kept) == 3
    asyncio.run(target.close())


def test_rows_with_a_key_that_is_there_take_its_place(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [SOUND] * 3)
    source, target, window = bench.opened("t.db")
    copied(source, target, window)
    asyncio.run(target.close())
    (tmp_path / "t.db").rename(tmp_path / "again.db")
    bench.change("UPDATE t SET i = 99 WHERE k = 2")
    source, target, window = bench.opened("again.db", Mode.UPSERT)
    assert copied(source, target, window) == Written(3, 3, 0)
    asyncio.run(target.close())
    assert [row[3] for row in bench.read("again.db")] == [1, 99, 1]


def test_it_is_not_tried_for_ever(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [SOUND] * 3)
    source, target, window = bench.opened("t.db")
    bench.change("UPDATE t SET i = 'x'")
    writer = target.writer()
    assert isinstance(writer, SqliteWindows)
    tries = 0
    while writer.copies(source.reader):
        assert copied(source, target, window) is None
        tries += 1
    assert tries == sqlite_window.MOST_UNSUITED
    asyncio.run(target.close())


def test_a_window_that_is_there_is_not_copied_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [SOUND] * 3)
    source, target, window = bench.opened("t.db")
    assert copied(source, target, window) == Written(3, 3, 0)
    assert copied(source, target, window) == Written(3, 3, 0)
    asyncio.run(target.close())
    assert len(bench.read("t.db")) == 3


def test_another_table_of_the_same_file_is_read_row_by_row(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [SOUND] * 3)
    settings = MigrationSettings(source=f"sqlite:///{bench.file}#t", target=f"sqlite:///{bench.file}#u")
    source, target = source_of(settings), target_of(settings)
    facts = source.inspect()
    target.use(target.inspect(needs_of(facts), facts.key)["schema"])
    asyncio.run(target.open("run-same", 1))
    writer = target.writer()
    assert isinstance(writer, SqliteWindows)
    assert not writer.copies(source.reader)
    asyncio.run(target.close())
