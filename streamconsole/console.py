"""Opening the console: the workspace first, then the screen, then what is said when it is closed."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from streamconsole import exit_codes, themes
from streamconsole.app import ConsoleApp
from streamconsole.console_settings import ConsoleSettings
from streamconsole.engines.errors import Refused
from streamconsole.engines.secrets import mask
from streamconsole.engines.text import clean
from streamconsole.headless import Work
from streamconsole.session import Session, open_session
from streamconsole.summary import Summary, notes_on, summarise

if TYPE_CHECKING:
    from streamconsole.queue_book import NamedQueue

Prepare = Callable[[Session], Awaitable[tuple[Sequence[Work], Sequence[str]]]]
"""Gives the runs to show, and what to tell about those that could not be planned."""


def run_console(
    workspace: str,
    prepare: Prepare,
    settings: ConsoleSettings,
    *,
    start: bool,
    keep_events: int,
    queues: Sequence[NamedQueue] = (),
) -> int:
    """Open the console; gives the exit status.

    Args:
        workspace: path or URL.
        prepare: gives the runs to show, made where there is none yet; refusals come before the screen.
        settings: of the console.
        start: whether to start the runs at once.
        keep_events: rows of the event log that are kept.
        queues: whose jobs are done from the beginning, unless nothing may be changed.
    """
    if settings.theme is not None and settings.theme not in themes.THEMES:
        raise Refused(f"theme {settings.theme!r} is not known: there are {', '.join(themes.THEMES)}")
    if os.environ.get("TERM", "dumb") == "dumb":
        raise Refused("this terminal cannot draw (TERM=dumb): use --no-ui")
    if settings.read_only and start:
        raise Refused("--read-only changes nothing, and this would: leave it out, or open the console to look")
    return asyncio.run(_opened(workspace, prepare, settings, start, keep_events, queues))


async def _opened(
    workspace: str,
    prepare: Prepare,
    settings: ConsoleSettings,
    start: bool,
    keep_events: int,
    queues: Sequence[NamedQueue],
) -> int:
    async with open_session(workspace, keep_events) as session:
        work, problems = await prepare(session)
        app = ConsoleApp(
            session, settings, work, start=start, problems=problems, queues=() if settings.read_only else queues
        )
        await app.run_async(mouse=False)
        if not app.leaving.at_once:
            await app.queues.close(0)
        summary = await _summary(app, [each.run for each in work] if start else [])
        status = _say(app, summary, start)
        if app.leaving.at_once or app.queues.left_behind:
            # What hangs must not keep the operator; the ledger tells what is committed.
            sys.stdout.flush()
            os._exit(status)
    return status


async def _summary(app: ConsoleApp, asked: Sequence[str]) -> Summary:
    """What became of the runs that were asked for, and of those that were worked on here."""
    touched = dict.fromkeys([*asked, *app.ended, *app.session.supervisor.owned])
    summary = Summary(await summarise(app.session.workspace, list(touched), list(app.ended.values())))
    summary.notes = await asyncio.to_thread(notes_on, summary.runs)
    summary.queues = await app.queues.summaries()
    summary.stopped_by = app.leaving.signal
    return summary


def _say(app: ConsoleApp, summary: Summary, start: bool) -> int:
    if app.failure is not None:
        print(f"streamconsole: {clean(mask(app.failure), limit=2000)}", file=sys.stderr)  # noqa: T201
        return exit_codes.FAILURE
    if not app.leaving.terminal_lost:
        for sentence in [*(run.sentence() for run in summary.runs), *(queue.sentence() for queue in summary.queues)]:
            print(clean(mask(sentence), limit=2000))  # noqa: T201
        for note in summary.notes:
            print(clean(mask(note), limit=2000))  # noqa: T201
    # Looking and leaving is no failure; work that was asked for and is not done is one.
    return summary.exit_code() if start or app.leaving.signal is not None else exit_codes.DONE
