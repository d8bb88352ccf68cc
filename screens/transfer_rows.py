"""Transfers and their files as rows of tables, and a transfer in two lines."""

from __future__ import annotations

from math import ceil

from rich.text import Text

from streamconsole.engines.rate import told
from streamconsole.engines.secrets import mask
from streamconsole.engines.states import FileState, RunState
from streamconsole.engines.text import clean
from streamconsole.engines.turning import look_ahead_of
from streamconsole.screens.formats import bar, count, size, span, within
from streamconsole.screens.rows import standing
from streamconsole.screens.transfer_loading import FileLine
from streamconsole.screens.views import RunView
from streamconsole.screens.widgets.live_table import Column, Row

NO_TRANSFERS = "No transfers yet: `streamconsole upload FILE --store URL` makes one"

TRANSFER_COLUMNS = (
    Column("state", "STATE", width=13, states="run"),
    Column("run", "TRANSFER", min_width=20),
    Column("share", "DONE", width=5, align="right"),
    Column("size", "SIZE", width=9, align="right", priority=2),
    Column("rate", "SPEED", width=11, align="right", priority=3),
    Column("eta", "ETA", width=7, align="right", priority=3),
    Column("files", "FILES", width=6, align="right", priority=4),
    Column("failed", "FAILED", width=6, align="right", style=lambda cell: "state-failed" if cell else None),
    Column("owner", "HELD BY", min_width=12, priority=4),
)

FILE_COLUMNS = (
    Column("state", "STATE", width=11, states="run"),
    Column("path", "FILE", min_width=16),
    Column("share", "DONE", width=5, align="right"),
    Column("size", "SIZE", width=9, align="right", priority=2),
    Column("sent", "SENT", width=9, align="right", priority=2),
    Column("ratio", "RATIO", width=6, align="right", priority=3),
    Column("problem", "PROBLEM", min_width=12, priority=4),
)


def transfer_row(view: RunView) -> Row:
    """A transfer as a row."""
    eta = view.eta()
    return (
        view.word,
        view.run.id,
        percent(view),
        size(view.goal) if view.goal is not None else "",
        f"{size(view.rates()[1])}/s" if view.running else "",
        span(ceil(eta)) if eta is not None else "",
        count(view.run.plan.get("files", 1)),
        count(view.totals.failed) if view.totals.failed else "",
        "this console" if view.here else view.owner,
    )


def file_row(line: FileLine, view: RunView) -> Row:
    """A file as a row; it is no better off than its transfer."""
    return (
        _state(line, view),
        line.path,
        f"{100 * line.done // line.size}%" if line.size else "100%" if line.state is FileState.DONE else "0%",
        size(line.size),
        size(line.sent),
        f"{line.ratio:.1f}×" if line.ratio else "",
        line.error or (f"{line.lost} chunks lost" if line.lost else ""),
    )


def percent(view: RunView) -> str:
    """How much of a transfer is done; of one that failed as it stands."""
    return f"{view.share * 100:.0f}%" if view.share is not None else ""


def transfer_about(view: RunView, width: int) -> Text:
    """A transfer in two lines of so many cells: what it is, and how far."""
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(clean(view.run.id), style="bold")
    text.append(f"  {standing(view)}  {_where(view)}\n")
    facts = _facts(view)
    room = width - 2 - len("  ".join(word for word, _ in facts))
    if view.share is not None and room >= 8:
        text.append(bar(view.share, min(40, room - 2)) + "  ")
    for number, (word, loud) in enumerate(facts):
        text.append("  " if number else "")
        text.append(word, style="bold" if loud else "not bold")
    return text


def transfer_lines(views: list[RunView], most: int) -> Text:
    """Transfers for the overview, in so many lines: what failed or is at work first."""
    if not views:
        return Text(NO_TRANSFERS)
    pressing = sorted(views, key=lambda view: (not view.totals.failed, not view.running, view.finished))
    return within([_line(view) for view in pressing], most)


def _line(view: RunView) -> str:
    speed = f", {size(view.rates()[1])}/s" if view.running else ""
    failed = f", {view.totals.failed:,} failed" if view.totals.failed else ""
    whole = f" of {size(view.goal)}" if view.goal is not None else ""
    reason = f" ({clean(mask(view.run.reason), limit=60)})" if view.run.reason else ""
    return f"{clean(view.run.id)}  {view.word}{reason}  {percent(view)}{whole}{speed}{failed}"


def _state(line: FileLine, view: RunView) -> str:
    if line.state is FileState.DONE:
        return "completed"
    if line.state is FileState.FAILED:
        return "failure"
    return view.word if not view.finished or view.run.state is RunState.CANCELLED else "paused"


def _where(view: RunView) -> str:
    spec = view.run.spec
    store = str(spec.get("store", ""))
    if spec.get("upload") is not None:
        return clean(f"{spec['upload']} → {mask(store)}")
    return clean(f"{mask(store)} → {spec.get('out')}")


def _facts(view: RunView) -> list[tuple[str, bool]]:
    totals, eta = view.totals, view.eta()
    files = int(view.run.plan.get("files", 1))
    whole = f" of {size(view.goal)}" if view.goal is not None else ""
    facts = [(percent(view), True), (f"{size(totals.offset_done)}{whole}", False)]
    facts.append((f"{size(totals.rows_written)} sent", False))
    if files != 1:
        facts.append((f"{totals.completed:,} of {files:,} files", False))
    if eta is not None:
        facts.append((f"ETA {span(ceil(eta))}", False))
    if view.running:
        upload = view.run.spec.get("upload") is not None
        facts.append((f"{view.workers} at once" if upload else f"{look_ahead_of(view.run)} ahead", False))
        if view.rate:
            facts.append((f"limit {told(view.rate)}", False))
    if view.run.state is RunState.COMPLETED and view.run.finished_at and view.run.started_at:
        facts.append((f"in {span((view.run.finished_at - view.run.started_at) / 1000)}", False))
    if totals.failed:
        facts.append((f"{totals.failed:,} failed", True))
    return facts
