"""The ledger in a SQLite target: a window is there once and whole, and late owners are refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from streamconsole.engines.errors import SideLost, StaleEpoch
from streamconsole.engines.migration.batch import DecodeTask, decode
from streamconsole.engines.migration.columns import ColumnType, infer
from streamconsole.engines.migration.targets.sqlite import SqliteTarget
from streamconsole.engines.migration.targets.sqlite_window import SqliteWindows
from streamconsole.engines.migration.targets.target import SchemaMoved, Settled, Written
from streamconsole.engines.units import Reject, Window
from tests.unit.loading import Loader, Rows, loading, read, write

WINDOW = Window(1, 0, 100, 0, 2)


async def test_a_window_claimed_twice_is_done_once(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    async with loading(path, [{"a": 1}]) as loader:
        first = await loader.load([{"a": 1}, {"a": 2}], WINDOW)
        assert await loader.load([{"a": 1}, {"a": 2}], WINDOW) == first == Written(2, 2, 0)
    assert len(read(path)) == 2
    target = SqliteTarget(path, "t")
    assert await target.open("run-1", 2) == [Settled(0, 100, first)]
    assert await target.open("run-2", 1) == []
    await target.close()


async def test_a_window_cut_otherwise_than_the_ledger_has_it_is_loud(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    async with loading(path, [{"a": 1}]) as loader:
        await loader.load([{"a": 1}], WINDOW)
        with pytest.raises(RuntimeError, match="cut at 120"):
            await loader.load([{"a": 1}], Window(1, 0, 120, 0, 2))
    assert len(read(path)) == 1


async def test_an_error_in_the_middle_leaves_nothing_of_the_window(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    async with loading(path, [{"a": 1}]) as loader:

        def fail(_: Sequence[Reject]) -> None:
            raise OSError("in the middle")

        batch = decode(DecodeTask(Rows([{"a": 1}]), loader.target.writer().normalizer, WINDOW))
        with pytest.raises(OSError, match="in the middle"):
            write(loader.target, WINDOW, batch, Rows([{"a": 1}]), fail)
        assert read(path) == []
        assert await loader.load([{"a": 1}], WINDOW) == Written(1, 1, 0)


async def test_a_late_owner_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    late, now = SqliteTarget(path, "t"), SqliteTarget(path, "t")
    plan = late.inspect(infer([{"a": 1}]), ())
    late.use(plan["schema"])
    await late.open("run-1", 1)
    await now.open("run-1", 3)
    with pytest.raises(StaleEpoch):
        await Loader(late).load([{"a": 1}])
    with pytest.raises(StaleEpoch):
        await late.widen({"b": ColumnType.TEXT})
    with pytest.raises(StaleEpoch):
        await SqliteTarget(path, "t").open("run-1", 2)
    assert await Loader(now).load([{"a": 2}]) == Written(1, 1, 0)
    assert read(path) == [{"a": 2}]
    await late.close()
    await now.close()


async def test_a_batch_fitted_before_a_type_was_widened_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    async with loading(path, [{"a": 1}]) as loader:
        old = loader.target.writer()
        batch = decode(DecodeTask(Rows([{"a": 7}]), old.normalizer, WINDOW))
        await loader.target.widen({"b": ColumnType.TEXT})
        assert write(loader.target, WINDOW, batch, Rows([]), writer=old).rows_written == 1
        await loader.target.widen({"a": ColumnType.TEXT})
        with pytest.raises(SchemaMoved):
            write(loader.target, Window(2, 100, 200, 0, 1), batch, Rows([]), writer=old)
    assert read(path) == [{"a": "7", "b": None}]


@pytest.mark.parametrize("how", ["removed", "replaced"])
async def test_a_file_taken_away_is_a_lost_target(tmp_path: Path, how: str) -> None:
    path = tmp_path / "t.db"
    target = SqliteTarget(path, "t")
    target.use(target.inspect(infer([{"a": 1}]), ())["schema"])
    await target.open("run-1", 1)
    other = tmp_path / "other.db"
    other.touch()
    if how == "removed":
        path.unlink()
    else:
        other.replace(path)
    with pytest.raises(SideLost, match="removed or replaced"):
        await Loader(target).load([{"a": 1}])
    with pytest.raises(SideLost):
        await target.finish(whole=True)
    await target.close()


@pytest.mark.parametrize("name", ["fullness", "readonly", "malformed"])
async def test_a_word_in_an_error_does_not_make_the_disk_full(tmp_path: Path, name: str) -> None:
    path = tmp_path / "t.db"
    async with loading(path, [{name: 1}]) as loader:
        with closing(sqlite3.connect(path)) as other, other:
            other.execute("DROP TABLE t")
            other.execute(f"CREATE TABLE {name} (a)")
            other.execute("CREATE TABLE t (x)")
        with pytest.raises(sqlite3.OperationalError, match=name):
            await loader.load([{name: 1}])


async def test_a_full_disk_is_a_lost_target(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    async with loading(path, [{"a": "x"}]) as loader:
        writer = loader.target.writer()
        assert isinstance(writer, SqliteWindows)
        connection = writer._connection()
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(SideLost, match="is full"):
            await loader.load([{"a": "x" * 100_000}])
        connection.execute("PRAGMA max_page_count = 100000")
        assert (await loader.load([{"a": "x" * 100_000}])).rows_written == 1
