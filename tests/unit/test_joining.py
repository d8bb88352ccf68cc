"""Parts joined while others are made: the whole is the same, whenever they come."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from streamconsole.engines.migration.batch import DecodeTask, decode
from streamconsole.engines.migration.columns import ColumnType
from streamconsole.engines.migration.targets import joining as joining_module
from streamconsole.engines.migration.targets.csv_rows import Dialect
from streamconsole.engines.migration.targets.file_forms import Array, Csv, Form, Lines
from streamconsole.engines.migration.targets.files import FileTarget
from streamconsole.engines.units import Window
from tests.unit.loading import Rows, write

FORMS = [Lines(), Array(), Csv(Dialect(",", ""))]
WINDOWS = [Window(number, (number - 1) * 10, number * 10, 0, 2) for number in range(1, 7)]


async def opened(path: Path, form: Form) -> FileTarget:
    target = FileTarget(path, form)
    plan = target.inspect({"n": ColumnType.INTEGER}, ())
    if plan:
        target.use(plan["schema"])
    await target.open("run-1", 1)
    return target


def move(target: FileTarget, window: Window, rows: list[dict[str, Any]]) -> None:
    batch = decode(DecodeTask(Rows(rows), target.writer().normalizer, window))
    write(target, window, batch, Rows(rows))
    target.settled(window)


def rows_of(window: Window) -> list[dict[str, Any]]:
    return [] if window.number == 3 else [{"n": window.lo}, {"n": window.lo + 1}]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@pytest.mark.parametrize("order", [(1, 2, 3, 4, 5, 6), (2, 1, 4, 3, 6, 5), (6, 5, 4, 3, 2, 1)])
async def test_the_whole_does_not_depend_on_the_order(tmp_path: Path, form: Form, order: tuple[int, ...]) -> None:
    whole = []
    for ahead in (True, False):
        target = await opened(tmp_path / f"{ahead}", form)
        for number in order:
            move(target, WINDOWS[number - 1], rows_of(WINDOWS[number - 1]))
        if not ahead:
            await target.close()
        await target.finish(whole=True)
        await target.close()
        whole.append(target.path.read_bytes())
        target.forget_parts()
    assert whole[0] == whole[1]
    assert whole[0].count(b"51") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["False", "True"]


async def test_a_gap_is_waited_for_and_a_window_that_failed_is_left_out(tmp_path: Path) -> None:
    target = await opened(tmp_path / "t.ndjson", Lines())
    for number in (1, 2, 4, 5):
        move(target, WINDOWS[number - 1], [{"n": number}])
    await target.finish(whole=False)
    assert target.path.read_bytes() == b'{"n":1}\n{"n":2}\n{"n":4}\n{"n":5}\n'
    move(target, WINDOWS[2], [{"n": 3}])
    await target.finish(whole=True)
    await target.close()
    assert target.path.read_bytes() == b'{"n":1}\n{"n":2}\n{"n":3}\n{"n":4}\n{"n":5}\n'


async def test_columns_that_come_late_are_in_the_head(tmp_path: Path) -> None:
    target = await opened(tmp_path / "t.csv", Csv(Dialect(",", "")))
    move(target, WINDOWS[0], [{"n": 1}])
    await target.widen({"late": ColumnType.INTEGER})
    move(target, WINDOWS[1], [{"n": 2, "late": 3}])
    await target.finish(whole=True)
    await target.close()
    assert target.path.read_text() == "n,late\n1,\n2,3\n"


async def test_ranges_in_any_order_come_out_in_the_source_s(tmp_path: Path) -> None:
    target = await opened(tmp_path / "t.ndjson", Lines())
    move(target, Window(1, 50, 60, 0, 1), [{"n": 5}])
    move(target, Window(2, 10, 20, 0, 1), [{"n": 1}])
    await target.finish(whole=True)
    await target.close()
    assert target.path.read_bytes() == b'{"n":1}\n{"n":5}\n'


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("not a frame")])
async def test_what_goes_wrong_ahead_is_done_again_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    target = await opened(tmp_path / "t.ndjson", Lines())
    whole = joining_module.Joining.add

    def half(joining: joining_module.Joining, lo: int, hi: int) -> None:
        joining.write([b'{"n":'])
        raise error

    monkeypatch.setattr(joining_module.Joining, "add", half)
    move(target, WINDOWS[0], [{"n": 1}])
    await asyncio.to_thread(target._ahead._thread.shutdown)  # type: ignore[union-attr]
    monkeypatch.setattr(joining_module.Joining, "add", whole)
    await target.finish(whole=True)
    await target.close()
    assert target.path.read_bytes() == b'{"n":1}\n'
