"""What becomes of odd rows, ranges and settings in whole migrations."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from streamconsole.engines.control import Verb
from streamconsole.engines.errors import Refused
from streamconsole.engines.states import RunState, WindowState
from tests.integration.running import House, rows_of, write_lines


def numbered(path: Path, count: int = 100) -> Path:
    return write_lines(path, ({"id": n, "name": f"row {n}"} for n in range(count)))


def table(tmp_path: Path, name: str = "t") -> str:
    return f"sqlite:///{tmp_path}/out.db#{name}"


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


async def test_late_surprises_with_four_workers_change_nothing_that_is_there(here: House, tmp_path: Path) -> None:
    def row(n: int) -> dict[str, Any]:
        made: dict[str, Any] = {"id": n, "v": n, "flag": True}
        if n > 900:
            made["v"] = n + 0.5
        if n > 1_400:
            made |= {"v": f"{n:05d}", "flag": "no", "late": {"deep": [n]}}
        return made

    # Surprises stand only where no sample looks: between its places.
    made = [row(n) if n in (905, 1_407, 1_408) or n <= 900 else {"id": n, "v": n, "flag": True} for n in range(2_000)]
    source = write_lines(tmp_path / "in.ndjson", made)
    run = await here.migrate(source, table(tmp_path), workers=4, window_rows=25)
    planned = {column["key"]: column["type"] for column in run.plan["schema"]["columns"]}
    assert planned == {"id": "integer", "v": "float", "flag": "boolean"}
    assert await here.rejects(run) == []
    rows = rows_of(tmp_path / "out.db", order="CAST(id AS INTEGER)")
    assert [row["id"] for row in rows] == list(range(2_000))
    for row_, want in zip(rows, made, strict=True):
        wanted = want["v"]
        assert row_["v"] == (wanted if isinstance(wanted, str) else repr(wanted))
        assert row_["flag"] == {True: "true", "no": "no"}[want["flag"]]
        assert row_["late"] == (json.dumps(want["late"], separators=(",", ":")) if "late" in want else None)


async def test_bad_rows_are_rejects_with_their_place_and_the_rest_goes_on(here: House, tmp_path: Path) -> None:
    rows: list[Any] = [{"id": n} for n in range(60)]
    rows[7] = b'{"id": 7'
    rows[21] = b'{"id": 21, "id": 22}'
    rows[33] = {"id": 5}
    rows[40] = {"name": "no key"}
    rows[41] = b""
    source = write_lines(tmp_path / "in.ndjson", rows)
    run = await here.migrate(source, table(tmp_path), window_rows=10, workers=1, key=("id",))
    content = source.read_bytes()
    found = await here.rejects(run)
    assert [(each["window"], each["line"]) for each in found] == [(1, 8), (3, 22), (4, 34), (5, 41)]
    for each in found:
        line = content.splitlines()[each["line"] - 1].decode()
        assert each["row"] == line
        assert content[each["offset"] :].decode().startswith(line)
    totals = await here.totals(run)
    assert (totals.rows_read, totals.rows_written, totals.rejects) == (59, 55, 4)
    assert len(rows_of(tmp_path / "out.db")) == 55


async def test_too_many_rejects_stop_the_run(here: House, tmp_path: Path) -> None:
    rows: list[Any] = [{"id": n} if n % 2 else b"bad" for n in range(200)]
    source = write_lines(tmp_path / "in.ndjson", rows)
    run = await here.create(source, table(tmp_path), window_rows=10, workers=1, max_rejects=12)
    ended = await here.work(run)
    assert ended.state is RunState.PAUSED
    stopped = await here.run(run)
    assert "--max-rejects is 12" in (stopped.reason or "")
    totals = await here.totals(run)
    assert (totals.completed, totals.rejects) == (3, 15)


async def test_a_limit_is_kept_to_the_row(here: House, tmp_path: Path) -> None:
    source = numbered(tmp_path / "in.ndjson")
    run = await here.migrate(source, table(tmp_path), window_rows=10, limit=37)
    assert [row["id"] for row in rows_of(tmp_path / "out.db", order="id")] == list(range(37))
    assert [record.window.rows for record in await here.windows(run)] == [10, 10, 10, 7]


async def test_from_an_offset(here: House, tmp_path: Path) -> None:
    source = numbered(tmp_path / "in.ndjson")
    lines = source.read_bytes().splitlines(keepends=True)
    # In the middle of line 40: it begins with the next one.
    offset = sum(map(len, lines[:40])) + 3
    await here.migrate(source, table(tmp_path), window_rows=7, from_offset=offset)
    assert [row["id"] for row in rows_of(tmp_path / "out.db", order="id")] == list(range(41, 100))


async def test_just_the_windows_of_a_list_as_the_history_gives_them(here: House, tmp_path: Path) -> None:
    source = numbered(tmp_path / "in.ndjson")
    first = await here.migrate(source, table(tmp_path), window_rows=10)
    history = [record.as_json() for record in await here.windows(first)]
    chosen = tuple((each["lo"], each["hi"], each["first_row"]) for each in history if each["window"] in (2, 5, 9))
    other = tmp_path / "some.ndjson"
    run = await here.migrate(source, other, windows=chosen, window_rows=10)
    wanted = [*range(10, 20), *range(40, 50), *range(80, 90)]
    assert [row["id"] for row in lines_of(other)] == wanted
    assert [record.window.first_row for record in await here.windows(run)] == [10, 40, 80]
    with pytest.raises(Refused):
        await here.create(source, tmp_path / "none.ndjson", windows=((10**9, 10**9 + 5, 0),))


async def test_a_finished_run_has_nothing_to_retry(here: House, tmp_path: Path) -> None:
    run = await here.migrate(numbered(tmp_path / "in.ndjson"), tmp_path / "out.ndjson")
    before = (tmp_path / "out.ndjson").stat().st_mtime_ns
    await here.say(run, Verb.RETRY)
    await here.supervisor.wait()
    assert (await here.run(run)).state is RunState.COMPLETED
    assert (tmp_path / "out.ndjson").stat().st_mtime_ns == before
    assert all(record.attempt == 1 for record in await here.windows(run))


@pytest.mark.parametrize("kind", ["users", "orders"])
async def test_generated_rows_are_the_same_in_both_targets(here: House, tmp_path: Path, kind: str) -> None:
    source = f"generate://{kind}?count=700&seed=3"
    await here.migrate(source, table(tmp_path), window_rows=90)
    await here.migrate(source, tmp_path / "out.ndjson", window_rows=41, workers=3)
    rows, lines = rows_of(tmp_path / "out.db", order="id"), lines_of(tmp_path / "out.ndjson")
    assert [row["id"] for row in rows] == [line["id"] for line in lines] == list(range(1, 701))
    for row, line in zip(rows, lines, strict=True):
        assert row.keys() == line.keys()
        for key, value in line.items():
            if isinstance(value, dict) and "$date" in value:
                value = value["$date"]
            assert row[key] == (
                json.dumps(value, separators=(",", ":"), ensure_ascii=False)
                if isinstance(value, dict | list)
                else value
            )
    keys = "SELECT name FROM pragma_table_info('t') WHERE pk"
    with closing(sqlite3.connect(tmp_path / "out.db")) as connection:
        assert connection.execute(keys).fetchall() == [("id",)]


async def test_two_runs_at_once_into_one_file_and_two_tables(here: House, tmp_path: Path) -> None:
    source = numbered(tmp_path / "in.ndjson", 500)
    runs = [await here.create(source, table(tmp_path, name), window_rows=20) for name in ("one", "two")]
    tasks = [await here.supervisor.start(run.id) for run in runs]
    assert [(await task).state for task in tasks] == [RunState.COMPLETED] * 2
    assert len(rows_of(tmp_path / "out.db", "one")) == len(rows_of(tmp_path / "out.db", "two")) == 500


async def test_a_file_for_processes_is_decoded_by_them(
    here: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamconsole.engines.migration.cluster.PROCESSES_FROM", 0)
    source = numbered(tmp_path / "in.ndjson", 1_000)
    run = await here.migrate(source, table(tmp_path), window_rows=100)
    assert len(rows_of(tmp_path / "out.db")) == 1_000
    assert {record.state for record in await here.windows(run)} == {WindowState.COMPLETED}


async def test_a_chosen_key_and_one_that_is_not_there(here: House, tmp_path: Path) -> None:
    source = write_lines(tmp_path / "in.ndjson", [{"a": 1, "b": 1}, {"a": 1, "b": 2}, {"a": 1, "b": 1}])
    run = await here.migrate(source, table(tmp_path), key=("a", "b"))
    assert [(each["line"], each["column"]) for each in await here.rejects(run)] == [(3, "a, b")]
    with pytest.raises(Refused, match="--key c"):
        await here.create(source, table(tmp_path, "other"), key=("c",))
