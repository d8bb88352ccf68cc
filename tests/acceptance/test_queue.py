"""`streamconsole queue …` as a user calls it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.calling import Call, assert_refused, write_lines
from tests.program import Result

MODULE = """
import time

async def double(job):
    job.add_log(f"doubling {job.payload}")
    if job.payload == 13:
        raise ValueError("13 brings bad luck")
    return job.payload * 2

def slow(job):
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def module(folder: Path) -> None:
    (folder / "jobs.py").write_text(MODULE)


def lines(result: Result) -> list[dict[str, Any]]:
    assert result.code in (0, 1), result
    return [json.loads(line) for line in result.out.splitlines()]


def counts(call: Call) -> dict[str, int]:
    (found,) = lines(call("queue", "counts", "mail", "--json"))
    return {state: count for state, count in found.items() if state not in ("queue", "paused") and count}


def separate(*arguments: str, **given: Any) -> subprocess.Popen[str]:
    """The program as a process of its own, in the present folder."""
    return subprocess.Popen(
        [sys.executable, "-m", "streamconsole", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        **given,
    )


def work(call: Call, *options: str) -> Result:
    return call("queue", "work", "mail", "--processor", "jobs:double", "--until-empty", *options)


def test_jobs_are_added_done_and_looked_at(call: Call) -> None:
    (added,) = lines(call("queue", "add", "mail", "one", "--payload", "21", "--attempts", "2", "--json"))
    assert (added["event"], added["id"], added["state"]) == ("added", "1", "waiting")
    assert counts(call) == {"waiting": 1}
    done = work(call, "--json", "--concurrency", "4")
    assert done.code == 0
    summary = lines(done)[-1]
    assert summary["status"] == "completed"
    assert summary["runs"][0]["units"] == {"completed": 1, "failed": 0, "handed_back": 0}
    (shown,) = lines(call("queue", "show", "mail", "1", "--json"))
    assert (shown["state"], shown["result"], shown["options"]) == ("completed", 42, {"attempts": 2})
    assert [event["name"] for event in shown["timeline"]] == ["added", "active", "completed"]
    assert [line["line"] for line in lines(call("queue", "logs", "mail", "1", "--json"))] == ["doubling 21"]
    (minute,) = lines(call("queue", "metrics", "mail", "--json"))
    assert (minute["completed"], minute["failed"]) == (1, 0)


def test_a_failed_job_is_told_kept_and_retried(call: Call) -> None:
    call("queue", "add", "mail", "one", "--payload", "13")
    done = work(call)
    assert done.code == 1
    assert "13 brings bad luck" in done.err
    assert "1 failed" in done.out
    (failed,) = lines(call("queue", "list", "mail", "--state", "failed", "--failure", "bad luck", "--json"))
    assert failed["failure"] == "ValueError: 13 brings bad luck"
    assert call("queue", "update", "mail", failed["id"], "--payload", "14").code == 2
    assert call("queue", "retry", "mail", failed["id"]).code == 0
    assert call("queue", "update", "mail", failed["id"], "--payload", "14").code == 0
    assert work(call).code == 0


def test_many_jobs_come_from_a_file(call: Call, folder: Path) -> None:
    write_lines(
        folder / "jobs.ndjson",
        '{"name": "a", "payload": 1}',
        "",
        '{"name": "b", "payload": {"x": 2}, "options": {"priority": 3, "delay": 60000}}',
    )
    assert lines(call("queue", "add", "mail", "--from", "jobs.ndjson", "--json")) == [
        {"event": "added", "queue": "mail", "jobs": 2}
    ]
    assert counts(call) == {"waiting": 1, "delayed": 1}
    assert lines(call("queue", "promote", "mail", "--all", "--json"))[0]["jobs"] == 1
    assert counts(call) == {"waiting": 1, "prioritized": 1}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "line 2: the line is not JSON"),
        ("[1]", "line 2: write"),
        ('{"payload": 1}', "line 2: write"),
        ('{"name": "a", "data": 1}', "line 2: data is not known"),
        ('{"name": "a", "options": {"delay": -1}}', "line 2: options: delay"),
        ('{"name": "a", "options": {"prority": 1}}', "line 2: options: prority is not known"),
    ],
)
def test_a_file_with_one_bad_line_adds_nothing(call: Call, folder: Path, line: str, told: str) -> None:
    write_lines(folder / "jobs.ndjson", '{"name": "a"}', line)
    assert_refused(call("queue", "add", "mail", "--from", "jobs.ndjson"), "jobs.ndjson", told)
    assert not (folder / ".streamconsole").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("add", "mail", "a", "--payload", "{bad"), "payload of job 'a' is not JSON"),
        (("add", "mail", "a", "--priority", "9999999999"), "priority"),
        (("add", "mail", "a", "--delay", "-5"), "out of range"),
        (("add", "mail", "a", "--options", '{"attempts": "many"}'), "attempts"),
        (("add", "mail", "a", "--options", "[]"), "write an object"),
        (("add", "mail", "--from", "missing.ndjson"), "missing.ndjson cannot be read"),
        (("add", "mail"), "give either NAME or --from"),
        (("counts", "mial"), "did you mean mail?"),
        (("list", "mail", "--where", "a b=1"), "no place in a payload"),
        (("show", "mail", "77"), "has no job 77"),
        (("retry", "mail"), "name jobs, or say --all"),
        (("remove", "mail", "--all"), "say which"),
        (("obliterate", "mail"), "must be paused"),
        (("work", "mail", "--processor", "nowhere:f"), "there is no module nowhere"),
        (("work", "mail", "--processor", "jobs:g"), "module jobs has no function g"),
        (("schedule", "mail", "s", "--cron", "every day"), "is no cron expression"),
        (("schedule", "mail", "s", "--cron", "0 3 * * *", "--tz", "Mars/Base"), "no time zone 'Mars/Base'"),
        (("settings", "mail", "--set", "limiter=5"), "limiter"),
    ],
)
def test_what_makes_no_sense_is_refused(call: Call, arguments: tuple[str, ...], told: str) -> None:
    call("queue", "add", "mail", "one")
    assert_refused(call("queue", *arguments), told)
    assert counts(call) == {"waiting": 1}


