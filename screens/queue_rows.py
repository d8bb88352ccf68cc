"""Queues and jobs as rows of tables, and a queue in two lines."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import orjson
from rich.text import Text

from streamconsole.engines.queue import JobState, Worker
from streamconsole.engines.queue.pages import JobLine, Shelf
from streamconsole.engines.secrets import mask
from streamconsole.engines.text import clean
from streamconsole.engines.workspace.clock import now_ms
from streamconsole.screens.formats import bar, count
from streamconsole.screens.queue_loading import QueueView
from streamconsole.screens.widgets.live_table import Cell, Column, Row
from streamconsole.screens.widgets.spark import bars

SPARK_MINUTES = 12

QUEUE_COLUMNS = (
    Column("state", "STATE", width=9, states="queue"),
    Column("queue", "QUEUE", min_width=10),
    Column("waiting", "WAITING", width=7, align="right"),
    Column("active", "ACTIVE", width=6, align="right"),
    Column("delayed", "DELAYED", width=7, align="right", priority=3),
    Column("completed", "DONE", width=5, align="right", priority=2),
    Column("failed", "FAILED", width=6, align="right", style=lambda cell: "state-failed" if cell else None),
    Column("rate", "/MIN", width=5, align="right", priority=2),
    Column("spark", "LATELY", width=SPARK_MINUTES, priority=4, style=lambda _: "state-running"),
    Column("workers", "WORKED ON BY", min_width=12, priority=5),
)

JOB_COLUMNS = (
    Column("state", "STATE", width=13, states="job"),
    Column("job", "JOB", width=10),
    Column("name", "NAME", width=12, priority=2),
    Column("attempts", "TRIES", width=5, align="right", priority=3),
    Column("at", "AT", width=8, priority=4),
    Column("what", "WHAT", min_width=24),
)

NO_QUEUES = "No queues yet: `streamconsole queue add QUEUE NAME` makes one"


def queue_row(view: QueueView, workers: Sequence[Worker]) -> Row:
    """A queue as a row."""
    now = now_ms()
    done, failed = view.per_minute(now)
    return (
        view.word,
        view.name,
        _some(view.ready),
        _some(view.counts[JobState.ACTIVE]),
        _some(view.counts[JobState.DELAYED]),
        _some(view.counts[JobState.COMPLETED]),
        _some(view.counts[JobState.FAILED]),
        count(done + failed) if done + failed >= 0.5 else "",
        spark(view, now, SPARK_MINUTES),
        worked_on_by(view, workers),
    )


def spark(view: QueueView, now: int, minutes: int) -> str:
    """What a queue did in each of the last minutes, as bars; empty when that is nothing."""
    done = [each.completed + each.failed for each in view.history(now, minutes)]
    return bars(done) if any(done) else ""


def worked_on_by(view: QueueView, workers: Sequence[Worker]) -> str:
    """Who works on it; of other processes those are known that have jobs in hand."""
    here = []
    if workers:
        busy, slots = sum(len(worker.active) for worker in workers), sum(worker.concurrency for worker in workers)
        rests = " (resting)" if all(worker.paused for worker in workers) else ""
        here = [f"this console {busy}/{slots}{rests}"]
    others = [f"{each.name}{'' if each.alive else ' (dead)'}: {each.active}" for each in view.at_work if not each.here]
    return ", ".join([*here, *others])


def queue_about(view: QueueView, workers: Sequence[Worker]) -> Text:
    """A queue in one line: what it does, how it is treated, who works on it."""
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(clean(view.name), style="bold")
    facts = [view.word, *_limits(view)]
    by = worked_on_by(view, workers)
    facts.append(by or ("nobody works on it" if view.left else "nothing to do"))
    text.append("  " + clean("  ".join(facts)), style="not bold")
    return text


def _limits(view: QueueView) -> list[str]:
    settings = view.settings
    facts = []
    if settings.concurrency is not None:
        facts.append(f"{settings.concurrency} at once")
    if settings.limiter is not None:
        facts.append(f"limit {settings.limiter.max} in {settings.limiter.duration / 1000:g} s")
    return facts


def job_row(line: JobLine) -> Row:
    """A job as a row."""
    return (line.state, line.id, line.name, _some(line.attempts_made), clock(_at(line)), what(line))


def what(line: JobLine) -> Cell:
    """The most telling thing about a job."""
    if line.failure is not None and line.state != JobState.COMPLETED:
        return mask(line.failure)
    if line.state == JobState.ACTIVE and line.cancel:
        return "told to stop"
    if line.state == JobState.ACTIVE and line.progress is not None:
        return progress(line.progress)
    priority = f"priority {line.priority}  " if line.priority else ""
    return priority + mask(line.payload)


def progress(text: str) -> str:
    """A progress (JSON text) as a bar where it is a percentage."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    if isinstance(value, int | float) and 0 <= value <= 100:
        return f"{bar(value / 100, 16)} {value:g}%"
    return text


def clock(at: int | None) -> str:
    """A time of today as such, another as a date; it does not change as time goes on."""
    if at is None:
        return ""
    then, now = datetime.fromtimestamp(at / 1000).astimezone(), datetime.now().astimezone()
    return then.strftime("%H:%M:%S" if then.date() == now.date() else "%d %b" if then.year == now.year else "%b %Y")


def _at(line: JobLine) -> int | None:
    if line.state == JobState.DELAYED:
        return line.due_at
    return line.finished_at or (line.started_at if line.state == JobState.ACTIVE else line.created_at)


def shelf_count(view: QueueView, shelf: Shelf) -> int:
    """How many jobs stand on a shelf."""
    match shelf:
        case Shelf.ALL:
            return sum(view.counts.values())
        case Shelf.WAITING:
            return view.ready
        case _:
            return view.counts[JobState(str(shelf))]


def shelf_line(view: QueueView | None, chosen: Shelf, words: str, note: str) -> Text:
    """The shelves with their counts, the chosen one marked, and what is searched for."""
    text = Text(no_wrap=True, overflow="ellipsis")
    for shelf in Shelf:
        many = count(shelf_count(view, shelf)) if view is not None else "0"
        text.append(f" {shelf} {many} ", style="bold reverse" if shelf is chosen else "not bold")
    if words:
        text.append(f"  /{clean(words, limit=40)}", style="bold")
    if note:
        text.append(f"  {note}", style="not bold")
    return text


def _some(number: int) -> str:
    return count(number) if number else ""
