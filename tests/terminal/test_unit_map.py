"""The unit map and the sparkline: what they show, and how little they paint."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from textual import on
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.strip import Strip

from streamconsole.screens.widgets.spark import Spark
from streamconsole.screens.widgets.unit_map import UnitMap


class MapApp(App[None]):
    """One map of 20 × 4 cells and a legend, one sparkline."""

    CSS = "UnitMap { width: 20; height: 5; } Spark { width: 40; }"

    def __init__(self) -> None:
        super().__init__()
        self.said: list[tuple[str, int, int, str]] = []

    def compose(self) -> ComposeResult:
        yield UnitMap(ascii=False)
        yield Spark("rows/s", samples=8, value_width=8, ascii=False)

    @on(UnitMap.UnitHighlighted)
    @on(UnitMap.UnitSelected)
    def say(self, message: UnitMap.UnitHighlighted | UnitMap.UnitSelected) -> None:
        self.said.append((type(message).__name__, message.first, message.last, message.state.word))


@asynccontextmanager
async def running() -> AsyncIterator[tuple[Pilot[None], UnitMap, MapApp]]:
    app = MapApp()
    async with app.run_test(size=(60, 20)) as pilot:
        yield pilot, app.query_one(UnitMap), app


def shown(widget: UnitMap | Spark) -> list[str]:
    return [widget.render_line(y).text for y in range(widget.size.height)]


async def test_one_cell_for_each_unit_while_they_fit() -> None:
    async with running() as (_, units, _app):
        units.set_units(["completed"] * 20 + ["running", "failed", "retrying", "pending"])
        assert shown(units)[:2] == ["■" * 20, "►✗↻·".ljust(20)]
        assert units.grain == 1


async def test_the_worst_of_a_cell_shows() -> None:
    async with running() as (_, units, _app):
        units.set_units(["completed"] * 800)
        assert units.grain == 10
        for word, cell in [("pending", "·"), ("running", "►"), ("retrying", "↻"), ("failed", "✗")]:
            units.update_units({15: word})
            assert shown(units)[0][:3] == f"■{cell}■"
        assert units.counts == {"pending": 0, "running": 0, "retrying": 0, "completed": 799, "failed": 1}


async def test_the_legend_counts_and_shrinks() -> None:
    async with running() as (pilot, units, _):
        units.set_units(["completed"] * 3 + ["failed"])
        assert shown(units)[-1].strip() == "■ 3 done  ✗ 1 fail"
        units.styles.width = 60
        await pilot.pause()
        assert shown(units)[-1].strip() == "4 windows  ■ 3 completed  ✗ 1 failed"


async def test_units_may_be_added_and_unknown_states_are_refused() -> None:
    async with running() as (_, units, _app):
        units.update_units({2: "running"})
        assert units.unit_count == 3
        assert units.counts["pending"] == 2
        with pytest.raises(KeyError):
            units.set_units(["no such state"])


async def test_only_lines_with_changed_units_are_painted(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as (pilot, units, _):
        units.set_units(["pending"] * 80)
        await pilot.pause()
        painted: list[int] = []
        paint = units.render_line

        def note(y: int) -> Strip:
            painted.append(y)
            return paint(y)

        monkeypatch.setattr(units, "render_line", note)
        units.update_units({25: "running", 3: "pending"})
        await pilot.pause()
        assert set(painted) == {1, 4}


async def test_the_cursor_moves_by_cells() -> None:
    async with running() as (pilot, units, app):
        units.set_units(["completed"] * 800)
        units.update_units({215: "failed"})
        units.focus()
        await pilot.press("right", "down", "up", "down", "up", "left", "right", "down", "enter")
        assert units.cursor_units == range(210, 220)
        assert app.said[-1] == ("UnitSelected", 210, 219, "failed")
        await pilot.press("end", "right", "down")
        assert units.cursor_units == range(790, 800)
        await pilot.press("home", "up", "left")
        assert units.cursor_units == range(10)


async def test_a_click_puts_the_cursor_on_its_cell() -> None:
    async with running() as (pilot, units, app):
        units.set_units(["completed"] * 80)
        await pilot.click(UnitMap, offset=(3, 2))
        assert app.said == [("UnitHighlighted", 43, 43, "completed")]


async def test_a_hundred_thousand_units() -> None:
    async with running() as (_, units, _app):
        units.set_units(["pending"] * 100_000)
        units.update_units(dict.fromkeys(range(100_000), "completed"))
        units.update_units({99_999: "failed"})
        assert shown(units)[3].rstrip().endswith("✗")
        assert units.counts["completed"] == 99_999


async def test_an_empty_map_ignores_keys() -> None:
    async with running() as (pilot, units, app):
        units.focus()
        await pilot.press("right", "end", "enter", "down")
        assert app.said == []
        assert shown(units)[-1].strip() == "0 windows"


async def test_the_sparkline_shows_the_last_samples_and_the_value() -> None:
    async with running() as (_, _units, app):
        spark = app.query_one(Spark)
        for value in (99, 0, 1, 2, 3, 4, 5, 6, 7):
            spark.push(value, f"{value} k/s")
        assert shown(spark)[0].split() == ["rows/s", "▁▂▃▄▅▆▇█", "7", "k/s"]
        spark.clear()
        assert shown(spark)[0].split() == ["rows/s"]
