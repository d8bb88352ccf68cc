"""Doing work from the command line: with the console on it, or without a screen."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from streamconsole import headless
from streamconsole.cli.options import Common
from streamconsole.engines.errors import Refused
from streamconsole.engines.migration.planning import Plan, plan
from streamconsole.engines.migration.settings import MigrationSettings
from streamconsole.engines.states import FINISHED_RUNS, EngineKind
from streamconsole.engines.workspace import runs
from streamconsole.engines.workspace.events import KEEP_EVENTS
from streamconsole.headless import Work
from streamconsole.reporting import Reporter, reporter_for
from streamconsole.runbook import ConsoleSettings
from streamconsole.session import Session, open_session
from streamconsole.summary import Summary


@dataclass(frozen=True, slots=True)
class Todo:
    """What a command is to work on.

    Args:
        migrations: names (None for one made up) and settings of migrations to do.
        resume: a run to go on with, instead.
        retry: a run whose failed units are to be done again, instead.
        always_new: never go on with an unfinished run of the same settings.
        console: settings of the console, from a runbook.
        keep_events: rows of the event log that are kept.
    """

    migrations: tuple[tuple[str | None, MigrationSettings], ...] = ()
    resume: str | None = None
    retry: str | None = None
    always_new: bool = False
    console: ConsoleSettings = field(default_factory=ConsoleSettings)
    keep_events: int = KEEP_EVENTS


def work_on(asked: Common, workspace: str, todo: Todo, *, start: bool = True) -> int:
    """Work on it, with or without the console; gives the exit status.

    Args:
        asked: options common to all commands.
        workspace: path or URL.
        todo: what to work on.
        start: whether the console starts it at once; without a screen it always is.
    """
    console = merged(asked, todo.console)
    if asked.wants_console:
        from streamconsole.app import run_console

        return run_console(
            workspace, lambda session: runs_of(session, todo), console, start=start, keep_events=todo.keep_events
        )
    return headless.run(lambda: _without_screen(asked, workspace, todo, console))


def merged(asked: Common, console: ConsoleSettings) -> ConsoleSettings:
    """The runbook's settings of the console, overridden by the command line's."""
    over = {
        "theme": asked.theme,
        "on_hangup": asked.on_hangup,
        "drain_timeout": asked.drain_timeout,
        "read_only": asked.read_only or None,
    }
    return console.model_copy(update={name: value for name, value in over.items() if value is not None})


async def _without_screen(asked: Common, workspace: str, todo: Todo, console: ConsoleSettings) -> int:
    reporter = reporter_for(json=asked.json)
    try:
        async with open_session(workspace, todo.keep_events) as session:
            return await _work(session, todo, reporter, console)
    except Refused as error:
        if asked.json:
            reporter.summary(Summary(refused=[str(error)]))
        raise


async def _work(session: Session, todo: Todo, reporter: Reporter, console: ConsoleSettings) -> int:
    work = await runs_of(session, todo)
    summary = await headless.work(session, work, reporter, within=console.drain_timeout, on_hangup=console.on_hangup)
    return headless.finish(summary, reporter)


async def runs_of(session: Session, todo: Todo) -> list[Work]:
    """The runs to work on, made where there is none yet.

    Everything is planned before the first run is made: a runbook with a mistake in its last line
    moves nothing.

    Raises:
        Refused: something in it cannot be done.
    """
    if todo.resume is not None or todo.retry is not None:
        return [await _existing(session, todo.resume or todo.retry or "", retry=todo.retry is not None)]
    planned = [await _planned(session, name, settings, todo.always_new) for name, settings in todo.migrations]
    return [Work(each if isinstance(each, str) else (await session.migration.create(each)).id) for each in planned]


async def _existing(session: Session, run_id: str, *, retry: bool) -> Work:
    run = await session.workspace.read(runs.get, run_id)
    if not retry and run.state in FINISHED_RUNS:
        raise Refused(
            f"run {run.id} is {run.state}: there is nothing to resume "
            f"(failed windows are done again by `streamconsole runs retry {run.id}`)"
        )
    return Work(run.id, retry_failed=retry)


async def _planned(session: Session, name: str | None, settings: MigrationSettings, always_new: bool) -> str | Plan:
    if not always_new and name is not None:
        spec = settings.model_dump(mode="json")
        unfinished = await session.workspace.read(runs.unfinished_like, EngineKind.MIGRATION, name, spec)
        if unfinished is not None:
            return unfinished.id
    return await asyncio.to_thread(plan, settings, name)
