"""Whole migrations between all forms of files and SQLite: a round trip gives the rows back."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from streamconsole.engines.states import RunState
from tests.integration.running import DATA, house, inject, rows_of, write_lines

ROWS: list[dict[str, Any]] = [
    {"id": 1, "text": "007", "n": 12, "f": 0.5, "flag": True, "none": None, "list": [1, {"a": "b"}], "big": 2**70},
    {"id": 2, "text": "", "n": -1, "f": 1e300, "flag": False, "none": None, "list": [], "big": 1},
    {"id": 3, "text": 'a,"b"\n\tc;|', "n": 0, "f": -0.25, "flag": True, "none": None, "list": [None], "big": 2**64},
    {"id": 4, "text": "ünï 🙂", "n": 2**62, "f": 3.5, "flag": False, "none": None, "list": ["x"], "big": -(2**66)},
    {"id": 5, "text": "null", "n": 7, "f": 2.5, "flag": True, "none": None, "list": [[]], "big": 5},
]

FORMS = ["a.ndjson", "a.ndjson.gz", "a.json", "a.json.zst", "a.csv", "a.csv.gz", "a.tsv.zst", "a.db"]


def place(folder: Path, name: str, side: str) -> str:
    path = folder / f"{side}-{name}"
    return f"sqlite:///{path}#t" if name.endswith(".db") else str(path)


@pytest.mark.parametrize("second", FORMS)
@pytest.mark.parametrize("first", FORMS)
async def test_a_round_trip_gives_the_rows_back(tmp_path: Path, first: str, second: str) -> None:
    source = write_lines(tmp_path / "source.ndjson", [json.dumps(row).encode() for row in ROWS])
    async with house(tmp_path / "w.db") as home:
        one, other = place(tmp_path, first, "1"), place(tmp_path, second, "2")
        for begin, end in ((str(source), one), (one, other), (other, str(tmp_path / "back.ndjson"))):
            run = await home.migrate(begin, end, window_rows=2)
            assert (await home.totals(run)).rows_written == len(ROWS)
            assert await home.rejects(run) == []
    back = [json.loads(line) for line in (tmp_path / "back.ndjson").read_text().splitlines()]
    assert [without_nulls(row) for row in back] == [without_nulls(row) for row in ROWS]


def without_nulls(row: dict[str, Any]) -> dict[str, Any]:
    """Rows but for nulls; integers beyond 64 bits by their digits: databases and CSV keep them as decimals."""
    kept = {}
    for key, value in row.items():
        if isinstance(value, dict) and "$numberDecimal" in value:
            value = int(value["$numberDecimal"])
        if isinstance(value, str) and key == "big":
            value = int(value)
        if value is not None:
            kept[key] = value
    return kept


async def test_the_real_files_compressed_and_as_arrays(tmp_path: Path) -> None:
    lines = (DATA / "accounts.json").read_bytes().splitlines()
    packed = tmp_path / "accounts.ndjson.gz"
    packed.write_bytes(gzip.compress(b"\n".join(lines) + b"\n"))
    array = tmp_path / "accounts.json"
    array.write_bytes(b"[" + b",\n".join(lines) + b"]")
    async with house(tmp_path / "w.db") as home:
        for number, source in enumerate((DATA / "accounts.json", packed, array)):
            await home.migrate(source, f"sqlite:///{tmp_path}/{number}.db#t", window_rows=100)
    found = [rows_of(tmp_path / f"{number}.db", order="_id") for number in range(3)]
    assert len(found[0]) == len(lines)
    assert found[0] == found[1] == found[2]


async def test_failed_windows_of_a_compressed_file_are_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = tmp_path / "f.ndjson.gz"
    packed.write_bytes(gzip.compress(b"".join(b'{"id":%d}\n' % n for n in range(100))))
    inject(monkeypatch, "fail@window.start:3*2;fail@window.start:7*2")
    async with house(tmp_path / "w.db") as home:
        run = await home.create(packed, f"sqlite:///{tmp_path}/t.db#t", window_rows=10)
        await home.work(run)
        assert (await home.totals(run)).failed == 2
        ended = await home.work(run, retry_failed=True)
        assert ended.state is RunState.COMPLETED
    assert [row["id"] for row in rows_of(tmp_path / "t.db", order="id")] == list(range(100))


async def test_a_file_cut_off_moves_what_is_there_and_says_where(tmp_path: Path) -> None:
    packed = tmp_path / "f.ndjson.gz"
    whole = gzip.compress(b"".join(b'{"id":%d,"x":"%x"}\n' % (n, n * 7919**5) for n in range(20_000)))
    packed.write_bytes(whole[: len(whole) // 2])
    async with house(tmp_path / "w.db") as home:
        run = await home.create(packed, f"sqlite:///{tmp_path}/t.db#t", window_rows=500, window_bytes=8192)
        ended = await home.work(run)
        assert ended.state is RunState.FAILURE
        assert "is broken or cut off after" in str(ended.error)
        assert (await home.totals(run)).rows_written > 1000
