"""What people type in their first hour: options before or after the verb, verbs left out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acceptance.calling import Call


@pytest.mark.parametrize("group", ["runs", "workspace"])
def test_a_group_without_a_verb_lists_what_there_is(group: str, call: Call) -> None:
    result = call(group)
    assert result.code == 2
    assert f"Usage: streamconsole {group}" in result.err.splitlines()[0]
    assert "⏎" not in result.err


@pytest.mark.parametrize("position", range(3))
def test_common_options_stand_anywhere(position: int, call: Call) -> None:
    assert call("migrate", "generate://orders?count=5", "o.ndjson", "--no-ui", "--workspace", "w.db").code == 0
    words = ["runs", "list"]
    words[position:position] = ["--json", "--workspace", "w.db"]
    listed = call(*words)
    assert listed.code == 0, listed
    assert json.loads(listed.out)["name"] == "o"


def test_looking_where_nothing_is_says_where_and_makes_nothing(call: Call, folder: Path) -> None:
    result = call("runs", "list")
    assert result.code == 2
    assert f"there is no workspace {folder}/.streamconsole/workspace.db" in result.err
    assert "migrate SOURCE TARGET" in result.err
    assert not list(folder.iterdir())


def test_one_is_not_many(call: Call) -> None:
    result = call("migrate", "generate://orders?count=1", "o.ndjson", "--workers", "1", "--workspace", "w.db")
    assert "1 worker\n" in result.err
    assert "1 row in 1 window, " in result.out


def test_one_window_of_a_run_that_nobody_has_is_not_taken_for_all(call: Call) -> None:
    assert call("migrate", "generate://orders?count=5", "o.ndjson", "--workspace", "w.db").code == 0
    result = call("runs", "retry", "o", "--window", "1", "--workspace", "w.db")
    assert result.code == 2
    assert "leave out --window" in result.err
    assert len(result.err.splitlines()) == 1
