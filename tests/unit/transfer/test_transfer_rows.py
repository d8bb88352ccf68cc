"""What is said of a transfer: how far it is, and that what failed comes first."""

from __future__ import annotations

import pytest

from streamconsole.engines.states import EngineKind, FileState, RunState
from streamconsole.engines.workspace.chunks import begun_of
from streamconsole.engines.workspace.runs import Run
from streamconsole.engines.workspace.windows import Totals
from streamconsole.screens.transfer_loading import FileLine
from streamconsole.screens.transfer_rows import file_row, transfer_lines
from streamconsole.screens.views import RunView


def view(name: str, state: RunState, *, failed: int = 0, done: int = 0, here: bool = True) -> RunView:
    run = Run(name, EngineKind.TRANSFER, name, state, None, {"upload": "f"}, {"size": 1000}, None, 1, 0, 0, None)
    return RunView(run, here, "", Totals(failed=failed, offset_done=done), 8)


def test_of_a_stream_counts_what_was_read_of_other_files_what_is_settled() -> None:
    assert begun_of(1000, hashed=900, packed=0, settled=400) == 400
    assert begun_of(1000, hashed=900, packed=50, settled=50) == 900
    assert begun_of(1000, hashed=0, packed=0, settled=None) == 0
    assert begun_of(10, hashed=0, packed=0, settled=400) == 10


def test_what_failed_stands_first_and_what_has_no_room_is_counted() -> None:
    views = [
        view("old", RunState.COMPLETED),
        view("now", RunState.RUNNING, done=250),
        view("bad", RunState.COMPLETED, failed=2),
    ]
    assert [line.split()[0] for line in transfer_lines(views, 5).plain.split("\n")] == ["bad", "now", "old"]
    assert transfer_lines(views, 2).plain.split("\n")[-1] == "and 2 more"
    assert transfer_lines(views, 1).plain.endswith("2 failed  (+2 more)")
    assert "now  running  25% of 1000 B" in transfer_lines(views, 5).plain
    assert "upload FILE" in transfer_lines([], 5).plain


@pytest.mark.parametrize(
    ("state", "run", "word"),
    [
        (FileState.RUNNING, RunState.RUNNING, "running"),
        (FileState.RUNNING, RunState.PAUSED, "paused"),
        (FileState.RUNNING, RunState.CANCELLED, "cancelled"),
        (FileState.DONE, RunState.PAUSED, "completed"),
        (FileState.FAILED, RunState.RUNNING, "failure"),
    ],
)
def test_a_file_is_no_better_off_than_its_transfer(state: FileState, run: RunState, word: str) -> None:
    line = FileLine(1, "f", 0, state, 0, 0, None, 0, None)
    assert file_row(line, view("t", run))[0] == word