def test_without_a_workspace_there_is_nothing_to_look_at(call: Call) -> None:
    assert_refused(call("queue", "counts"), "there is no workspace")


def test_a_paused_queue_waits_and_is_cleared_away(call: Call) -> None:
    call("queue", "add", "mail", "one")
    assert call("queue", "pause", "mail").code == 0
    assert lines(call("queue", "counts", "mail", "--json"))[0]["paused"] is True
    assert call("queue", "cancel", "mail", "1").code == 0
    assert call("queue", "resume", "mail").code == 0
    assert counts(call) == {"failed": 1}
    assert lines(call("queue", "clean", "mail", "--state", "failed", "--json"))[0]["jobs"] == 1
    call("queue", "pause", "mail")
    assert call("queue", "obliterate", "mail").code == 0
    assert lines(call("queue", "counts", "--json")) == []


def test_schedules_are_made_listed_and_removed(call: Call) -> None:
    assert call("queue", "schedule", "mail", "nightly", "--cron", "0 3 * * *", "--tz", "Europe/Berlin").code == 0
    (found,) = lines(call("queue", "schedule", "mail", "--json"))
    assert (found["id"], found["when"], found["fired"]) == ("nightly", "0 3 * * *", 0)
    assert call("queue", "schedule", "mail", "nightly", "--remove").code == 0
    assert_refused(call("queue", "schedule", "mail", "nightly", "--remove"), "has no schedule nightly")


def test_a_command_does_the_jobs(call: Call) -> None:
    call("queue", "add", "mail", "one", "--payload", '{"a": 1}')
    assert call("queue", "work", "mail", "--processor", "exec:cat", "--until-empty").code == 0
    assert lines(call("queue", "show", "mail", "1", "--json"))[0]["result"] == {"a": 1}


