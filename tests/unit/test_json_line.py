"""Lines of JSON: inert on a terminal, and the same to whoever parses them."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from streamconsole.json_line import json_line


@given(st.dictionaries(st.text(), st.text()))
def test_a_line_is_inert_and_means_the_same(value: dict[str, str]) -> None:
    line = json_line(value)
    assert line.endswith("\n")
    assert line[:-1].isprintable()
    assert json.loads(line) == value


def test_what_steers_a_terminal_is_written_by_its_number() -> None:
    line = json_line({"row": "\x1b[2J \x9b2J \x7f \u202e \U000e0041 é 漢"})
    assert line == '{"row":"\\u001b[2J \\u009b2J \\u007f \\u202e \\udb40\\udc41 é 漢"}\n'
