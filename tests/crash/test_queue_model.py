"""The queue beside a model of it, with worker processes that are killed among the rules."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule, run_state_machine_as_test
from sqlalchemy import Engine

from streamconsole.engines.queue import adding, counts, registry, rows, stalled, verbs
from streamconsole.engines.queue.adding import NewJob
from streamconsole.engines.queue.finishing import End
from streamconsole.engines.queue.options import JobOptions
from streamconsole.engines.queue.states import JobState, ready_state
from streamconsole.engines.workspace import Workspace, sqlite
from tests.crash.queue_child import QUEUE

ROOT = Path(__file__).parents[2]
CHILDREN = 2
ALLOWED_STALLS = 1


@dataclass
class Known:
    """What the model knows of a job; `place` orders those of one priority."""

    seq: int
    priority: int
    state: JobState
    place: int
    stalled: int = 0
    cancel: bool = False
    epoch: int = 0
    holder: str | None = None


@dataclass(frozen=True)
class Claim:
    """A claim that a worker once had, good or stale."""

    seq: int
    epoch: int
    priority: int


class Child:
    def __init__(self, workspace: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.queue_child", str(workspace)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.node: str = self._answer()

    def ask(self, order: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        return self._answer()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


class QueueMachine(RuleBasedStateMachine):
    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "w.db"
        asyncio.run(_make(self.path))
        self.engine: Engine = sqlite.connect(self.path, begin="BEGIN IMMEDIATE")
        self.children = [Child(self.path) for _ in range(CHILDREN)]
        self.jobs: dict[int, Known] = {}
        self.paused = False
        self.clock = 0
        self.dead: list[str] = []
        self.call(registry.ensure, QUEUE)

    def call(self, function: Any, *args: Any) -> Any:
        with self.engine.begin() as connection:
            return function(connection, *args)

    def later(self) -> int:
        self.clock += 1
        return self.clock

    @rule(priority=st.sampled_from([0, 0, 1, 5]), lifo=st.booleans(), delayed=st.booleans())
    def add(self, priority: int, lifo: bool, delayed: bool) -> None:
        options = JobOptions(priority=priority, lifo=lifo, delay=3_600_000 if delayed else 0)
        (row,) = self.call(adding.add_many, [NewJob(QUEUE, "a", "null", options)])
        state = JobState.DELAYED if delayed else ready_state(priority)
        place = -self.later() if lifo else self.later()
        self.jobs[row.seq] = Known(row.seq, priority, state, place)

    @rule(target=claims, worker=st.integers(0, CHILDREN - 1), want=st.integers(1, 3))
    def claim(self, worker: int, want: int) -> Any:
        ready = [job for job in self.jobs.values() if job.state in (JobState.WAITING, JobState.PRIORITIZED)]
        expected = [] if self.paused else sorted(ready, key=lambda job: (job.priority, job.place))[:want]
        child = self.children[worker]
        claimed = child.ask({"claim": want})
        assert [seq for seq, _, _ in claimed] == [job.seq for job in expected]
        for job in expected:
            job.state, job.holder, job.epoch = JobState.ACTIVE, child.node, job.epoch + 1
            job.cancel = False
        assert [epoch for _, epoch, _ in claimed] == [job.epoch for job in expected]
        return multiple(*(Claim(*each) for each in claimed))

    @rule(claim=claims, worker=st.integers(0, CHILDREN - 1), end=st.sampled_from(End), pause=st.booleans())
    def finish(self, claim: Claim, worker: int, end: End, pause: bool) -> None:
        """By any worker, with any claim there ever was: only the newest one counts."""
        job = self.jobs.get(claim.seq)
        good = job is not None and job.state is JobState.ACTIVE and job.epoch == claim.epoch
        order = {"seq": claim.seq, "epoch": claim.epoch, "priority": claim.priority, "end": end}
        stale = self.children[worker].ask(order | {"pause": 3_600_000 if pause else 0})
        assert stale == ([] if good else [claim.seq])
        if not good or job is None:
            return
        job.holder = None
        if job.cancel and end in (End.HANDED_BACK, End.RETRY):
            job.state = JobState.FAILED
        elif end is End.HANDED_BACK:
            job.state = ready_state(job.priority)
        elif end is End.RETRY:
            job.state, job.place = JobState.DELAYED if pause else ready_state(job.priority), self.later()
        else:
            job.state = JobState(end)

    @rule(worker=st.integers(0, CHILDREN - 1))
    def kill(self, worker: int) -> None:
        self.dead.append(self.children[worker].node)
        self.children[worker].kill()
        self.children[worker] = Child(self.path)

    @rule()
    def recover(self) -> None:
        held = self.call(stalled.holders)
        found = stalled.dead(held, self.path.with_name("w.db.locks"))
        expected = {job.holder for job in self.jobs.values() if job.holder in self.dead}
        assert set(found) == expected
        for node in sorted(found):
            lost = self.call(stalled.recover, node)
            for row in lost:
                job = self.jobs[row.seq]
                job.stalled, job.holder, job.place = job.stalled + 1, None, self.later()
                fatal = job.cancel or job.stalled > ALLOWED_STALLS
                job.state = JobState.FAILED if fatal else ready_state(job.priority)

    @rule(data=st.data(), verb=st.sampled_from(["retry", "promote", "cancel", "remove"]))
    def steer(self, data: Any, verb: str) -> None:
        if not self.jobs:
            return
        job = self.jobs[data.draw(st.sampled_from(sorted(self.jobs)))]
        done = self.call(getattr(verbs, verb), QUEUE, [job.seq])
        finished = job.state in (JobState.COMPLETED, JobState.FAILED)
        allowed = {
            "retry": finished,
            "promote": job.state is JobState.DELAYED,
            "cancel": not finished,
            "remove": job.state is not JobState.ACTIVE,
        }[verb]
        assert done == int(allowed)
        if not allowed or (verb == "cancel" and job.state is JobState.ACTIVE):
            # An active one is only told to stop: its worker says what becomes of it.
            job.cancel = job.cancel or allowed
            return
        if verb == "remove":
            del self.jobs[job.seq]
        elif verb == "cancel":
            job.state = JobState.FAILED
        else:
            job.state, job.place = ready_state(job.priority), self.later()
            job.stalled = 0 if verb == "retry" else job.stalled

    @rule(paused=st.booleans())
    def pause(self, paused: bool) -> None:
        self.call(registry.set_paused, QUEUE, paused)
        self.paused = paused

    @invariant()
    def every_job_is_in_its_one_state(self) -> None:
        found = {row.seq: row.state for row in self.call(rows.of_numbers, list(self.jobs))}
        assert found == {job.seq: str(job.state) for job in self.jobs.values()}

    @invariant()
    def counts_are_those_of_the_jobs(self) -> None:
        expected = dict.fromkeys(JobState, 0) | Counter(job.state for job in self.jobs.values())
        assert self.call(counts.of, QUEUE) == expected == self.call(counts.recounted, QUEUE)

    def teardown(self) -> None:
        for child in self.children:
            child.kill()
        self.engine.dispose()
        self.folder.cleanup()


async def _make(path: Path) -> None:
    await (await Workspace.open(str(path))).close()


def test_the_queue_does_what_its_model_does(crash_count: int) -> None:
    """Fails with the steps that lead there; `CRASH_SEED` runs the same ones again."""
    seed = int(os.environ.get("CRASH_SEED", int.from_bytes(os.urandom(4), "big")))
    print(f"CRASH_SEED={seed}")
    QueueMachine._hypothesis_internal_use_seed = seed
    run_state_machine_as_test(
        QueueMachine,
        settings=settings(
            max_examples=crash_count,
            stateful_step_count=30,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
