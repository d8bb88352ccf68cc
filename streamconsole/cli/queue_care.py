"""`streamconsole queue clean|drain|obliterate|logs|metrics|schedule|settings`: looking after a queue."""

from __future__ import annotations

from typing import Any

import click

from streamconsole.cli.options import Seconds, common, given
from streamconsole.cli.output import moment, print_json, print_table, say
from streamconsole.cli.queue_calls import Asked, in_workspace
from streamconsole.engines.errors import Refused

STATES = ["waiting", "active", "delayed", "prioritized", "completed", "failed"]


@click.command("clean")
@click.argument("queue")
@click.option("--state", type=click.Choice([state for state in STATES if state != "active"]), default="completed")
@click.option("--older-than", type=Seconds(), default=0.0, help="Only jobs older than this.  [default: all]")
@click.option("--limit", type=click.IntRange(1), help="So many at most, the oldest first.")
@common
@click.pass_context
def clean(context: click.Context, queue: str, state: str, older_than: float, limit: int | None) -> None:
    """Remove jobs of a state from QUEUE (completed ones, by default)."""
    from streamconsole.engines.queue import JobState

    gone = in_workspace(
        context, lambda at: at.known(queue).clean(JobState(state), grace=round(older_than * 1000), limit=limit)
    )
    _removed(context, queue, gone)


@click.command("drain")
@click.argument("queue")
@click.option("--delayed", is_flag=True, help="Delayed jobs, too.")
@common
@click.pass_context
def drain(context: click.Context, queue: str, delayed: bool) -> None:
    """Remove all jobs of QUEUE that wait."""
    _removed(context, queue, in_workspace(context, lambda at: at.known(queue).drain(delayed=delayed)))


@click.command("obliterate")
@click.argument("queue")
@click.option("--force", is_flag=True, help="Also when jobs are active.")
@common
@click.pass_context
def obliterate(context: click.Context, queue: str, force: bool) -> None:
    """Remove QUEUE with everything in it; it must be paused."""
    _removed(context, queue, in_workspace(context, lambda at: at.known(queue).obliterate(force=force)))


@click.command("logs")
@click.argument("queue")
@click.argument("job")
@click.option("--follow", is_flag=True, help="Go on as lines come, until the job has finished.")
@common
@click.pass_context
def logs(context: click.Context, queue: str, job: str, follow: bool) -> None:
    """Show the log of a JOB."""

    def out(lines: list[Any]) -> None:
        if given(context).json:
            print_json({"at": line.at, "line": line.line} for line in lines)
        else:
            for line in lines:
                say(f"{moment(line.at)}  {line.line}")

    async def look(at: Asked) -> None:
        from streamconsole.engines.queue.states import FINISHED_JOBS

        seen = 0
        while True:
            ended = (await at.job(queue, job)).state in FINISHED_JOBS
            lines = await at.queue(queue).logs(job, seen)
            out(lines)
            seen = lines[-1].id if lines else seen
            if not follow or (ended and not lines):
                return
            await at.changed(0.25)

    in_workspace(context, look)


@click.command("metrics")
@click.argument("queue")
@click.option("--minutes", type=click.IntRange(1, 20_160), default=60, show_default=True)
@common
@click.pass_context
def metrics(context: click.Context, queue: str, minutes: int) -> None:
    """Show what QUEUE did in each of the last minutes."""
    found = in_workspace(context, lambda at: at.known(queue).metrics(minutes))
    if given(context).json:
        print_json({"at": each.at, "completed": each.completed, "failed": each.failed} for each in found)
    else:
        print_table(
            ["MINUTE", "COMPLETED", "FAILED"], [[moment(each.at), each.completed, each.failed] for each in found]
        )


@click.command("schedule")
@click.argument("queue")
@click.argument("schedule", required=False)
@click.option("--cron", metavar="EXPRESSION", help="'0 3 * * *': minute, hour, day, month, weekday.")
@click.option("--every", type=Seconds(), help="Instead of --cron, a fixed distance.")
@click.option("--tz", metavar="ZONE", help="Time zone of --cron.  [default: UTC]")
@click.option("--name", help="Name of the jobs.  [default: SCHEDULE]")
@click.option("--payload", metavar="JSON", help="Payload of the jobs.")
@click.option("--catch-up", type=click.Choice(["skip", "one", "all"]), help="Moments missed.  [default: one]")
@click.option("--overlap", type=click.Choice(["allow", "skip"]), help="While the last has not ended.  [default: allow]")
@click.option("--remove", is_flag=True, help="Remove SCHEDULE.")
@common
@click.pass_context
def schedule(context: click.Context, /, queue: str, schedule: str | None, remove: bool, **asked: Any) -> None:
    """Make, change or remove a SCHEDULE of QUEUE; without one, list them."""
    from streamconsole.engines.queue.payloads import from_text

    values = {key: value for key, value in asked.items() if value is not None}
    if "every" in values:
        values["every"] = round(values["every"] * 1000)
    if "payload" in values:
        values["payload"] = from_text(values["payload"], f"payload of schedule {schedule}")

    async def change(at: Asked) -> list[Any]:
        if schedule is not None and remove:
            await at.known(queue).remove_scheduler(schedule)
        elif schedule is not None:
            return [await at.queue(queue).upsert_scheduler(schedule, **values)]
        return await at.known(queue).schedulers()

    found = in_workspace(context, change, make=schedule is not None and not remove)
    lines = [(each.id, each.schedule.cron or f"every {(each.schedule.every or 0) / 1000:g} s", each) for each in found]
    if given(context).json:
        print_json({"id": id_, "when": when, "next_at": each.next_at, "fired": each.fired} for id_, when, each in lines)
    else:
        print_table(["ID", "WHEN", "NEXT", "MADE"], [[i, when, moment(s.next_at), s.fired] for i, when, s in lines])


@click.command("settings")
@click.argument("queue")
@click.option("--set", "changes", metavar="KEY=JSON", multiple=True, help='limiter={"max": 10, "duration": 1000}')
@common
@click.pass_context
def settings(context: click.Context, queue: str, changes: tuple[str, ...]) -> None:
    """Show or change how QUEUE is treated by all workers."""
    from streamconsole.engines.queue.payloads import from_text

    values: dict[str, Any] = {}
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals:
            raise Refused(f"{change!r}: write KEY=JSON")
        values[key] = from_text(text, f"value of {key}")

    async def look(at: Asked) -> Any:
        return await at.queue(queue).configure(**values) if values else await at.known(queue).settings()

    found = in_workspace(context, look, make=bool(values)).model_dump(mode="json")
    if given(context).json:
        print_json([found])
    else:
        for key, value in found.items():
            say(f"{key}: {value}")


def _removed(context: click.Context, queue: str, gone: int) -> None:
    if given(context).json:
        print_json([{"event": "removed", "queue": queue, "jobs": gone}])
    else:
        say(f"removed {gone:,} jobs of queue {queue}")
