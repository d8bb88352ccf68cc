"""Every theme has every colour that states ask for, and every terminal gets one it can show."""

from __future__ import annotations

import pytest
from rich.cells import cell_len
from textual.app import App
from textual.color import Color

from streamconsole import themes
from streamconsole.screens.widgets.states import STATES, State, ascii_only, state

LOOKS = [look for table in STATES.values() for look in table.values()]


@pytest.mark.parametrize("name", themes.THEMES)
@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.word)
def test_every_state_has_a_colour_that_can_be_read(name: str, look: State) -> None:
    theme = themes.THEMES[name]
    colour = Color.parse(theme.variables[look.variable])
    if not theme.ansi:
        background = Color.parse(theme.background or "black")
        assert contrast(colour, background) >= (7 if name == "contrast" else 4.5)


def contrast(one: Color, other: Color) -> float:
    """Return the contrast ratio of WCAG 2."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: Color) -> float:
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour.normalized]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


@pytest.mark.parametrize("kind", STATES)
def test_no_state_is_told_by_colour_alone(kind: str) -> None:
    table = STATES[kind]  # type: ignore[index]
    assert [word for word, look in table.items() if word != look.word] == []
    for look in table.values():
        assert cell_len(look.glyph) == cell_len(look.block) == 1
        assert look.ascii.isascii()
        assert look.ascii_block.isascii()
    assert len({look.glyph for look in table.values()}) == len(table)


def test_an_unknown_state_is_shown() -> None:
    assert state("run", "strange").glyph == "?"


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"TERM": "xterm-256color"}, "console-dark"),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, "console-dark"),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, "terminal"),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, "console-dark"),
        ({"TERM": "linux"}, "terminal"),
        ({"TERM": "vt100"}, "terminal"),
        ({}, "terminal"),
        ({"TERM": "xterm-256color", "COLORFGBG": "0;15"}, "console-light"),
        ({"TERM": "xterm-256color", "COLORFGBG": "15;0"}, "console-dark"),
        ({"TERM": "linux", "STREAMCONSOLE_THEME": "contrast"}, "contrast"),
        ({"TERM": "linux", "STREAMCONSOLE_THEME": "no such"}, "terminal"),
    ],
)
def test_the_terminal_chooses(environ: dict[str, str], name: str) -> None:
    assert themes.choose(environ) == name


@pytest.mark.parametrize("name", themes.THEMES)
async def test_each_theme_can_be_put_on(name: str) -> None:
    class Bare(App[None]):
        CSS = "Screen { color: $state-running; }"

        def get_theme_variable_defaults(self) -> dict[str, str]:
            return dict(themes.STATE_DEFAULTS)

    app = Bare()
    async with app.run_test() as pilot:
        themes.install(app, name)
        await pilot.pause()
        assert app.current_theme is themes.THEMES[name]


@pytest.mark.parametrize(
    ("environ", "plain"),
    [
        ({}, False),
        ({"LANG": "C.UTF-8"}, False),
        ({"LANG": "de_DE.utf8"}, False),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "C"}, True),
        ({"LANG": "de_DE.ISO-8859-1"}, True),
        ({"TERM": "linux", "LANG": "C.UTF-8"}, True),
    ],
)
def test_ascii_only_where_the_terminal_can_no_more(environ: dict[str, str], plain: bool) -> None:
    assert ascii_only(environ) is plain