def test_a_signal_hands_back_what_is_not_done(call: Call, folder: Path) -> None:
    call("queue", "add", "mail", "one")
    arguments = ("queue", "work", "mail", "--processor", "jobs:slow", "--json", "--drain-timeout", "0.2s")
    process = separate(*arguments, cwd=folder)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["event"] == "JobActive"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 143
    assert json.loads(out.splitlines()[-1])["runs"][0]["units"]["handed_back"] == 1
    assert "Traceback" not in err
    assert counts(call) == {"waiting": 1}


def test_a_job_is_cancelled_from_another_process(call: Call, folder: Path) -> None:
    call("queue", "add", "mail", "one", "--attempts", "3")
    arguments = ("queue", "work", "mail", "--processor", "jobs:slow", "--processes", "--until-empty", "--json")
    process = separate(*arguments, cwd=folder)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["event"] == "JobActive"
    assert call("queue", "cancel", "mail", "1").code == 0
    process.communicate(timeout=30)
    assert process.returncode == 1
    (found,) = lines(call("queue", "list", "mail", "--json"))
    assert (found["state"], found["failure"]) == ("failed", "cancelled")


def test_several_processes_share_a_queue(call: Call, folder: Path) -> None:
    write_lines(folder / "jobs.ndjson", *[json.dumps({"name": "a", "payload": n + 20}) for n in range(2_000)])
    call("queue", "add", "mail", "--from", "jobs.ndjson")
    options = ("--until-empty", "--concurrency", "20")
    workers = [separate("queue", "work", "mail", "--processor", "jobs:double", *options, cwd=folder) for _ in range(3)]
    ends = [process.communicate(timeout=60) for process in workers]
    assert [process.returncode for process in workers] == [0, 0, 0], ends
    done = [int(re.search(r"([\d,]+) jobs? completed", out)[1].replace(",", "")) for out, _ in ends]  # type: ignore[index]
    assert sum(done) == 2_000
    assert counts(call) == {"completed": 2_000}


RUNBOOK = """
[[queue]]
name = "mail"
processor = "jobs:double"
concurrency = 5
settings = { defaults = { attempts = 2 } }
schedule = [{ id = "yearly", cron = "0 0 1 1 *", payload = 1 }]
"""


def test_a_runbook_empties_its_queues(call: Call, folder: Path) -> None:
    (folder / "book.toml").write_text(RUNBOOK)
    for n in (1, 2, 13):
        call("queue", "add", "mail", "one", "--payload", str(n))
    done = call("book.toml", "--no-ui", "--json")
    assert done.code == 1
    assert lines(done)[-1]["runs"][0]["units"] == {"completed": 2, "failed": 1, "handed_back": 0}
    (failed,) = lines(call("queue", "list", "mail", "--state", "failed", "--json"))
    assert failed["attempts_made"] == 1, "defaults are for jobs added later"
    assert lines(call("queue", "settings", "mail", "--json"))[0]["defaults"]["attempts"] == 2
    assert [each["id"] for each in lines(call("queue", "schedule", "mail", "--json"))] == ["yearly"]
    assert call("doctor", "book.toml").code == 0


@pytest.mark.parametrize(
    ("was", "becomes", "told"),
    [
        ("jobs:double", "jobs:trouble", "module jobs has no function trouble"),
        ("concurrency", "concurency", "did you mean concurrency?"),
        ("0 0 1 1 *", "0 0 1 1", "is no cron expression"),
        ("attempts = 2", 'attempts = "2"', "queue[0].settings.defaults.attempts"),
        ('id = "yearly", ', "", "schedule[0].id is missing"),
    ],
)
def test_a_runbook_with_a_mistake_in_a_queue_is_refused(
    call: Call, folder: Path, was: str, becomes: str, told: str
) -> None:
    (folder / "book.toml").write_text(RUNBOOK.replace(was, becomes))
    assert_refused(call("book.toml", "--no-ui"), told)
    assert call("doctor", "book.toml").code == 2
