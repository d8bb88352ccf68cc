"""The end of an attempt: completed, failed, to be tried again, handed back. A stale one is refused."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import orjson
from sqlalchemy import Connection, insert, select

from streamconsole.engines.queue import counts, deduplication, journal, notes, retention, rows
from streamconsole.engines.queue.options import JobOptions
from streamconsole.engines.queue.prepared import ForMany, Prepared
from streamconsole.engines.queue.states import CANCELLED, FINISHED_JOBS, Happened, JobState, ready_state
from streamconsole.engines.workspace.clock import now_ms
from streamconsole.engines.workspace.queue_tables import job_failures, jobs

_MINE = "WHERE seq = :seq AND epoch = :epoch AND state = 'active'"
_COMPLETED = (
    "UPDATE jobs SET state = 'completed', result = ended.result, failure = NULL, finished_at = :now, "
    "attempts_made = attempts_made + 1, node = NULL FROM {ended} "
    "WHERE jobs.seq = ended.seq AND jobs.epoch = ended.epoch AND state = 'active'"
)
_PLAIN = (
    "UPDATE jobs SET state = 'completed', result = NULL, failure = NULL, finished_at = :now, "
    "attempts_made = attempts_made + 1, node = NULL WHERE epoch = :epoch AND state = 'active' AND seq "
)
_COMPLETE_PLAIN = ForMany(
    f"{_PLAIN} IN (SELECT value FROM json_each(:seqs))", f"{_PLAIN} = ANY(CAST(:seqs AS bigint[]))"
)
_COMPLETE = ForMany(
    _COMPLETED.format(
        ended="(SELECT value->>0 AS seq, value->>1 AS epoch, value->>2 AS result FROM json_each(:ended)) AS ended"
    ),
    _COMPLETED.format(
        ended="unnest(CAST(:seqs AS bigint[]), CAST(:epochs AS integer[]), CAST(:results AS text[])) "
        "AS ended(seq, epoch, result)"
    ),
)
_FAIL = Prepared(
    "UPDATE jobs SET state = 'failed', failure = :failure, finished_at = :now, "
    f"attempts_made = attempts_made + 1, node = NULL {_MINE}"
)
_AGAIN = Prepared(
    "UPDATE jobs SET state = :state, position = :position, due_at = :due_at, failure = :failure, "
    f"attempts_made = attempts_made + 1, node = NULL {_MINE}"
)
_HAND_BACK = Prepared(f"UPDATE jobs SET state = :state, node = NULL {_MINE}")


class End(StrEnum):
    """How an attempt ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    RETRY = "retry"
    HANDED_BACK = "handed back"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one attempt.

    Args:
        seq: the job's number; `epoch` says under which claim.
        text: the result as JSON text, or the failure.
        trace: the stack, for an error.
        pause: milliseconds before the next attempt.
        attempt: number of this attempt.
        options: the job's; None when all are the defaults.
        noted: progress and log lines not yet in the store.
    """

    seq: int
    epoch: int
    priority: int
    end: End
    text: str | None = None
    trace: str | None = None
    pause: int = 0
    attempt: int = 1
    options: JobOptions | None = None
    noted: notes.Noted | None = None


def finish(connection: Connection, queue: str, outcomes: Sequence[Outcome], worker: str) -> set[int]:
    """Write how attempts ended; gives the numbers of jobs that are not ours any more: nothing was written of those."""
    now = now_ms()
    noted = [outcome.noted for outcome in outcomes if outcome.noted is not None]
    if noted:
        notes.write(connection, queue, noted)
    outcomes = _cancelled(connection, outcomes)
    stale: set[int] = set()
    for end, write in _WRITERS.items():
        some = [outcome for outcome in outcomes if outcome.end is end]
        if some:
            stale |= write(connection, queue, some, now)
    ours = [outcome for outcome in outcomes if outcome.seq not in stale] if stale else outcomes
    _keep_failures(connection, ours, worker, now)
    _clear_up(connection, queue, ours, now)
    return stale


def _complete(connection: Connection, queue: str, outcomes: list[Outcome], now: int) -> set[int]:
    done = _write_completed(connection, outcomes, now)
    stale: set[int] = set() if done == len(outcomes) else _not(connection, outcomes, JobState.COMPLETED, now)
    ours = [each.seq for each in outcomes if each.seq not in stale]
    counts.moved(connection, queue, {JobState.ACTIVE: -len(ours), JobState.COMPLETED: len(ours)})
    counts.measured(connection, queue, now, Counter({True: len(ours)}) if ours else Counter())
    journal.append(connection, now, queue, Happened.COMPLETED, ours)
    return stale


def _write_completed(connection: Connection, outcomes: list[Outcome], now: int) -> int:
    """Most jobs have no result and are at their first epoch: those cost half."""
    plain: defaultdict[int, list[int]] = defaultdict(list)
    for each in outcomes:
        if each.text is None:
            plain[each.epoch].append(each.seq)
    done = sum(_COMPLETE_PLAIN.run(connection, (now, epoch), numbers) for epoch, numbers in plain.items())
    others = [each for each in outcomes if each.text is not None]
    columns = [each.seq for each in others], [each.epoch for each in others], [each.text for each in others]
    return done + _COMPLETE.run(connection, (now,), *columns)


def _fail(connection: Connection, queue: str, outcomes: list[Outcome], now: int) -> set[int]:
    done = _FAIL.many(connection, [(each.text, now, each.seq, each.epoch) for each in outcomes])
    stale: set[int] = set() if done == len(outcomes) else _not(connection, outcomes, JobState.FAILED, now)
    ours = [each for each in outcomes if each.seq not in stale]
    counts.moved(connection, queue, {JobState.ACTIVE: -len(ours), JobState.FAILED: len(ours)})
    counts.measured(connection, queue, now, Counter({False: len(ours)}) if ours else Counter())
    journal.append_each(connection, now, queue, Happened.FAILED, [(each.seq, _said(each)) for each in ours])
    spent = [each.seq for each in ours if each.options is not None and 1 < each.options.attempts <= each.attempt]
    journal.append(connection, now, queue, Happened.RETRIES_EXHAUSTED, spent)
    return stale


def _try_again(connection: Connection, queue: str, outcomes: list[Outcome], now: int) -> set[int]:
    stale: set[int] = set()
    change: Counter[JobState] = Counter()
    for outcome, place in zip(outcomes, rows.allocate(connection, len(outcomes)), strict=True):
        state = JobState.DELAYED if outcome.pause else ready_state(outcome.priority)
        due_at = now + outcome.pause if outcome.pause else None
        values = (str(state), place, due_at, outcome.text, outcome.seq, outcome.epoch)
        if not _AGAIN.one(connection, *values).rowcount:
            stale.add(outcome.seq)
            continue
        change[state] += 1
        change[JobState.ACTIVE] -= 1
        happened = Happened.DELAYED if outcome.pause else Happened.WAITING
        journal.append_each(connection, now, queue, happened, [(outcome.seq, _said(outcome))])
    counts.moved(connection, queue, change)
    return stale


def _hand_back(connection: Connection, queue: str, outcomes: list[Outcome], now: int) -> set[int]:
    """Back to the place it had; no attempt is counted."""
    stale: set[int] = set()
    change: Counter[JobState] = Counter()
    for outcome in outcomes:
        state = ready_state(outcome.priority)
        if not _HAND_BACK.one(connection, str(state), outcome.seq, outcome.epoch).rowcount:
            stale.add(outcome.seq)
            continue
        change[state] += 1
        change[JobState.ACTIVE] -= 1
        journal.append(connection, now, queue, Happened.WAITING, [outcome.seq])
    counts.moved(connection, queue, change)
    return stale


_WRITERS = {
    End.COMPLETED: _complete,
    End.FAILED: _fail,
    End.RETRY: _try_again,
    End.HANDED_BACK: _hand_back,
}


def _cancelled(connection: Connection, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
    """A job that was cancelled while its attempt came to its end is not tried again."""
    back = [each.seq for each in outcomes if each.end in (End.RETRY, End.HANDED_BACK)]
    told: set[int] = set()
    for some in rows.chunks(back):
        told |= set(connection.execute(select(jobs.c.seq).where(jobs.c.seq.in_(some), jobs.c.cancel == 1)).scalars())
    if not told:
        return outcomes
    return [
        replace(each, end=End.FAILED, text=CANCELLED) if each.seq in told and each.seq in back else each
        for each in outcomes
    ]


def _not(connection: Connection, outcomes: list[Outcome], state: JobState, now: int) -> set[int]:
    """Which of them are not in the state they were to be brought to by us, just now."""
    found: set[tuple[int, int]] = set()
    for some in rows.chunks([each.seq for each in outcomes]):
        found |= {
            (seq, epoch)
            for seq, epoch in connection.execute(
                select(jobs.c.seq, jobs.c.epoch).where(
                    jobs.c.seq.in_(some), jobs.c.state == state, jobs.c.finished_at == now
                )
            )
        }
    return {each.seq for each in outcomes if (each.seq, each.epoch) not in found}


def _said(outcome: Outcome) -> str:
    data = {"failure": outcome.text, "attempt": outcome.attempt}
    return orjson.dumps(data | ({"pause": outcome.pause} if outcome.pause else {})).decode()


def _keep_failures(connection: Connection, outcomes: Sequence[Outcome], worker: str, now: int) -> None:
    failures = [
        {
            "job": each.seq,
            "attempt": each.attempt,
            "at": now,
            "worker": worker,
            "reason": each.text or "",
            "trace": each.trace,
        }
        for each in outcomes
        if each.end in (End.FAILED, End.RETRY)
    ]
    if failures:
        connection.execute(insert(job_failures), failures)


def _clear_up(connection: Connection, queue: str, outcomes: Sequence[Outcome], now: int) -> None:
    """What the options of finished jobs ask for: free their ids, keep so many of them."""
    finished = [each for each in outcomes if each.options is not None and each.end in (End.COMPLETED, End.FAILED)]
    if not finished:
        return
    deduplication.release(
        connection, [each.seq for each in finished if each.options and each.options.deduplication is not None]
    )
    retention.apply(
        connection,
        queue,
        [
            (each.seq, JobState(each.end), each.options.keep(completed=each.end is End.COMPLETED))
            for each in finished
            if each.options is not None
        ],
        now,
    )


assert {str(End.COMPLETED), str(End.FAILED)} == {str(state) for state in FINISHED_JOBS}
