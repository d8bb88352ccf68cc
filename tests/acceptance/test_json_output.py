"""`--json`: JSON Lines on stdout, events in order, the summary last."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.acceptance.calling import Call, migrate, write_lines
from tests.program import Result, run

AT = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")


@pytest.fixture
def result(call: Call) -> Result:
    return migrate(call, "generate://orders?count=100", "sqlite:///t.db#t", "--window-rows", "10", "--workers", "3")


def test_every_line_is_an_event(result: Result) -> None:
    assert result.code == 0
    assert result.err == ""
    for event in result.events[:-1]:
        assert AT.match(event["at"])
        assert event["engine"] == "migration"
        assert event["run"] == result.summary["runs"][0]["run"]
        assert re.match(r"^[A-Z][a-z]+([A-Z][a-z]+)+$", event["event"])


def test_events_come_in_the_order_of_what_happens(result: Result) -> None:
    names = [event["event"] for event in result.events]
    assert names[0] == "RunStarted"
    assert names[-2:] == ["RunCompleted", "summary"]
    for window in range(1, 11):
        of_window = [event["event"] for event in result.events if event.get("window") == window]
        assert of_window == ["WindowStarted", "WindowCompleted"]
        times = [event["at"] for event in result.events if event.get("window") == window]
        assert times == sorted(times)


def test_the_summary(result: Result) -> None:
    summary = result.summary
    assert summary["event"] == "summary"
    assert (summary["status"], summary["exit_code"]) == ("completed", 0)
    (ended,) = summary["runs"]
    assert {"run", "engine", "name", "status", "units", "rows", "seconds"} <= set(ended)
    assert (ended["engine"], ended["name"], ended["status"]) == ("migration", "t", "completed")
    assert ended["units"] == {"completed": 10, "failed": 0, "pending": 0}
    assert (ended["rows"], ended["rows_read"], ended["rejects"]) == (100, 100, 0)
    assert 0 < ended["seconds"] < 60


def test_every_window_was_some_workers(result: Result) -> None:
    done = [event for event in result.events if event["event"] == "WindowCompleted"]
    assert {event["worker"] for event in done} <= {1, 2, 3}
    assert sorted((event["lo"], event["hi"]) for event in done) == [(lo, lo + 10) for lo in range(0, 100, 10)]
    assert sum(event["rows"] for event in done) == 100


def test_rejects_make_it_incomplete(call: Call, folder: Path) -> None:
    result = migrate(call, str(write_lines(folder / "s.ndjson", '{"_id":1}', "{")))
    assert result.code == 1
    assert (result.summary["status"], result.summary["exit_code"]) == ("incomplete", 1)
    assert result.summary["runs"][0]["rejects"] == 1


def test_a_lost_side_is_a_failure(tmp_path: Path) -> None:
    arguments = ("migrate", "generate://orders?count=100", "sqlite:///t.db#t", "--window-rows", "10", "--json")
    result = run(*arguments, "--workspace", "w.db", cwd=tmp_path, faults="lost@window.after_write:5")
    assert result.code == 3
    assert (result.summary["status"], result.summary["exit_code"]) == ("failure", 3)
    assert result.summary["runs"][0]["status"] == "failure"
    assert "fault injected" in result.summary["runs"][0]["reason"]
    (failed,) = [event for event in result.events if event["event"] == "RunFailed"]
    assert failed["side"] == "target"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("migrate", "no.ndjson", "sqlite:///t.db#t"), "no.ndjson does not exist"),
        (("migrate", "--resume", "nope"), "there is no run nope"),
    ],
    ids=["bad source", "no such run"],
)
def test_a_refusal_is_a_summary_too(arguments: tuple[str, ...], word: str, call: Call) -> None:
    result = call(*arguments, "--json", "--workspace", "w.db")
    assert result.code == 2
    assert (result.summary["status"], result.summary["exit_code"]) == ("refused", 2)
    assert result.summary["runs"] == []
    assert word in result.summary["refused"][0]
    assert len(result.err.splitlines()) == 1


def test_options_stand_before_the_verb_too(call: Call) -> None:
    result = call("--json", "--workspace", "w.db", "migrate", "generate://orders?count=5", "o.ndjson")
    assert result.code == 0
    assert result.summary["status"] == "completed"
    assert Path("w.db").exists()


def test_hostile_text_stays_inert_and_valid(call: Call, folder: Path) -> None:
    source = write_lines(folder / "a\x1b[31m\u202e.ndjson", '{"_id":1}', '{"_id":"\\u001b]0;x\\u0007", bad')
    result = migrate(call, str(source), "sqlite:///t.db#t")
    assert result.code == 1
    assert "\x1b" not in result.out
    plain = call("migrate", str(source), "sqlite:///t.db#u", "--no-ui", "--workspace", "w.db")
    assert plain.code == 1
    assert "\x1b" not in plain.out + plain.err
    assert "\u202e" not in plain.out + plain.err
