"""The live table as a user meets it, on Textual's own headless pilot."""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

import pytest
from rich.text import Text
from textual import on
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.strip import Strip

from streamconsole import themes
from streamconsole.screens.widgets.columns import Column, fit_columns, fit_text
from streamconsole.screens.widgets.live_table import LiveTable

COLUMNS = (
    Column("name", "Name", min_width=10),
    Column("state", "State", width=11, states="window"),
    Column("rows", "Rows", width=6, align="right", priority=2),
    Column("error", "Error", min_width=8, priority=3),
)
Line = tuple[str, str, int, str | Text]


class TableApp(App[None]):
    """One table, and what it said."""

    def __init__(self, *, plain: bool = False) -> None:
        super().__init__()
        self.plain = plain
        self.said: list[tuple[str, Hashable]] = []
        self.painted: list[int] = []

    def compose(self) -> ComposeResult:
        yield Watched(COLUMNS, markable=True, ascii=self.plain)

    def on_mount(self) -> None:
        themes.install(self)

    @on(LiveTable.RowHighlighted)
    @on(LiveTable.RowSelected)
    def say(self, message: LiveTable.RowHighlighted | LiveTable.RowSelected) -> None:
        self.said.append((type(message).__name__, message.key))


class Watched(LiveTable):
    """A table that notes which of its lines are painted."""

    def render_line(self, y: int) -> Strip:
        assert isinstance(self.app, TableApp)
        self.app.painted.append(y)
        return super().render_line(y)


def lines(count: int) -> list[Line]:
    return [(f"row {key}", "pending", key, "") for key in range(count)]


@asynccontextmanager
async def running(
    count: int = 100, size: tuple[int, int] = (80, 24), *, plain: bool = False
) -> AsyncIterator[tuple[Pilot[None], LiveTable, TableApp]]:
    app = TableApp(plain=plain)
    async with app.run_test(size=size) as pilot:
        table = app.query_one(LiveTable)
        table.set_rows(range(count), lines(count))
        await pilot.pause()
        yield pilot, table, app


def shown(table: LiveTable) -> list[str]:
    return [table.render_line(y).text.rstrip() for y in range(table.size.height)]


async def test_rows_stand_under_their_headings() -> None:
    async with running(3) as (_, table, _app):
        assert shown(table)[0].split() == ["Name", "State", "Rows", "Error"]
        assert shown(table)[1].split() == ["row", "0", "○", "pending", "0"]


async def test_only_the_changed_line_is_painted() -> None:
    async with running() as (pilot, table, app):
        app.painted.clear()
        table.update_rows({4: ("row 4", "running", 5, ""), 90: ("row 90", "failed", 5, "out of sight")})
        await pilot.pause()
        assert set(app.painted) == {5}
        assert "► running" in shown(table)[5]


async def test_no_change_paints_nothing() -> None:
    async with running() as (pilot, table, app):
        app.painted.clear()
        table.update_rows({})
        table.update_rows({90: ("row 90", "failed", 5, "")})
        await pilot.pause()
        assert app.painted == []


async def test_a_new_row_below_the_screen_paints_no_line() -> None:
    async with running() as (pilot, table, app):
        app.painted.clear()
        table.update_rows({"new": ("new", "pending", 0, "")})
        await pilot.pause()
        assert app.painted == []
        assert table.row_count == 101


@pytest.mark.parametrize(
    ("keys", "row"),
    [
        (["down"], 1),
        (["j", "j", "k"], 1),
        (["end"], 99),
        (["G", "home"], 0),
        (["G", "g"], 0),
        (["pagedown"], 22),
        (["pagedown", "pagedown", "pageup"], 22),
        (["up"], 0),
        (["end", "down"], 99),
    ],
)
async def test_the_cursor_moves_and_stays_in_sight(keys: list[str], row: int) -> None:
    async with running() as (pilot, table, app):
        await pilot.press(*keys)
        assert table.cursor_key == row
        assert any(f"row {row} " in line for line in shown(table))
        assert app.said[-1] == ("RowHighlighted", row)


async def test_enter_selects_the_row_under_the_cursor() -> None:
    async with running() as (pilot, _, app):
        await pilot.press("down", "enter")
        assert app.said[-1] == ("RowSelected", 1)


async def test_a_click_moves_and_a_second_selects() -> None:
    async with running() as (pilot, table, app):
        await pilot.click(LiveTable, offset=(5, 4))
        assert table.cursor_key == 3
        await pilot.click(LiveTable, offset=(5, 4))
        assert app.said[-1] == ("RowSelected", 3)


async def test_the_cursor_stays_on_its_row_when_rows_move() -> None:
    async with running() as (pilot, table, _):
        await pilot.press("down", "down")
        table.sort("rows", reverse=True)
        still = table.cursor_key
        await pilot.press("up")
        assert (still, table.cursor_key) == (2, 3)


