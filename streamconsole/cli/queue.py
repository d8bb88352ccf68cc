"""`streamconsole queue …`: jobs added, found, steered and done from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from streamconsole.cli.options import Seconds, common, given
from streamconsole.cli.output import moment, print_json, print_table, say
from streamconsole.cli.queue_calls import (
    Asked,
    filtering,
    in_workspace,
    job_json,
    job_line,
    named,
    options_of,
    steer,
)
from streamconsole.cli.queue_care import STATES, clean, drain, logs, metrics, obliterate, schedule, settings


@click.group("queue")
@common
def queue_group() -> None:
    """Add jobs, look at them, steer them, do them."""


@queue_group.command("add")
@click.argument("queue")
@click.argument("name", required=False)
@click.option("--payload", metavar="JSON", help="What the job is given.  [default: null]")
@click.option("--from", "source", metavar="FILE", help='NDJSON, a {"name", "payload", "options"} a line; - for stdin.')
@click.option("--delay", type=Seconds(), help="Earliest start from now.")
@click.option("--priority", type=int, help="0 first, then lower first.")
@click.option("--attempts", type=int, help="Tries in all.")
@click.option("--job-id", help="The job's id; a second one of that id is not added.")
@click.option("--options", "more", metavar="JSON", help="All options, as an object (times in milliseconds).")
@common
@click.pass_context
def add(context: click.Context, /, queue: str, name: str | None, source: str | None, **asked: Any) -> None:
    """Add one job to QUEUE, or many from a file."""
    if (name is None) is (source is None):
        raise click.UsageError("give either NAME or --from FILE", context)
    if source is not None:
        if any(value is not None for value in asked.values()):
            raise click.UsageError("with --from, payload and options stand in the file", context)
        from streamconsole.cli.queue_file import add_from

        return add_from(context, queue, source)
    return _add_one(context, queue, str(name), asked)


def _add_one(context: click.Context, queue: str, name: str, asked: dict[str, Any]) -> None:
    from streamconsole.engines.queue.payloads import from_text

    payload = from_text(asked["payload"], f"payload of job {name!r}") if asked["payload"] is not None else None
    options = options_of(name, asked)
    job = in_workspace(context, lambda at: at.queue(queue).add(name, payload, options), make=True)
    if given(context).json:
        print_json([{"event": "added"} | job_json(job)])
    else:
        say(f"added job {job.id} to queue {queue}: {job.state}")


@queue_group.command("list")
@click.argument("queue")
@filtering
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=100, show_default=True)
@click.option("--offset", type=click.IntRange(0), default=0)
@common
@click.pass_context
def list_jobs(context: click.Context, /, queue: str, limit: int, offset: int, **asked: Any) -> None:
    """List jobs of QUEUE that match, newest first (those that wait: the next one first)."""
    found = in_workspace(context, lambda at: at.known(queue).jobs(named(asked), limit=limit, offset=offset))
    if given(context).json:
        print_json(map(job_json, found))
    else:
        header = ("ID", "NAME", "STATE", "ATTEMPTS", "PRIORITY", "CREATED", "FAILURE")
        print_table(header, map(job_line, found))


@queue_group.command("show")
@click.argument("queue")
@click.argument("job")
@common
@click.pass_context
def show(context: click.Context, queue: str, job: str) -> None:
    """Show all that is known of one JOB: payload, options, attempts with stacks, timeline."""

    async def look(at: Asked) -> dict[str, Any]:
        found = await at.job(queue, job)
        events = await at.queue(queue).timeline(job)
        return job_json(found) | {
            "failures": await at.queue(queue).failures(job),
            "timeline": [{"at": event.at, "name": str(event.name), **event.data} for event in events],
            "log_lines": len(await at.queue(queue).logs(job)),
        }

    found = in_workspace(context, look)
    if given(context).json:
        print_json([found])
        return
    for key, value in found.items():
        if key == "failures":
            for failure in value:
                say(f"attempt {failure['attempt']} failed {moment(failure['at'])}: {failure['reason']}")
                for line in (failure["trace"] or "").splitlines():
                    say(f"    {line}")
        elif key == "timeline":
            for event in value:
                say(f"{moment(event['at'])}  {event['name']}")
        elif value is not None:
            say(f"{key}: {moment(value) if key.endswith('_at') else value}")


@queue_group.command("counts")
@click.argument("queue", required=False)
@common
@click.pass_context
def counts(context: click.Context, queue: str | None) -> None:
    """Count the jobs of QUEUE (or of each queue) by state."""

    async def look(at: Asked) -> list[dict[str, Any]]:
        from streamconsole.engines.queue import counts, registry

        names = [at.known(queue).name] if queue else await at.workspace.read(registry.names)
        found = await at.workspace.read(counts.of_all)
        by_state = {name: {str(state): n for state, n in found.get(name, {}).items()} for name in names}
        paused = {name: await at.queue(name).is_paused() for name in names}
        zero = dict.fromkeys((*STATES, "waiting-children"), 0)
        return [{"queue": name, **zero, **by_state[name], "paused": paused[name]} for name in names]

    found = in_workspace(context, look)
    if given(context).json:
        print_json(found)
    else:
        print_table(
            ["QUEUE", *(state.upper() for state in STATES), ""],
            ([row["queue"], *(row[state] for state in STATES), "paused" if row["paused"] else ""] for row in found),
        )


steer(queue_group, "retry", "Failed (or completed) jobs wait again.", ("failed",))
steer(queue_group, "promote", "Delayed jobs are ready now.", ("delayed",))
steer(queue_group, "remove", "Remove jobs that are not active.", None)
steer(queue_group, "cancel", "Jobs fail as cancelled; active ones are stopped wherever they run.", None)


@queue_group.command("pause")
@click.argument("queue")
@click.option("--group", help="Only the jobs of this group.")
@common
@click.pass_context
def pause(context: click.Context, queue: str, group: str | None) -> None:
    """No job of QUEUE starts any more; active ones end. Survives a restart."""

    async def change(at: Asked) -> None:
        known = at.known(queue)
        await (known.pause_group(group) if group else known.pause())

    in_workspace(context, change)
    _done(context, "paused", queue, group)


@queue_group.command("resume")
@click.argument("queue")
@click.option("--group", help="Only the jobs of this group.")
@common
@click.pass_context
def resume(context: click.Context, queue: str, group: str | None) -> None:
    """Jobs of QUEUE start again."""

    async def change(at: Asked) -> None:
        known = at.known(queue)
        await (known.resume_group(group) if group else known.resume())

    in_workspace(context, change)
    _done(context, "resumed", queue, group)


@queue_group.command("update")
@click.argument("queue")
@click.argument("job")
@click.option("--payload", metavar="JSON", help="Another payload.")
@click.option("--priority", type=int, help="Another priority.")
@click.option("--delay", type=Seconds(), help="A delayed job waits so long from now.")
@common
@click.pass_context
def update(
    context: click.Context, queue: str, job: str, payload: str | None, priority: int | None, delay: float | None
) -> None:
    """Change a JOB that has not finished."""
    from streamconsole.engines.queue.payloads import from_text

    if payload is None and priority is None and delay is None:
        raise click.UsageError("say what to change: --payload, --priority or --delay", context)
    value = from_text(payload, f"payload of job {job}") if payload is not None else None

    async def change(at: Asked) -> Any:
        known = at.known(queue)
        if payload is not None:
            await known.update(job, value)
        if priority is not None:
            await known.change_priority(job, priority)
        if delay is not None:
            await known.change_delay(job, round(delay * 1000))
        return await at.job(queue, job)

    found = in_workspace(context, change)
    if given(context).json:
        print_json([{"event": "updated"} | job_json(found)])
    else:
        say(f"job {job} of queue {queue} is changed: {found.state}")


for command in (clean, drain, obliterate, logs, metrics, schedule, settings):
    queue_group.add_command(command)


@queue_group.command("work")
@click.argument("queue")
@click.option("--processor", required=True, help="module:function (looked for in this folder, too), or exec:COMMAND.")
@click.option("--concurrency", type=click.IntRange(1, 10_000), default=1, show_default=True, help="Jobs at once.")
@click.option("--until-empty", is_flag=True, help="End when nothing of the queue waits, is delayed or active.")
@click.option("--processes", is_flag=True, help="Each call in a process: uses all cores, and can be killed.")
@common
@click.pass_context
def work(context: click.Context, /, queue: str, processor: str, **asked: Any) -> int:
    """Do the jobs of QUEUE; several such processes may share a workspace.

    A coroutine function runs in the event loop, a plain one in a thread (or, with --processes, in a
    process); exec:COMMAND is run for each job, with the payload on its stdin.
    """
    from streamconsole.cli.queue_working import work_on_queue

    return work_on_queue(context, Path.cwd(), queue, processor, **asked)


def _done(context: click.Context, what: str, queue: str, group: str | None) -> None:
    if given(context).json:
        print_json([{"event": what, "queue": queue, "group": group}])
    else:
        say(f"{f'group {group} of ' if group else ''}queue {queue} is {what}")
