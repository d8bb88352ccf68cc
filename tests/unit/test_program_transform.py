"""`exec`: programs that do their work, and every way of not doing it."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from streamconsole.engines.errors import Refused
from streamconsole.engines.migration.transforms import child_program
from streamconsole.engines.migration.transforms.child_program import ProgramFailed, end_programs, run_program
from tests.unit.transforming import sample, through

ROWS: list[Any] = [{"id": n, "v": "x" * 50} for n in range(1, 501)]


def python(code: str) -> str:
    """A transform by a program of Python; `lines` are its rows as text."""
    head = "import sys, json, os, time\n"
    return f"exec:{shlex.quote(sys.executable)} -c {shlex.quote(head + code)}"


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    out, batch = through(tmp_path, ROWS, "exec:cat")
    assert out == ROWS
    assert batch.rows_read == 500


def test_sizes_beyond_any_pipe_do_not_deadlock(tmp_path: Path) -> None:
    rows: list[Any] = [{"id": n, "v": "y" * 40_000} for n in range(200)]
    out, _ = through(tmp_path, rows, "exec:cat", "exec:cat")
    assert out == rows


def test_all_is_read_before_a_word_is_said_and_the_other_way_round(tmp_path: Path) -> None:
    rows: list[Any] = [{"id": n, "v": "y" * 40_000} for n in range(100)]
    assert through(tmp_path, rows, python("sys.stdout.write(sys.stdin.read())"))[0] == rows
    first = python("big = '{\"n\": \"' + 'z' * 3000000 + '\"}\\n'; sys.stdout.write(big); sys.stdin.read()")
    out, batch = through(tmp_path, rows, first)
    assert len(out) == 1
    assert batch.rows_read == 100


def test_odd_values_come_back_as_they_were(tmp_path: Path) -> None:
    rows: list[Any] = [
        b'{"d": {"$date": "2020-01-02T03:04:05Z"}, "n": {"$numberDecimal": "1.50"}, "u": "\\u2028\\n"}',
        b'{"big": 123456789012345678901234567890, "f": {"$numberDouble": "NaN"}}',
    ]
    assert through(tmp_path, rows, "exec:cat")[0] == through(tmp_path, rows)[0]


def test_rows_left_out_and_added_are_counted_and_found_again(tmp_path: Path) -> None:
    code = "for line in sys.stdin:\n    if json.loads(line)['id'] % 10 == 0: sys.stdout.write(line)"
    out, batch = through(tmp_path, ROWS, python(code))
    assert [row["id"] for row in out] == list(range(10, 501, 10))
    assert (batch.rows_read, list(batch.indexes)) == (500, [id_ - 1 for id_ in range(10, 501, 10)])
    out, batch = through(tmp_path, ROWS, python("for line in sys.stdin: sys.stdout.write(line * 3)"))
    assert (batch.rows_read, len(out)) == (500, 1500)
    assert list(batch.indexes[:6]) == [0, 0, 0, 1, 1, 1]


def test_a_program_refuses_rows(tmp_path: Path) -> None:
    code = (
        "for line in sys.stdin:\n"
        "    row = json.loads(line)\n"
        "    if row['id'] == 7: row = {'$reject': {'reason': '\\x1b[31mno password=abc', 'column': 'v'}}\n"
        "    if row.get('id') == 9: row = {'$reject': {'line': 3}}\n"
        "    print(json.dumps(row))"
    )
    out, batch = through(tmp_path, ROWS, python(code))
    assert len(out) == 498
    assert [(each.line, each.column) for each in batch.rejects] == [(3, None), (7, "v")]
    assert "\x1b" not in batch.rejects[1].reason
    assert "abc" not in batch.rejects[1].reason
    assert '"id":7' in batch.rejects[1].row
    assert batch.rows_read == 500


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            "sys.stdin.read(); sys.stderr.write('one\\ntwo\\nthree\\npassword=abc \\x1b[2J'); sys.exit(3)",
            "exit status 3",
        ),
        ("sys.stdin.read(); print('hello')", "line 1 that it printed is no row"),
        ("sys.stdout.write(sys.stdin.read()[:-20])", "line 20000 that it printed is no row"),
        ("sys.stdin.read(); print('[1]')", "expected an object"),
        ("sys.stdin.read(); os.kill(os.getpid(), 9)", "killed by signal 9"),
        ("sys.stdin.close(); os.close(0)", "without reading all its rows"),
        ("sys.stdin.readline()", "without reading all its rows"),
        ("sys.stdin.read(); sys.stdout.write('{}'); sys.stdout.flush(); os._exit(1)", "exit status 1"),
    ],
)
def test_what_makes_a_window_fail(tmp_path: Path, code: str, words: str) -> None:
    with pytest.raises(ProgramFailed, match=words) as caught:
        through(tmp_path, ROWS * 40, python(code))
    assert "abc" not in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


def test_unread_rows_are_noticed_even_when_they_fit_the_pipe(tmp_path: Path) -> None:
    with pytest.raises(ProgramFailed, match="without reading all its rows"):
        through(tmp_path, [{"id": 1}], "exec:true")


def test_a_program_that_prints_for_ever_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_program, "ANSWER_MOST", 2**20)
    with pytest.raises(ProgramFailed, match="printed more than"):
        through(tmp_path, ROWS, "exec:yes '{}'")


def test_stderr_without_end_is_bounded(tmp_path: Path) -> None:
    ran = run_program(
        [sys.executable, "-c", "import sys; sys.stdin.read(); sys.stderr.write('e' * 5000000 + 'end')"],
        tmp_path,
        b"{}\n",
        30,
    )
    assert ran.problem is None
    assert len(ran.stderr) == child_program.STDERR_KEPT
    assert ran.stderr.endswith(b"end")


def processes_of(mark: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def wait_gone(mark: str) -> bool:
    began = monotonic()
    while processes_of(mark):
        if monotonic() - began > 10:
            return False
        threading.Event().wait(0.02)
    return True


def test_a_program_that_never_ends_is_ended_with_all_it_started(tmp_path: Path) -> None:
    mark = f"never-{os.getpid()}"
    argv = ["sh", "-c", f"sh -c 'exec -a {mark} sleep 1000' & exec -a {mark} sleep 1000"]
    argv = ["bash", *argv[1:]]
    argv[2] = argv[2].replace("sh -c", "bash -c")
    began = monotonic()
    ran = run_program(argv, tmp_path, b"{}\n" * 2_000_000, 0.5)
    assert ran.problem == "it took longer than 0.5 s"
    assert monotonic() - began < 20
    assert wait_gone(mark)


def test_what_a_program_leaves_running_is_ended_too(tmp_path: Path) -> None:
    mark = f"left-{os.getpid()}"
    script = f"bash -c 'exec -a {mark} sleep 1000' >/dev/null 2>&1 </dev/null & cat"
    assert run_program(["bash", "-c", script], tmp_path, b"{}\n", 30).answer == b"{}\n"
    assert wait_gone(mark)


def test_programs_of_a_run_are_ended_with_it_and_none_is_started_any_more(tmp_path: Path) -> None:
    problems = []
    started = tmp_path / "started"
    os.mkfifo(started)

    def run() -> None:
        argv = ["sh", "-c", f"echo > {started}; exec sleep 1000"]
        problems.append(run_program(argv, tmp_path, b"{}\n", 60, "run-1/1").problem)

    thread = threading.Thread(target=run)
    thread.start()
    started.read_bytes()
    end_programs("run-1/1")
    thread.join(20)
    assert problems == ["it was ended with its run"]
    with pytest.raises(ProgramFailed, match="being ended"):
        run_program(["cat"], tmp_path, b"", 60, "run-1/1")
    assert run_program(["cat"], tmp_path, b"{}\n", 60, "run-1/2").problem is None


def test_a_program_does_not_outlive_a_process_that_is_killed_outright(tmp_path: Path) -> None:
    mark = f"orphan-{os.getpid()}"
    started = tmp_path / "started"
    os.mkfifo(started)
    code = (
        "from pathlib import Path\n"
        "from streamconsole.engines.migration.transforms.child_program import run_program\n"
        f"script = 'echo > {started}; exec -a {mark} sleep 1000'\n"
        "run_program(['bash', '-c', script], Path('.'), b'{}', 60)\n"
    )
    root = Path(__file__).parents[2]
    process = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(root)})
    started.read_bytes()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert wait_gone(mark)


def test_a_missing_program_is_refused_before_anything(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no program no-such-program"):
        sample(tmp_path, ROWS, "exec:no-such-program")
    (tmp_path / "not-executable").write_text("#!/bin/sh\ncat\n")
    with pytest.raises(Refused, match="not-executable"):
        sample(tmp_path, ROWS, "exec:./not-executable")


def test_a_program_is_found_in_the_folder_of_its_runbook(tmp_path: Path) -> None:
    program = tmp_path / "check"
    program.write_text("#!/bin/sh\nexec cat\n")
    program.chmod(0o755)
    assert through(tmp_path, ROWS, "exec:./check")[0] == ROWS


def test_a_program_that_fails_on_the_sample_is_no_reason_to_refuse_the_run(tmp_path: Path) -> None:
    assert sample(tmp_path, [{"id": 1}], python("sys.stdin.read(); sys.exit(1)")) == [{"id": 1}]


def test_it_is_asked_once_for_a_window_though_it_is_odd(tmp_path: Path) -> None:
    code = f"open({str(tmp_path / 'calls')!r}, 'a').write('x'); sys.stdin.read(); print('{{}}')"
    _, batch = through(tmp_path, ROWS, python(code))
    assert batch.rows_read == 500
    assert (tmp_path / "calls").read_text() == "x"