async def test_a_lost_row_hands_the_cursor_to_its_neighbour() -> None:
    async with running(3) as (pilot, table, app):
        await pilot.press("end")
        table.remove_rows([2, "unknown"])
        await pilot.pause()
        assert table.cursor_key == 1
        assert app.said[-1] == ("RowHighlighted", 1)
        table.clear()
        assert table.cursor_key is None
        await pilot.press("enter", "down", "space")
        assert app.said[-1] == ("RowHighlighted", 1)


async def test_space_marks_and_goes_on() -> None:
    async with running() as (pilot, table, _):
        await pilot.press("space", "space", "down", "space")
        assert table.marked == [0, 1, 3]
        assert shown(table)[1].startswith("◆ row 0")
        await pilot.press("up", "space")
        assert table.marked == [0, 1]
        table.remove_rows([0])
        assert table.marked == [1]


async def test_marking_all_follows_the_filter() -> None:
    async with running() as (_, table, _app):
        table.filter(lambda _key, row: str(row[0]).endswith("7"))
        table.mark_all()
        table.filter(None)
        assert table.marked == [7, 17, 27, 37, 47, 57, 67, 77, 87, 97]


async def test_sorting_keeps_up_with_changes() -> None:
    async with running(5) as (pilot, table, _):
        table.sort("rows", reverse=True)
        table.update_rows({0: ("row 0", "pending", 99, ""), "new": ("new", "pending", 2, "")})
        await pilot.pause()
        assert table.shown_keys() == [0, 4, 3, "new", 2, 1]
        assert "▼" in shown(table)[0]
        assert "row 0" in shown(table)[1]
        table.sort(None)
        assert table.shown_keys() == [0, 1, 2, 3, 4, "new"]
        with pytest.raises(KeyError):
            table.sort("nothing")


async def test_a_row_enters_and_leaves_the_filter_by_its_change() -> None:
    async with running(5) as (_, table, _app):
        table.filter(lambda _key, row: row[1] == "failed")
        assert "Nothing matches" in shown(table)[1]
        table.update_rows({3: ("row 3", "failed", 3, "x"), 1: ("row 1", "failed", 1, "x")})
        assert table.shown_keys() == [1, 3]
        table.update_rows({1: ("row 1", "completed", 1, "")})
        assert table.shown_keys() == [3]


async def test_an_empty_table_says_so() -> None:
    async with running(0) as (_, table, _app):
        assert shown(table)[1] == "Nothing here yet"
        table.update_rows({1: lines(1)[0]})
        assert "row 0" in shown(table)[1]


async def test_ascii_where_the_locale_asks_for_it() -> None:
    async with running(3, plain=True) as (pilot, table, _):
        table.update_rows({1: ("x" * 99, "failed", 1, "")})
        table.sort("name")
        await pilot.press("space")
        assert "".join(shown(table)).isascii()
        assert any("X failed" in line for line in shown(table))


async def test_styled_cells_keep_their_width_and_lose_their_markup() -> None:
    async with running(3) as (_, table, _app):
        table.update_rows({0: ("[red]x[/red]", "running", 1, Text("y" * 99, "red")), 1: ("漢字" * 20, "?", 2, "")})
        rows = [table.render_line(y) for y in range(4)]
        assert {row.cell_length for row in rows} == {table.size.width}
        assert "[red]x[/red]" in rows[1].text
        assert "y…" in rows[1].text
        assert "? ?" in rows[2].text


async def test_a_hundred_thousand_rows() -> None:
    async with running(100_000) as (pilot, table, _):
        await pilot.press("end")
        assert table.cursor_key == 99_999
        table.update_rows({key: (f"row {key}", "failed", key, "") for key in range(0, 100_000, 3)})
        table.filter(lambda _key, row: row[1] == "failed")
        assert table.row_count == 33_334


@pytest.mark.parametrize(
    ("width", "kept"),
    [(80, "name state rows error"), (40, "name state rows"), (30, "name state"), (12, "name")],
)
def test_low_priority_columns_give_way_first(width: int, kept: str) -> None:
    fitted = fit_columns(COLUMNS, width)
    assert " ".join(COLUMNS[index].key for index, _ in fitted) == kept
    assert sum(cells for _, cells in fitted) + 2 * (len(fitted) - 1) <= width


@pytest.mark.parametrize("text", ["", "x", "abcdefgh", "漢字漢字漢字", "é" * 9])
@pytest.mark.parametrize("width", [0, 1, 2, 5, 9])
def test_text_is_fitted_to_the_cell(text: str, width: int) -> None:
    assert Text(fit_text(text, width)).cell_len == width
    assert Text(fit_text(text, width, "right")).cell_len == width
