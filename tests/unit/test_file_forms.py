"""File targets in every form: joined in order, compressed by parts, columns that come late, what was there before."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
import zstandard

from streamconsole.engines.errors import Refused, SideLost
from streamconsole.engines.migration.columns import infer
from streamconsole.engines.migration.compression import split_name
from streamconsole.engines.migration.locations import form_of
from streamconsole.engines.migration.moving import Move, Needs
from streamconsole.engines.migration.settings import MigrationSettings, Mode
from streamconsole.engines.migration.targets.files import FileTarget
from streamconsole.engines.migration.targets.target import Written
from streamconsole.engines.units import Window
from tests.unit.loading import Rows

NAMES = ["out.ndjson", "out.json", "out.csv", "out.tsv"]
PACKED = ["", ".gz", ".zst"]


class Owner:
    def __init__(self, target: FileTarget) -> None:
        self.target = target
        self.refused: list[str] = []

    def turn(self, task: Move) -> Any:
        return self.target.turn(task.writer)

    def keep_rejects(self, task: Any, rejects: Any) -> None:
        self.refused += [reject.reason for reject in rejects]

    async def load(self, number: int, *rows: dict[str, Any]) -> Written:
        window = Window(number, number * 10, number * 10 + 10, 0, len(rows))
        while True:
            moved = Move(Rows(list(rows)), self.target.writer(), window).do(self)
            if isinstance(moved, Written):
                return moved
            assert isinstance(moved, Needs)
            await self.target.widen(moved.columns)


def target_at(path: Path, mode: Mode = Mode.INSERT, **options: Any) -> FileTarget:
    settings = MigrationSettings(source="x", target=str(path), mode=mode)
    return FileTarget(path, form_of(path, settings), split_name(path)[1], mode, **options)


async def opened(path: Path, sample: list[dict[str, Any]], mode: Mode = Mode.INSERT, epoch: int = 1) -> Owner:
    target = target_at(path, mode)
    plan = target.inspect(infer(sample), ())
    if "schema" in plan:
        target.use(plan["schema"])
    await target.open("run-1", epoch)
    return Owner(target)


def text_of(path: Path) -> str:
    data = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(data).decode()
    if path.suffix == ".zst":
        return zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read().decode()
    return data.decode()


def rows_in(path: Path) -> list[dict[str, Any]]:
    text, (ending, _) = text_of(path), split_name(path)
    if ending == ".json":
        found: list[dict[str, Any]] = json.loads(text)
        return found
    if ending == ".ndjson":
        return [json.loads(line) for line in text.splitlines()]
    delimiter = "\t" if ending == ".tsv" else ","
    return [
        {key: value for key, value in row.items() if value != ""}
        for row in csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    ]


@pytest.mark.parametrize("packed", PACKED)
@pytest.mark.parametrize("name", NAMES)
async def test_parts_become_one_file_in_the_order_of_the_source(tmp_path: Path, name: str, packed: str) -> None:
    path = tmp_path / f"{name}{packed}"
    owner = await opened(path, [{"a": "x"}])
    await owner.load(3, {"a": "c"}, {"a": "d,\t\nd"})
    await owner.load(2)
    await owner.load(1, {"a": "b"})
    assert not path.exists()
    await owner.target.finish(whole=True)
    assert rows_in(path) == [{"a": "b"}, {"a": "c"}, {"a": "d,\t\nd"}]
    owner.target.forget_parts()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("packed", PACKED)
@pytest.mark.parametrize("name", NAMES)
async def test_columns_that_come_late_are_in_every_row(tmp_path: Path, name: str, packed: str) -> None:
    path = tmp_path / f"{name}{packed}"
    owner = await opened(path, [{"a": "1"}])
    await owner.load(1, {"a": "x\ny"}, {"a": 'q"\r\n'}, {"a": "z"})
    await owner.load(2, {"a": "w", "late": "l"})
    # Another owner knows the columns, too.
    again = Owner(target_at(path))
    await again.target.open("run-1", 2)
    await again.load(3, {"later": "m"})
    await again.target.finish(whole=True)
    expected = [{"a": "x\ny"}, {"a": 'q"\r\n'}, {"a": "z"}, {"a": "w", "late": "l"}, {"later": "m"}]
    assert rows_in(path) == expected
    if ".csv" in name and not packed:
        widths = {len(row) for row in csv.reader(io.StringIO(text_of(path), newline=""))}
        assert widths == {3}


async def test_no_rows_at_all(tmp_path: Path) -> None:
    for name, text in (("a.json", "[\n\n]\n"), ("a.csv", "a\n"), ("a.ndjson", "")):
        owner = await opened(tmp_path / name, [{"a": 1}])
        await owner.load(1)
        await owner.target.finish(whole=True)
        assert text_of(tmp_path / name) == text


@pytest.mark.parametrize("packed", PACKED)
@pytest.mark.parametrize("name", NAMES)
async def test_replace_leaves_the_old_file_until_all_is_there(tmp_path: Path, name: str, packed: str) -> None:
    path = tmp_path / f"{name}{packed}"
    path.write_text("old")
    path.chmod(0o640)
    owner = await opened(path, [{"a": "x"}], Mode.REPLACE)
    await owner.load(1, {"a": "new"})
    await owner.target.finish(whole=False)
    assert path.read_text() == "old"
    await owner.target.finish(whole=True)
    assert rows_in(path) == [{"a": "new"}]
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("packed", PACKED)
@pytest.mark.parametrize("name", ["out.ndjson", "out.csv", "out.tsv"])
async def test_append_keeps_what_is_there_however_often_it_is_joined(tmp_path: Path, name: str, packed: str) -> None:
    path = tmp_path / f"{name}{packed}"
    first = await opened(path, [{"a": "x", "b": "y"}])
    await first.load(1, {"a": "1", "b": "2"})
    await first.target.finish(whole=True)
    first.target.forget_parts()
    before = path.read_bytes()
    second = await opened(path, [{"a": "x"}], Mode.APPEND)
    await second.load(1, {"b": "3"})
    assert path.read_bytes() == before
    await second.target.finish(whole=True)
    # As after a crash between the joining and the word of it.
    again = Owner(target_at(path, Mode.APPEND))
    await again.target.open("run-1", 2)
    await again.target.finish(whole=True)
    assert rows_in(path) == [{"a": "1", "b": "2"}, {"b": "3"}]


async def test_append_ends_a_line_that_has_no_end(tmp_path: Path) -> None:
    path = tmp_path / "out.ndjson"
    path.write_text('{"a":"1"}')
    owner = await opened(path, [{"a": "x"}], Mode.APPEND)
    await owner.load(1, {"a": "2"})
    await owner.target.finish(whole=True)
    assert rows_in(path) == [{"a": "1"}, {"a": "2"}]


async def test_append_never_loses_what_somebody_else_put_there(tmp_path: Path) -> None:
    path = tmp_path / "out.ndjson"
    path.write_text('{"a":"1"}\n')
    owner = await opened(path, [{"a": "x"}], Mode.APPEND)
    await owner.load(1, {"a": "2"})
    with path.open("a") as file:
        file.write('{"a":"in the meantime"}\n')
    await owner.target.finish(whole=True)
    assert [row["a"] for row in rows_in(path)] == ["1", "in the meantime", "2"]
    other = tmp_path / "other"
    other.write_text('{"a":"other"}\n')
    other.replace(path)
    with pytest.raises(SideLost, match="was replaced while"):
        await owner.target.finish(whole=True)
    assert [row["a"] for row in rows_in(path)] == ["other"]


async def test_append_to_csv_takes_no_other_columns(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text('a,"b ""c"""\n1,2\n')
    with pytest.raises(Refused, match="has no column z in its header"):
        await opened(path, [{"a": 1, "z": 1}], Mode.APPEND)
    owner = await opened(path, [{"a": 1}], Mode.APPEND)
    await owner.load(1, {"a": "x", 'b "c"': "y"}, {"z": 1})
    await owner.target.finish(whole=True)
    assert path.read_text() == 'a,"b ""c"""\n1,2\nx,y\n'
    assert owner.refused == ["the file has no such column, and none can be added to it"]


@pytest.mark.parametrize(
    ("name", "mode", "told"),
    [
        ("full.csv", Mode.INSERT, "holds something already: .* append or replace"),
        ("full.json", Mode.INSERT, "holds something already: .* choose --mode replace"),
        ("full.json", Mode.APPEND, "nothing can be put behind the end of a JSON array"),
        ("full.csv", Mode.UPSERT, "cannot be overwritten by key"),
    ],
)
def test_modes_that_do_not_suit_are_refused(tmp_path: Path, name: str, mode: Mode, told: str) -> None:
    (tmp_path / name).write_text("[]")
    with pytest.raises(Refused, match=told):
        target_at(tmp_path / name, mode).inspect(infer([{"a": 1}]), ())


def test_no_create_wants_the_file(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="--no-create"):
        target_at(tmp_path / "x.csv", create=False).inspect(infer([{"a": 1}]), ())
