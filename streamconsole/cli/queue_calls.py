"""What the verbs of `streamconsole queue` have in common: the workspace, filters, jobs as lines."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from time import time
from typing import Any, TypeVar

import click

from streamconsole import exit_codes
from streamconsole.cli.options import Seconds, common, given
from streamconsole.cli.output import moment, print_json, say
from streamconsole.engines.errors import Refused
from streamconsole.engines.queue import Job, JobFilter, JobOptions, JobState, Queue, registry
from streamconsole.engines.queue.options import checked
from streamconsole.engines.queue.payloads import from_text
from streamconsole.engines.workspace import Workspace
from streamconsole.engines.workspace.workspace import is_there, path_of

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Asked:
    """An open workspace, to ask queues of."""

    workspace: Workspace
    queues: tuple[str, ...]

    def queue(self, name: str) -> Queue:
        """The queue of that name, there or not."""
        return Queue(self.workspace, name)

    def known(self, name: str) -> Queue:
        """The queue of that name.

        Raises:
            Refused: there is none.
        """
        if name not in self.queues:
            close = difflib.get_close_matches(name, self.queues, 1)
            hint = f"did you mean {close[0]}?" if close else "`streamconsole queue counts` shows what there is"
            raise Refused(f"there is no queue {name} in this workspace: {hint}")
        return self.queue(name)

    async def job(self, queue: str, job: str) -> Job:
        """A job.

        Raises:
            Refused: there is none.
        """
        found = await self.known(queue).get(job)
        if found is None:
            raise Refused(f"queue {queue} has no job {job}: `streamconsole queue list {queue}` shows what there is")
        return found

    async def changed(self, within: float) -> None:
        """Wait until another process has changed something, or so many seconds."""
        change, loop = asyncio.Event(), asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(change.set)

        self.workspace.listen(wake)
        try:
            async with asyncio.timeout(within):
                await change.wait()
        except TimeoutError:
            pass
        finally:
            self.workspace.unlisten(wake)


def in_workspace(context: click.Context, call: Callable[[Asked], Awaitable[T]], *, make: bool = False) -> T:
    """Open the workspace, and call a coroutine function with it.

    Args:
        context: of the command.
        call: what to do.
        make: whether the workspace is made when there is none.
    """
    url = given(context).workspace_beside(Path.cwd())
    if not make and not is_there(url):
        raise Refused(
            f"there is no workspace {path_of(url)}: name one with --workspace, go to the folder that has "
            ".streamconsole, or make one with `streamconsole queue add`"
        )

    async def opened() -> T:
        workspace = await Workspace.open(url)
        try:
            return await call(Asked(workspace, tuple(await workspace.read(registry.names))))
        finally:
            await workspace.close()

    return asyncio.run(opened())


def options_of(name: str, asked: dict[str, Any]) -> JobOptions:
    """Options of a job from those of the command."""
    values = from_text(asked["more"], f"options of job {name!r}") if asked["more"] is not None else {}
    if not isinstance(values, dict):
        raise Refused(f'options of job {name!r}: write an object, {{"attempts": 3}}')
    if asked["delay"] is not None:
        values["delay"] = round(asked["delay"] * 1000)
    values |= {key: asked[key] for key in ("priority", "attempts", "job_id") if asked[key] is not None}
    return checked(JobOptions, values, f"options of job {name!r}")


def filtering(command: F) -> F:
    """Give a command the options that say which jobs are meant."""
    states = click.Choice([str(state) for state in JobState])
    for option in (
        click.option("--state", "states", type=states, multiple=True, help="Any of these."),
        click.option("--name", help="Name of the job."),
        click.option("--id", "id", metavar="ID", help="Its id, or the beginning of one that was given."),
        click.option("--text", help="Somewhere in payload or name."),
        click.option("--where", metavar="PATH=VALUE", help="A place in the payload: address.city=Bonn"),
        click.option("--failure", help="Somewhere in the failure."),
        click.option("--group", help="Of this group."),
        click.option("--since", type=Seconds(), help="Made in the last so many seconds (30s, 2m, 1h)."),
    ):
        command = option(command)
    return command


def named(asked: dict[str, Any]) -> JobFilter:
    """The filter that those options mean."""
    path, _, value = (asked.get("where") or "").partition("=")
    since = asked.get("since")
    return JobFilter(
        states=tuple(JobState(state) for state in asked.get("states") or ()),
        name=asked.get("name"),
        id=asked.get("id"),
        text=asked.get("text"),
        path=path or None,
        value=value if asked.get("where") and "=" in asked["where"] else None,
        failure=asked.get("failure"),
        group=asked.get("group"),
        since=round((time() - since) * 1000) if since is not None else None,
    )


def steer(group: click.Group, verb: str, explanation: str, default: tuple[str, ...] | None) -> None:
    """Make the command `queue VERB QUEUE [JOB]...`, with filters instead of jobs.

    Args:
        group: where it goes.
        verb: its name.
        explanation: its help.
        default: states meant by --all alone; None when a filter must be said.
    """

    @group.command(verb, help=explanation)
    @click.argument("queue")
    @click.argument("jobs", metavar="[JOB]...", nargs=-1)
    @click.option("--all", "every", is_flag=True, help="All jobs that match the filters.")
    @filtering
    @common
    @click.pass_context
    def command(context: click.Context, /, queue: str, jobs: tuple[str, ...], every: bool, **asked: Any) -> int:
        if bool(jobs) is every:
            raise click.UsageError("name jobs, or say --all with filters", context)
        if every and default is None and not any(asked.values()):
            raise click.UsageError("say which: --state, --name, --where, …", context)
        if not any(asked.values()) and default is not None:
            asked["states"] = default
        return _steer(context, verb, queue, jobs, named(asked))


def _steer(context: click.Context, verb: str, queue: str, jobs: tuple[str, ...], asked: JobFilter) -> int:
    async def change(at: Asked) -> tuple[int, list[str]]:
        known = at.known(queue)
        if not jobs:
            return await getattr(known, f"{verb}_all")(asked), []
        refused = []
        for job in jobs:
            try:
                await getattr(known, verb)(job)
            except Refused as error:
                refused.append(str(error))
        return len(jobs) - len(refused), refused

    done, refused = in_workspace(context, change)
    if given(context).json:
        print_json([{"event": verb, "queue": queue, "jobs": done, "refused": refused}])
    elif done or not refused:
        say(f"{verb}: {done:,} jobs of queue {queue}")
    if refused and not given(context).json:
        raise Refused("; ".join(refused))
    return exit_codes.REFUSED if refused else exit_codes.DONE


def job_json(job: Job) -> dict[str, Any]:
    """A job as an object for scripts; times are milliseconds since the epoch."""
    row = job.row
    return {
        "id": job.id,
        "queue": job.queue,
        "name": job.name,
        "state": str(job.state),
        "payload": job.payload,
        "options": job.options.model_dump(mode="json", exclude_defaults=True),
        "priority": row.priority,
        "group": row.group_key,
        "attempts_made": job.attempts_made,
        "stalled": row.stalled,
        "progress": job.progress,
        "result": job.result,
        "failure": job.failure,
        "created_at": row.created_at,
        "due_at": row.due_at,
        "started_at": row.started_at,
        "finished_at": row.finished_at,
    }


def job_line(job: Job) -> list[Any]:
    """A job as cells for people."""
    attempts = f"{job.attempts_made}/{job.options.attempts}"
    return [job.id, job.name, job.state, attempts, job.row.priority, moment(job.row.created_at), job.failure]
