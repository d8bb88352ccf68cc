"""Doing work from the command line: with the console on it, or without a screen."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamconsole import headless
from streamconsole.chain import Order, Place
from streamconsole.cli.entries import Entries, Migrations
from streamconsole.cli.options import Common
from streamconsole.console_settings import ConsoleSettings
from streamconsole.engines.errors import Refused
from streamconsole.engines.migration.planning import LATER, Plan, plan, plan_later
from streamconsole.engines.migration.settings import MigrationSettings
from streamconsole.engines.migration.whole import expand
from streamconsole.engines.states import FINISHED_RUNS, EngineKind, RunState
from streamconsole.engines.transfer.planning import TransferPlan
from streamconsole.engines.transfer.planning import plan as plan_transfer
from streamconsole.engines.transfer.settings import TransferSettings
from streamconsole.engines.workspace import runs, verifications
from streamconsole.engines.workspace.events import KEEP_EVENTS
from streamconsole.engines.workspace.runs import Run
from streamconsole.headless import DONE_ALREADY, Work
from streamconsole.replaying import replay
from streamconsole.reporting import Reporter, reporter_for
from streamconsole.session import Session, open_session
from streamconsole.summary import Summary, notes_on

if TYPE_CHECKING:
    from streamconsole.queue_book import NamedQueue

Settings = MigrationSettings | TransferSettings


@dataclass(frozen=True, slots=True)
class Todo:
    """What a command is to work on.

    Args:
        migrations: migrations to do; those of whole databases stand for one of each table.
        transfers: names and settings of transfers to do, after the migrations.
        queues: queues whose jobs are done, last of all, until they are empty.
        order: of migrations by name, what they wait for.
        resume: a run to go on with, instead.
        retry: a run whose failed units are to be done again, instead.
        replay: a run whose refused rows are to be fitted again, instead.
        changed: settings of the replay that are others now; None for what the run's runbook says.
        runbook: where the migrations come from.
        verify: a completed run that is to be verified, instead.
        workers: windows of the verification in hand at once; None for as many as the run had.
        always_new: never go on with an unfinished run of the same settings.
        console: settings of the console, from a runbook.
        keep_events: rows of the event log that are kept.
    """

    migrations: Migrations = ()
    transfers: tuple[tuple[str | None, TransferSettings], ...] = ()
    queues: tuple[NamedQueue, ...] = ()
    order: Order = field(default_factory=dict)
    resume: str | None = None
    retry: str | None = None
    replay: str | None = None
    changed: Mapping[str, Any] | None = None
    runbook: Path | None = None
    verify: str | None = None
    workers: int | None = None
    always_new: bool = False
    console: ConsoleSettings = field(default_factory=ConsoleSettings)
    keep_events: int = KEEP_EVENTS

    @property
    def asked(self) -> tuple[tuple[str | None, Settings], ...]:
        """Everything there is to do, in order."""
        return (*self.migrations, *self.transfers)


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
        from streamconsole.console import run_console

        return run_console(
            workspace,
            partial(_prepare, todo, start, console.read_only),
            console,
            start=start,
            keep_events=todo.keep_events,
            queues=todo.queues,
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


async def _prepare(todo: Todo, start: bool, read_only: bool, session: Session) -> tuple[list[Work], list[str]]:
    return (await runs_of(session, todo), []) if start else await runs_to_show(session, todo, plan_new=not read_only)


async def _without_screen(asked: Common, workspace: str, todo: Todo, console: ConsoleSettings) -> int:
    reporter = reporter_for(json=asked.json)
    try:
        async with open_session(workspace, todo.keep_events) as session:
            return await _report(session, todo, reporter, console)
    except Refused as error:
        if asked.json:
            reporter.summary(Summary(refused=[str(error)]))
        raise


async def _report(session: Session, todo: Todo, reporter: Reporter, console: ConsoleSettings) -> int:
    work = await runs_of(session, todo)
    for each in work:
        await headless.say_notes(session, each.run, reporter)
    summary = await headless.work(session, work, reporter, within=console.drain_timeout, on_hangup=console.on_hangup)
    summary.notes = await asyncio.to_thread(notes_on, summary.runs)
    if todo.queues and summary.stopped_by is None:
        await empty_queues(session, todo.queues, reporter, summary, console)
    return headless.finish(summary, reporter)


async def empty_queues(
    session: Session, queues: tuple[NamedQueue, ...], reporter: Reporter, summary: Summary, console: ConsoleSettings
) -> None:
    """Do the jobs of queues until there are none left."""
    # An engine of its own, that others need not wait for.
    from streamconsole.queue_book import set_up
    from streamconsole.queue_work import QueueWorkers

    await set_up(session.workspace, queues)
    workers = QueueWorkers(
        session.workspace, session.bus, reporter.say, within=console.drain_timeout, on_hangup=console.on_hangup
    )
    async with headless.reporting(session, reporter):
        summary.queues = await workers.work([each.work() for each in queues], until_empty=True)
    summary.stopped_by = workers.signal
    if workers.left_behind:
        # A thread that does not stop would keep the program from ending; its job is another's by now.
        os._exit(headless.finish(summary, reporter))


async def runs_of(session: Session, todo: Todo) -> list[Work]:
    """The runs to work on, made where there is none yet.

    Everything is planned before the first run is made: a runbook with a mistake in its last line
    moves nothing.

    Raises:
        Refused: something in it cannot be done.
    """
    if todo.resume is not None or todo.retry is not None:
        return [await _existing(session, todo.resume or todo.retry or "", retry=todo.retry is not None)]
    if todo.replay is not None:
        return [await _replay(session, todo, todo.replay)]
    if todo.verify is not None:
        created = await session.migration.verify(todo.verify, todo.workers)
        return [Work(created.id)]
    gone_on_with = not todo.always_new and await _is_unfinished(session, todo)
    found: list[tuple[Run | Plan | TransferPlan, Place | None]] = []
    found += await _entries(session, todo, keep_finished=gone_on_with).found()
    for name, settings in todo.transfers:
        found.append((await _known_or_plan(session, name, settings, todo, keep_finished=gone_on_with), None))
    return [await _work(session, each, place) for each, place in found]


async def runs_to_show(session: Session, todo: Todo, *, plan_new: bool = True) -> tuple[list[Work], list[str]]:
    """The runs of a runbook for the console: what is done or begun, and plans for the rest.

    What cannot be planned now is no reason to show nothing: it is told instead.

    Args:
        session: the open workspace.
        todo: what the runbook asks for.
        plan_new: whether plans are made for what has not begun; who only looks makes none.
    """
    if not plan_new:
        return [Work(run.id) for run in await _all_known(session, todo)], []
    problems: list[str] = []
    entries = _entries(session, todo, keep_finished=True, problems=problems)
    work = [await _work(session, each, place) for each, place in await entries.found()]
    for name, settings in todo.transfers:
        try:
            work.append(await _work(session, await _known_or_plan(session, name, settings, todo, keep_finished=True)))
        except Refused as error:
            problems.append(f"{name}: {error}")
    return work, problems


def _entries(session: Session, todo: Todo, *, keep_finished: bool, problems: list[str] | None = None) -> Entries:
    async def look(name: str | None, settings: MigrationSettings, later: bool) -> Run | Plan:
        found = await _known_or_plan(session, name, settings, todo, keep_finished=keep_finished, later=later)
        assert not isinstance(found, TransferPlan)
        return found

    return Entries(session.workspace, todo.migrations, todo.order, look, problems)


def expanded(migrations: Migrations) -> Migrations:
    """With each whole database as the migrations of its tables (blocking).

    Raises:
        Refused: a database cannot be looked at.
    """
    found: list[tuple[str | None, MigrationSettings]] = []
    for name, settings in migrations:
        found += [(name, settings)] if settings.tables is None else expand(settings, name)
    return tuple(found)


def expanded_as_far_as_possible(migrations: Migrations) -> tuple[Migrations, list[str]]:
    """The same, and what is wrong with those that cannot be looked at (blocking)."""
    found: list[tuple[str | None, MigrationSettings]] = []
    problems = []
    for each in migrations:
        try:
            found += expanded((each,))
        except Refused as error:
            problems.append(f"{each[0]}: {error}" if each[0] else str(error))
    return tuple(found), problems


async def _existing(session: Session, run_id: str, *, retry: bool) -> Work:
    run = await session.workspace.read(runs.get, run_id)
    holder = await session.workspace.read(runs.owner_of, run.id, session.workspace.locks)
    if holder is not None:
        # Said before a screen comes up: `claim` would say the same, behind it.
        raise runs.held_by(run, holder)
    if not retry and run.state in FINISHED_RUNS:
        raise Refused(
            f"run {run.id} is {run.state}: there is nothing to resume "
            f"(failed windows are done again by `streamconsole runs retry {run.id}`)"
        )
    return Work(run.id, retry_failed=retry)


async def _replay(session: Session, todo: Todo, run_id: str) -> Work:
    changed = None if todo.changed is None else dict(todo.changed)
    made = await replay(session, run_id, changed, todo.runbook)
    run = await session.workspace.read(runs.get, made)
    if run.plan.get("replays") is None:
        return Work(made, done="none of its rows is refused, or all of them have been replayed: nothing is left to do")
    return Work(made, retry_failed=True)


async def _is_unfinished(session: Session, todo: Todo) -> bool:
    """Whether a runbook was begun and did not come to its end: then what is done in it is not done again."""
    for run in await _all_known(session, todo):
        # One that is to be verified, and is not, is not at its end either.
        owed = run.state is RunState.COMPLETED and run.spec.get("verify")
        if run.state not in FINISHED_RUNS or (owed and await session.workspace.read(verifications.owed, run)):
            return True
    return False


async def _all_known(session: Session, todo: Todo) -> list[Run]:
    """The newest runs of all that is asked for, also of one that stands for tables that are not there yet."""
    migrations, _ = await asyncio.to_thread(expanded_as_far_as_possible, todo.migrations)
    standing = tuple(each for each in todo.migrations if each[1].tables is not None)
    asked: tuple[tuple[str | None, Settings], ...] = (*standing, *migrations, *todo.transfers)
    known = [await _newest(session, name, settings) for name, settings in asked if name is not None]
    return [run for run in known if run is not None]


async def _newest(session: Session, name: str, settings: Settings) -> Run | None:
    return await session.workspace.read(runs.newest_like, kind_of(settings), name, spec_of(settings))


async def _known_or_plan(
    session: Session,
    name: str | None,
    settings: Settings,
    todo: Todo,
    *,
    keep_finished: bool = False,
    later: bool = False,
) -> Run | Plan | TransferPlan:
    """The unfinished run of these settings (with `keep_finished` a finished one, too), or a new plan.

    With `later` the plan is an empty one: it is made when the run begins.
    """
    if not todo.always_new and name is not None:
        known = await _newest(session, name, settings)
        if known is not None and known.state is RunState.PLANNED and later and LATER in known.plan:
            return known
        if known is not None and known.state is RunState.PLANNED:
            # It never began, and its source may have changed since: plan it anew.
            await session.workspace.write(runs.remove, known.id)
        elif known is not None and (keep_finished or known.state not in FINISHED_RUNS):
            return known
    if isinstance(settings, TransferSettings):
        return await plan_transfer(settings, name)
    if later and name is not None:
        return _from(todo, plan_later(settings, name))
    return _from(todo, await asyncio.to_thread(plan, settings, name))


def _from(todo: Todo, found: Plan) -> Plan:
    """A plan that knows its runbook: refused rows may once be replayed by what that says then."""
    return replace(found, data=found.data | {"runbook": str(todo.runbook)}) if todo.runbook else found


async def _work(session: Session, each: Run | Plan | TransferPlan, place: Place | None = None) -> Work:
    if isinstance(each, TransferPlan):
        run = await session.transfer.create(each)
    else:
        run = each if isinstance(each, Run) else await session.migration.create(each)
    return Work(run.id, done=DONE_ALREADY if run.state in FINISHED_RUNS else None, place=place)


def spec_of(settings: Settings) -> dict[str, Any]:
    """Settings as a run keeps them."""
    return settings.model_dump(mode="json")


def kind_of(settings: Settings) -> EngineKind:
    """The engine that does what settings ask for."""
    return EngineKind.TRANSFER if isinstance(settings, TransferSettings) else EngineKind.MIGRATION
