"""Everything that is known of a job, as lines of text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from rich.style import Style
from rich.text import Text
from sqlalchemy import Connection

from streamconsole.engines.queue import JobState, journal, notes, rows, search
from streamconsole.engines.queue.journal import QueueEvent
from streamconsole.engines.queue.notes import LogLine
from streamconsole.engines.queue.rows import JobRow
from streamconsole.engines.secrets import mask
from streamconsole.engines.text import clean
from streamconsole.screens.formats import size, span
from streamconsole.screens.queue_rows import progress

EVENTS_SHOWN = 200
LOG_SHOWN = 1_000
HEADING = Style(bold=True)
TEXT_SHOWN = 100_000
"""Characters of a payload or a result that are shown."""


@dataclass(frozen=True, slots=True)
class JobView:
    """A job with all that is kept about it."""

    row: JobRow
    failures: tuple[dict[str, Any], ...]
    events: tuple[QueueEvent, ...]
    log: tuple[LogLine, ...]
    log_lines: int


def read(connection: Connection, queue: str, number: int) -> JobView | None:
    """A job by its number; None when it is gone."""
    found = [row for row in rows.of_numbers(connection, [number]) if row.queue == queue]
    if not found:
        return None
    return JobView(
        found[0],
        tuple(search.failures(connection, number)),
        tuple(journal.of_job(connection, number, EVENTS_SHOWN)),
        tuple(notes.newest(connection, number, LOG_SHOWN)),
        notes.count(connection, number),
    )


def lines_of(view: JobView, width: int) -> list[Text]:
    """It in lines of so many cells, the most telling first."""
    lines: list[Text] = []
    for title, texts in _sections(view):
        body = [piece for text in texts for piece in _wrapped(text, width - 2)]
        if body:
            lines.append(Text(title, style=HEADING))
            lines += [Text(f"  {line}") for line in body]
            lines.append(Text(""))
    return lines


def _sections(view: JobView) -> Iterator[tuple[str, list[str]]]:
    row = view.row
    yield "State", _state(row)
    if row.failure is not None and row.state != JobState.COMPLETED:
        yield "Failure", row.failure.splitlines()
    yield f"Payload ({size(len(row.payload))})", _json(row.payload)
    if row.options is not None:
        yield "Options", _json(row.options)
    if row.result is not None:
        yield f"Result ({size(len(row.result))})", _json(row.result)
    for failure in view.failures:
        where = f", {failure['worker']}" if failure["worker"] else ""
        title = f"Attempt {failure['attempt']} failed, {clock(failure['at'])}{clean(where)}"
        yield title, [*str(failure["reason"]).splitlines(), *str(failure["trace"] or "").splitlines()]
    yield "Timeline", [_happened(event) for event in view.events]
    if view.log_lines:
        shown = f", the newest {len(view.log):,} here" if view.log_lines > len(view.log) else ""
        yield f"Log ({view.log_lines:,} lines{shown})", [f"{clock(line.at)}  {line.line}" for line in view.log]


def _state(row: JobRow) -> list[str]:
    priority = f", priority {row.priority}" if row.priority else ""
    group = f", group {row.group_key}" if row.group_key is not None else ""
    facts = [f"{row.state}{priority}{group}, {row.attempts_made} attempts made"]
    if row.state == JobState.ACTIVE and row.cancel:
        facts.append("it was told to stop")
    if row.progress is not None:
        facts.append(f"progress {progress(row.progress)}")
    times = [f"made {clock(row.created_at)}"]
    if row.due_at is not None and row.state == JobState.DELAYED:
        times.append(f"due {clock(row.due_at)}")
    if row.started_at is not None:
        times.append(f"began {clock(row.started_at)}")
    if row.finished_at is not None:
        times.append(f"ended {clock(row.finished_at)}")
        times.append(f"in {span((row.finished_at - (row.started_at or row.created_at)) / 1000)}")
    return [*facts, ", ".join(times)]


def _happened(event: QueueEvent) -> str:
    data = f"  {orjson.dumps(event.data).decode()}" if event.data else ""
    return f"{clock(event.at)}  {event.name}{data}"


def _json(text: str) -> list[str]:
    """JSON with its structure; cut where it is very long."""
    cut = text[:TEXT_SHOWN]
    if len(text) > TEXT_SHOWN:
        return [f"{cut}…"]
    try:
        return orjson.dumps(orjson.loads(text), option=orjson.OPT_INDENT_2).decode().splitlines()
    except orjson.JSONDecodeError:
        return [cut]


def _wrapped(text: str, width: int) -> list[str]:
    inert = clean(mask(text), limit=TEXT_SHOWN)
    return textwrap.wrap(inert, max(20, width), drop_whitespace=False, replace_whitespace=False) or [""]


def clock(at: int) -> str:
    """A time to the tenth of a second, with its date when that is not today's."""
    then, now = datetime.fromtimestamp(at / 1000).astimezone(), datetime.now().astimezone()
    time = f"{then:%H:%M:%S}.{then.microsecond // 100_000}"
    return time if then.date() == now.date() else f"{then:%Y-%m-%d} {time}"
