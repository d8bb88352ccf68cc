"""The queue screen as an operator uses it: jobs done, failed, searched, steered, live, here and elsewhere."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.program import Result, finish, run, start
from tests.terminal.console import WORKSPACE, Open, Workspace, said
from tests.terminal.hostile import HOSTILE
from tests.terminal.pty_screen import PtyScreen
from tests.terminal.test_console_hostile import only_its_own
from tests.terminal.test_console_idle import quiet

pytestmark = pytest.mark.terminal

MODULE = """\
import asyncio
from pathlib import Path


async def send(job):
    job.add_log(f"opening the box of {job.payload}")
    if job.payload == "full":
        raise ValueError("mailbox is full")
    if job.payload == "slow":
        job.update_progress(40)
        while not Path("go").exists():
            await asyncio.sleep(0.05)
        job.add_log("the box is open")
    return "sent"
"""

RUNBOOK = """\
[[queue]]
name = "mail"
processor = "jobs:send"
concurrency = 2
"""


@pytest.fixture(autouse=True)
def runbook(tmp_path: Path) -> None:
    """A runbook whose queue the console works on."""
    (tmp_path / "jobs.py").write_text(MODULE)
    (tmp_path / "streamconsole.toml").write_text(RUNBOOK)


def queue(folder: Path, *arguments: str) -> Result:
    """`streamconsole queue …` in a process without a terminal."""
    done = run("queue", *arguments, "--workspace", WORKSPACE, cwd=folder)
    assert done.code == 0, done
    return done


def add(folder: Path, payload: str, *options: str, name: str = "letter") -> None:
    queue(folder, "add", "mail", name, "--payload", json.dumps(payload), *options)


def states(workspace: Workspace) -> dict[str, int]:
    return dict(workspace.ask("SELECT state, count(*) FROM jobs GROUP BY state"))


def at_queues(screen: PtyScreen) -> None:
    """The screen is up and its worker has begun."""
    screen.keys("3")
    screen.wait_for("this console")


def test_jobs_are_done_here_and_seen_live(console: Open, workspace: Workspace, tmp_path: Path) -> None:
    screen = console()
    at_queues(screen)
    screen.wait_for("mail  idle")
    for payload in ("ann", "bob", "full"):
        add(tmp_path, payload)
    screen.wait_for("completed 2")
    screen.wait_for("failed 1")
    assert states(workspace) == {"completed": 2, "failed": 1}
    screen.keys("enter", "right", "right", "right")
    screen.wait_for("✓ completed")
    screen.keys("right")
    screen.wait_for("ValueError: mailbox is full")
    screen.keys("q")
    assert screen.wait_exit() == 0
    assert "queue mail: 2 jobs completed, 1 failed" in said(screen)


def test_a_job_in_full_follows_its_log(console: Open, workspace: Workspace, tmp_path: Path) -> None:
    add(tmp_path, "slow")
    screen = console(rows=40)
    at_queues(screen)
    screen.wait_for("active 1")
    screen.keys("enter", "right")
    screen.wait_for("40%")
    screen.keys("enter")
    screen.wait_for("mail: job 1")
    screen.wait_for("opening the box of slow")
    (tmp_path / "go").touch()
    screen.wait_for("the box is open")
    screen.wait_for('"sent"')
    screen.wait_for("completed, 1 attempts made")
    screen.keys("escape")
    screen.wait_for("? Help")


def test_pause_holds_jobs_and_resume_lets_them_go(console: Open, workspace: Workspace, tmp_path: Path) -> None:
    screen = console()
    at_queues(screen)
    screen.wait_for("p Pause")
    screen.keys("p")
    screen.wait_for("‖ paused")
    screen.wait_for("no new job starts")
    add(tmp_path, "ann")
    screen.wait_for("waiting 1")
    assert states(workspace) == {"waiting": 1}
    screen.keys("p")
    screen.wait_for("completed 1")
    queue(tmp_path, "pause", "mail")
    screen.wait_for("‖ paused")


def test_failed_jobs_are_retried_one_and_all(console: Open, workspace: Workspace, tmp_path: Path) -> None:
    for _ in range(3):
        add(tmp_path, "full")
    screen = console()
    at_queues(screen)
    screen.wait_for("failed 3")
    screen.keys("enter", "left", "left")
    screen.wait_for("✗ failed")
    screen.keys("t")
    screen.wait_for(": retried")
    screen.wait_until(lambda: _failures(workspace) == 4, "a fourth failed attempt")
    screen.keys("a")
    screen.wait_for("Retry 3 failed jobs of queue mail?")
    screen.keys("n")
    screen.wait_gone("Retry 3 failed jobs of queue mail?")
    assert _failures(workspace) == 4
    screen.keys("a")
    screen.wait_for("Retry 3 failed jobs of queue mail?")
    screen.keys("y")
    screen.wait_for("3 jobs retried")
    screen.wait_until(lambda: _failures(workspace) == 7, "three more failed attempts")


def _failures(workspace: Workspace) -> int:
    return int(workspace.ask("SELECT count(*) FROM job_failures")[0][0])


def test_active_jobs_are_cancelled_and_delayed_ones_promoted(
    console: Open, workspace: Workspace, tmp_path: Path
) -> None:
    add(tmp_path, "slow")
    add(tmp_path, "ann", "--delay", "1h")
    screen = console()
    at_queues(screen)
    screen.wait_for("active 1")
    screen.keys("enter", "right")
    screen.wait_for("► active")
    screen.keys("C")
    screen.wait_for("Cancel job 1 of queue mail?")
    screen.keys("y")
    screen.wait_for("failed 1")
    assert workspace.ask("SELECT failure FROM jobs WHERE seq = 1") == [("cancelled",)]
    screen.keys("right")
    screen.wait_for("◷ delayed")
    screen.keys("i")
    screen.wait_for("Which priority has job 2")
    screen.keys("7", "enter")
    screen.wait_for("job 2: priority 7")
    assert workspace.ask("SELECT priority FROM jobs WHERE seq = 2") == [(7,)]
    screen.keys("o")
    screen.wait_for("completed 1")
    assert workspace.ask("SELECT state FROM jobs WHERE seq = 2") == [("completed",)]


def test_a_search_finds_and_what_it_found_is_removed(console: Open, workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "boxes.ndjson").write_text("".join(f'{{"name": "b", "payload": "box {n}"}}\n' for n in range(12)))
    queue(tmp_path, "add", "mail", "--from", "boxes.ndjson")
    queue(tmp_path, "pause", "mail")
    screen = console()
    at_queues(screen)
    screen.wait_for("waiting 12")
    screen.keys("/")
    screen.wait_for("Search waiting jobs")
    screen.keys("BOX 1", "enter")
    screen.wait_for("/BOX 1")
    screen.wait_until(lambda: screen.text.count('"box 1') == 3, "what was searched for")
    assert '"box 2' not in screen.text
    screen.keys("X")
    screen.wait_for("Remove 3 waiting jobs of queue mail")
    screen.wait_for("that hold “BOX 1”")
    screen.keys("y")
    screen.wait_for("3 jobs removed")
    assert states(workspace) == {"waiting": 9}
    screen.keys("escape")
    screen.wait_for("box 2")
    screen.keys("space", "space", "D")
    screen.wait_for("Remove 2 marked jobs")
    screen.keys("y")
    screen.wait_for("waiting 7")
    assert states(workspace) == {"waiting": 7}


def test_work_of_another_process_is_followed_to_its_end(console: Open, workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "streamconsole.toml").unlink()
    add(tmp_path, "slow")
    screen = console(cols=140)
    screen.keys("3")
    screen.wait_for("waiting 1")
    screen.wait_for("nobody works on it")
    worker = start("queue", "work", "mail", "--processor", "jobs:send", "--workspace", WORKSPACE, cwd=tmp_path)
    screen.wait_for(f"pid {worker.pid}: 1")
    worker.kill()
    finish(worker)
    screen.wait_for("(dead)")
    second = start("queue", "work", "mail", "--processor", "jobs:send", "--workspace", WORKSPACE, cwd=tmp_path)
    screen.wait_for(f"pid {second.pid}: 1")
    (tmp_path / "go").touch()
    screen.wait_for("completed 1")
    second.send_signal(signal.SIGTERM)
    finish(second)
    screen.wait_gone("(dead)")


def test_quitting_waits_for_active_jobs(console: Open, workspace: Workspace, tmp_path: Path) -> None:
    add(tmp_path, "slow")
    screen = console()
    at_queues(screen)
    screen.wait_for("active 1")
    screen.keys("q")
    screen.wait_for("queue mail: 1 job to finish")
    (tmp_path / "go").touch()
    assert screen.wait_exit() == 0
    assert states(workspace) == {"completed": 1}


def test_what_does_not_finish_in_time_is_handed_back(console: Open, workspace: Workspace, tmp_path: Path) -> None:
    add(tmp_path, "slow")
    screen = console("--drain-timeout", "1s")
    at_queues(screen)
    screen.wait_for("active 1")
    screen.keys("q")
    assert screen.wait_exit() == 0
    assert "1 handed back" in said(screen)
    assert workspace.ask("SELECT state, attempts_made FROM jobs") == [("waiting", 0)]


def test_without_its_terminal_it_ends_when_the_queue_is_empty(
    console: Open, workspace: Workspace, tmp_path: Path
) -> None:
    add(tmp_path, "slow")
    screen = console()
    at_queues(screen)
    screen.wait_for("active 1")
    screen.hang_up()
    add(tmp_path, "ann")
    (tmp_path / "go").touch()
    screen.process.wait(30)
    assert states(workspace) == {"completed": 2}


def test_without_its_terminal_it_does_not_wait_for_a_paused_queue(
    console: Open, workspace: Workspace, tmp_path: Path
) -> None:
    screen = console()
    at_queues(screen)
    screen.wait_for("p Pause")
    screen.keys("p")
    screen.wait_for("‖ paused")
    add(tmp_path, "ann")
    screen.wait_for("waiting 1")
    screen.hang_up()
    screen.process.wait(30)
    assert states(workspace) == {"waiting": 1}


def test_the_workers_here_rest_and_take_more_at_once(console: Open, workspace: Workspace, tmp_path: Path) -> None:
    screen = console(cols=120)
    at_queues(screen)
    screen.keys("+")
    screen.wait_for("this console 0/3")
    screen.keys("w")
    screen.wait_for("(resting)")
    add(tmp_path, "ann")
    screen.wait_for("waiting 1")
    assert workspace.ask("SELECT paused FROM queues") == [(0,)]
    screen.keys("w")
    screen.wait_for("completed 1")


def test_read_only_takes_no_job_and_changes_nothing(console: Open, workspace: Workspace, tmp_path: Path) -> None:
    add(tmp_path, "ann")
    screen = console("--read-only")
    screen.keys("3")
    screen.wait_for("nobody works on it")
    for key in ("p", "a", "C", "D", "X", "t", "o", "i", "w"):
        screen.keys(key)
        screen.wait_quiet()
        assert "read-only" in screen.text, key
    assert states(workspace) == {"waiting": 1}
    assert workspace.ask("SELECT paused FROM queues") == [(0,)]


def test_hostile_jobs_are_inert(console: Open, workspace: Workspace, tmp_path: Path) -> None:
    texts = [text.encode("utf-8", "replace").decode() for text in HOSTILE]
    rows = [{"name": text[:100], "payload": {text: text}} for text in texts]
    (tmp_path / "hostile.ndjson").write_text("".join(json.dumps(row) + "\n" for row in rows))
    module = (
        f"HOSTILE = {texts!r}\ndef send(job):\n    job.add_log(HOSTILE[0])\n    raise ValueError(' '.join(HOSTILE))\n"
    )
    (tmp_path / "jobs.py").write_text(module)
    queue(tmp_path, "add", "mail", "--from", "hostile.ndjson")
    screen = console(rows=40, cols=140)
    at_queues(screen)
    screen.wait_for(f"failed {len(texts)}")
    screen.keys("enter", "left", "left")
    screen.wait_for("✗ failed")
    for _ in range(5):
        screen.keys("down", "enter")
        screen.wait_for("mail: job")
        screen.keys("pagedown", "pagedown", "end", "escape")
        screen.wait_quiet()
    screen.keys("/")
    screen.wait_for("Search failed jobs")
    screen.keys("owned", "enter")
    screen.wait_for("/owned")
    screen.wait_quiet()
    screen.keys("q")
    screen.wait_exit()
    only_its_own(screen)


@pytest.mark.alone
def test_idle_queues_cost_nothing(console: Open, workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "streamconsole.toml").unlink()
    add(tmp_path, "ann", "--delay", "1h")
    screen = console()
    screen.wait_for("delayed 1")
    quiet(screen)
    screen.keys("1")
    screen.wait_for("mail  1 delayed")
    quiet(screen)


@pytest.mark.alone
def test_a_worker_that_waits_sends_nothing(console: Open, workspace: Workspace, tmp_path: Path) -> None:
    add(tmp_path, "ann", "--delay", "1h")
    screen = console()
    at_queues(screen)
    screen.wait_for("delayed 1")
    screen.wait_quiet(4.0)


def test_the_overview_shows_queues_and_opens_them(console: Open, workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "streamconsole.toml").unlink()
    screen = console()
    screen.wait_for("Next steps")
    add(tmp_path, "ann")
    screen.wait_for("mail  1 waiting")
    add(tmp_path, "bob")
    screen.wait_for("mail  2 waiting")
    screen.keys("tab", "enter")
    screen.wait_for("nobody works on it")
