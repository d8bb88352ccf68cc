"""Runs and workers as rows of tables, and a run in two lines."""

from __future__ import annotations

from math import ceil
from time import monotonic

from rich.text import Text

from streamconsole.engines.rate import told
from streamconsole.engines.secrets import mask
from streamconsole.engines.states import RunState
from streamconsole.engines.text import clean
from streamconsole.screens.formats import bar, count, share, span
from streamconsole.screens.views import RunView, WorkerView
from streamconsole.screens.widgets.live_table import Column, Row

RUN_COLUMNS = (
    Column("state", "STATE", width=13, states="run"),
    Column("run", "RUN", min_width=20),
    Column("share", "DONE", width=5, align="right"),
    Column("rows", "ROWS", width=6, align="right", priority=5),
    Column("rate", "ROWS/S", width=6, align="right", priority=2),
    Column("eta", "ETA", width=7, align="right", priority=3),
    Column("failed", "FAILED", width=6, align="right", style=lambda cell: "state-failed" if cell else None),
    Column("rejects", "REFUSED", width=7, align="right", priority=2),
    Column("owner", "HELD BY", min_width=14, priority=4),
)

WORKER_COLUMNS = (
    Column("worker", "WORKER", width=6, align="right"),
    Column("window", "WINDOW", width=8, align="right"),
    Column("since", "FOR", width=6, align="right"),
    Column("done", "DONE", width=6, align="right", priority=2),
    Column("rows", "ROWS", width=7, align="right", priority=2),
    Column("note", "DOING", min_width=12),
)

PROBLEM_COLUMNS = (
    Column("window", "WINDOW", width=8, align="right"),
    Column("attempt", "TRY", width=3, align="right"),
    Column("now", "NOW", width=11, states="window", priority=2),
    Column("message", "PROBLEM (latest first)", min_width=20),
)


def run_row(view: RunView) -> Row:
    """A run as a row."""
    rows_a_second, _ = view.rates()
    eta = view.eta()
    return (
        view.word,
        view.run.id,
        "" if view.waiting else share(view),
        count(view.totals.rows_written),
        count(rows_a_second) if view.running else "",
        span(ceil(eta)) if eta is not None else "",
        count(view.totals.failed) if view.totals.failed else "",
        count(view.totals.rejects) if view.totals.rejects else "",
        "this console" if view.here else view.owner,
    )


def worker_row(worker: WorkerView, verb: str = "reading, fitting, writing") -> Row:
    """A worker as a row; `verb` is what it does with a window."""
    busy = worker.window is not None
    doing = worker.note or (("again, " if worker.attempt > 1 else "") + verb if busy else "free")
    return (
        worker.number,
        worker.window if busy else None,
        span(monotonic() - worker.since) if busy else "",
        count(worker.done),
        count(worker.rows),
        doing,
    )


def about(view: RunView, width: int, verification: RunView | None = None) -> Text:
    """A run in two lines of so many cells: what it is, how far, and what its verification says."""
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(clean(view.run.id), style="bold")
    text.append(f"  {standing(view)}  {_where(view)}\n")
    facts = _facts(view) + (_verdict(verification) if verification is not None else [])
    room = width - 2 - len("  ".join(word for word, _ in facts))
    if view.share is not None and room >= 8:
        text.append(bar(view.share, min(40, room - 2)) + "  ")
    for number, (word, loud) in enumerate(facts):
        text.append("  " if number else "")
        text.append(word, style="bold" if loud else "not bold")
    return text


def standing(view: RunView) -> str:
    """How it stands with a run: its state, who has it, why."""
    if view.waiting:
        return clean(view.waits)
    if view.interrupted:
        return "interrupted: its process died, p resumes it"
    held = f", held by {clean(view.owner)}" if view.owner and not view.here else ""
    reason = f" ({clean(mask(view.run.reason))})" if view.run.reason else ""
    return f"{view.word}{held}{reason}"


def _where(view: RunView) -> str:
    return clean(f"{mask(str(view.run.spec.get('source', '')))} → {mask(str(view.run.spec.get('target', '')))}")


def _facts(view: RunView) -> list[tuple[str, bool]]:
    if view.waiting:
        return []
    totals, eta = view.totals, view.eta()
    done = f"{totals.rows_read:,} rows compared" if view.verifies else f"{totals.rows_written:,} rows"
    facts = [(share(view), True), (done, False)]
    if eta is not None:
        facts.append((f"ETA {span(ceil(eta))}", False))
    if view.running:
        facts.append((f"{view.workers} worker{'s' if view.workers != 1 else ''}", False))
        if view.rate:
            facts.append((f"limit {told(view.rate)}", False))
    elif view.run.state is RunState.COMPLETED and view.run.finished_at and view.run.started_at:
        facts.append((f"in {span((view.run.finished_at - view.run.started_at) / 1000)}", False))
    if totals.failed:
        facts.append((f"{totals.failed:,} failed", True))
    verdict = view.verdict
    if verdict is not None and verdict.equal is not None:
        facts.append((verdict.text, True))
    elif totals.rejects:
        facts.append((f"{totals.rejects:,} refused", True))
    return facts


def _verdict(verification: RunView) -> list[tuple[str, bool]]:
    """What a verification of a run says, or how far it is."""
    verdict = verification.verdict
    if verdict is None:
        return []
    if verification.running and verdict.equal is None:
        return [(f"verifying {share(verification)}".rstrip(), False)]
    return [(f"verified: {verdict.text}", verdict.equal is False)]
