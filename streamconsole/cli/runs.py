"""`streamconsole runs …`: look at runs and steer them, also from another terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streamconsole import exit_codes
from streamconsole.cli.looking import look
from streamconsole.cli.options import Common, common, given
from streamconsole.cli.output import moment, print_json, print_table, say
from streamconsole.cli.pruning import States, prune
from streamconsole.cli.rejects import list_rejects, replay_rejects
from streamconsole.engines.errors import Refused
from streamconsole.engines.secrets import mask
from streamconsole.engines.states import RunState, WindowState

if TYPE_CHECKING:
    from streamconsole.engines.control import Command, Outcome
    from streamconsole.engines.workspace import Workspace


@click.group("runs")
@common
def runs_group() -> None:
    """List, show and steer runs."""


runs_group.add_command(list_rejects)
runs_group.add_command(prune)


@runs_group.command("list")
@click.option("--state", "states", metavar="LIST", type=States(), help="In one of these states: failure,paused.")
@click.option("--limit", type=click.IntRange(1), default=200, show_default=True, help="The newest ones, so many.")
@common
@click.pass_context
def list_runs(context: click.Context, states: frozenset[RunState] | None, limit: int) -> None:
    """The runs of the workspace, newest first."""
    from streamconsole.summary import summarise

    async def collect(workspace: Workspace) -> list[Any]:
        from streamconsole.engines.workspace import runs

        found = await workspace.read(runs.listing, limit, states)
        return await summarise(workspace, [run.id for run in found])

    summaries = look(context, collect)
    if given(context).json:
        print_json(summary.as_json() | {"created_at": summary.run.created_at} for summary in summaries)
        return
    print_table(
        ("RUN", "ENGINE", "STATE", "WINDOWS", "FAILED", "ROWS", "REJECTS", "CREATED"),
        [
            (
                each.run.id,
                each.run.engine,
                each.run.state,
                f"{each.totals.completed}/{each.totals.windows}",
                each.totals.failed,
                f"{each.totals.rows_written:,}",
                each.totals.rejects,
                moment(each.run.created_at),
            )
            for each in summaries
        ],
    )


@runs_group.command("show")
@click.argument("run")
@common
@click.pass_context
def show(context: click.Context, run: str) -> None:
    """One run: what it does, how far it is, who works on it."""
    from streamconsole.engines.workspace import runs, verifications, windows
    from streamconsole.summary import summarise

    async def collect(workspace: Workspace) -> Any:
        found = await workspace.read(runs.get, run)
        owner = await workspace.read(runs.owner_of, found.id, workspace.locks)
        failures = await workspace.read(windows.failures_of, found.id)
        verdict = await workspace.read(verifications.verdict_on, found.id)
        return (await summarise(workspace, [found.id]))[0], owner, failures, verdict

    summary, owner, failures, verdict = look(context, collect)
    if given(context).json:
        sides = {side: mask(str(summary.run.spec.get(side, ""))) for side in ("source", "target")}
        about = {
            "spec": summary.run.spec | sides,
            "plan": summary.run.plan,
            "tuning": summary.run.tuning,
            "owner": str(owner) if owner else None,
            "verification": verdict.as_json() if verdict else None,
        }
        print_json([summary.as_json() | about | {"failures": failures}])
        return
    say(summary.sentence())
    verified = [("verified", f"{verdict.text} ({verdict.run.id})")] if verdict else []
    print_table(("", ""), [*_facts(summary, owner), *verified])
    for failure in failures[:10]:
        say(f"  window {failure['window']}, attempt {failure['attempt']}: {failure['message']}")


def _facts(summary: Any, owner: Any) -> list[tuple[str, str]]:
    from streamconsole.engines.rate import told
    from streamconsole.engines.turning import rate_of, workers_of

    run, totals = summary.run, summary.totals
    facts = [
        ("source", run.spec.get("source", "")),
        ("target", run.spec.get("target", "")),
        ("windows", f"{totals.completed} done, {totals.failed} failed, {totals.pending + totals.running} left"),
        ("rows", f"{totals.rows_written:,} written of {totals.rows_read:,} read, {totals.rejects:,} refused"),
        ("workers", str(workers_of(run))),
        ("limit", told(rate_of(run)) if rate_of(run) else "none"),
        ("created", moment(run.created_at)),
        ("worked on by", str(owner) if owner else "nobody"),
    ]
    if totals.dropped:
        facts.append(("by transforms", f"{abs(totals.dropped):,} rows {'dropped' if totals.dropped > 0 else 'added'}"))
    facts += [("note", note) for note in run.plan.get("notes", ())]
    columns = run.plan.get("schema", {}).get("columns", [])
    renamed = [f"{each['key']} as {each['name']}" for each in columns if each["key"] != each["name"]]
    return facts + ([("renamed", ", ".join(renamed))] if renamed else [])


@runs_group.command("history", short_help="Every window of a run with its outcome.")
@click.argument("run")
@click.option(
    "--state",
    "states",
    metavar="STATE",
    multiple=True,
    type=click.Choice([state.value for state in WindowState]),
    help="Windows in this state; may be repeated.",
)
@common
@click.pass_context
def history(context: click.Context, run: str, states: tuple[str, ...]) -> None:
    """Every window of a run with its outcome; with --json, what `--windows` accepts."""
    from streamconsole.engines.workspace import runs, windows

    async def collect(workspace: Workspace) -> Any:
        wanted = [WindowState(state) for state in states] or None
        return await workspace.read(windows.listing, (await workspace.read(runs.get, run)).id, wanted)

    records = [record.as_json() for record in look(context, collect)]
    if given(context).json:
        print_json(records)
        return
    names = ("window", "lo", "hi", "state", "worker", "attempt", "rows_read", "rows_written", "rejects", "error")
    print_table([name.upper() for name in names], [[record[name] for name in names] for record in records])


@runs_group.command("stderr", short_help="What programs of `exec` transforms said on stderr.")
@click.argument("run")
@click.argument("window", type=int, required=False)
@common
@click.pass_context
def list_stderr(context: click.Context, run: str, window: int | None) -> None:
    """What the programs of `exec` transforms said on stderr: of all windows, or of one."""

    async def collect(workspace: Workspace) -> Any:
        from streamconsole.engines.workspace import runs

        found = await workspace.read(runs.get, run)
        files = sorted(workspace.path.with_name(f"stderr-{found.id}").glob("*.txt"))
        return [(int(file.stem[:8]), file.stem[9:], file.read_text(errors="replace")) for file in files]

    said = [each for each in look(context, collect) if window in (None, each[0])]
    if given(context).json:
        print_json({"window": number, "program": program, "text": text} for number, program, text in said)
        return
    for number, program, text in said:
        for line in text.splitlines():
            say(f"window {number}, {program}: {line}")


def _steering(verb: str, explanation: str) -> None:
    """Make the command `runs VERB RUN`."""

    @common
    @click.pass_context
    def command(context: click.Context, run: str) -> int:
        return _steer(context, verb, run, None)

    command.__doc__ = explanation
    runs_group.command(verb)(click.argument("run")(command))


_steering("pause", "No new window starts; active ones finish. Survives a restart.")
_steering("resume", "Go on: tells the process that has it, or works on it here.")
_steering("cancel", "End the run for good; what is committed stays.")
_steering("stop", "Finish what is active and let go of it; resume it any time.")


@runs_group.command("retry", short_help="Do the failed windows again, or replay the refused rows.")
@click.argument("run")
@click.option("--window", metavar="NUMBER", help="Just this window.")
@click.option("--rejects", is_flag=True, help="Read the refused rows again, and write those that fit now.")
@click.option("--map", "columns", metavar="FILE", help="With --rejects: what becomes of columns now, as in migrate.")
@click.option("--runbook", metavar="FILE", help="With --rejects: take columns and transforms from this runbook.")
@common
@click.pass_context
def retry(
    context: click.Context, run: str, window: str | None, rejects: bool, columns: str | None, runbook: str | None
) -> int:
    """Do the failed windows again; with --rejects, replay the refused rows.

    The refused rows are read again from the source, which must be as it was, and fitted by the mapping as it is
    now: that of --map, or what the runbook of the run says now, or else the run's own. Those that fit are written,
    each of them once; the others stay in the list.
    """
    if rejects:
        if window is not None:
            raise click.UsageError("--rejects replays the refused rows of all windows: leave out --window", context)
        return replay_rejects(given(context), run, columns, runbook)
    if columns is not None or runbook is not None:
        raise click.UsageError("--map and --runbook go with --rejects", context)
    return _steer(context, "retry", run, window)


def _steer(context: click.Context, verb: str, run: str, window: str | None) -> int:
    asked = given(context)
    url = asked.workspace_beside(Path.cwd())
    outcome = look(context, lambda workspace: _command(workspace, verb, run, window, {}))
    if outcome is None:
        from streamconsole.cli.working import Todo, work_on

        return work_on(asked, url, Todo(resume=run) if verb == "resume" else Todo(retry=run))
    return _say_outcome(asked, verb, run, outcome)


@runs_group.command("workers", short_help="More or fewer windows in hand at once.")
@click.argument("run")
@click.argument("count", type=click.IntRange(1, 256))
@common
@click.pass_context
def workers(context: click.Context, run: str, count: int) -> int:
    """Have RUN work on COUNT windows at once, from now on."""
    return _turn(context, "workers", run, {"count": count})


@runs_group.command("rate", short_help="Limit how fast a run goes.")
@click.argument("run")
@click.argument("limit")
@common
@click.pass_context
def rate(context: click.Context, run: str, limit: str) -> int:
    """Let RUN go no faster than LIMIT, from now on: 5000rows/s, 20MB/s, or none."""
    from streamconsole.engines.rate import canonical

    try:
        said = canonical(limit)
    except ValueError as error:
        raise Refused(f"LIMIT {limit!r} {error}") from None
    return _turn(context, "rate", run, {"rate": said or "none"})


def _turn(context: click.Context, verb: str, run: str, args: dict[str, Any]) -> int:
    outcome = look(context, lambda workspace: _command(workspace, verb, run, None, args))
    assert outcome is not None
    return _say_outcome(given(context), verb, run, outcome)


async def _command(
    workspace: Workspace, verb: str, run: str, window: str | None, args: dict[str, Any]
) -> Outcome | None:
    """What came of the command; None when the run is to be worked on by this process."""
    from streamconsole.engines.control import Command, Outcome, Verb
    from streamconsole.engines.supervisor import answer_to, change_unowned, sender
    from streamconsole.engines.workspace import commands, runs

    found = await workspace.read(runs.get, run)
    command = Command(found.id, Verb(verb), window, args)
    owner = await workspace.read(runs.owner_of, found.id, workspace.locks)
    if owner is None and window is not None:
        raise Refused(
            f"nobody works on run {found.id}, and one window alone is done again only while somebody does: "
            "leave out --window to do all failed ones"
        )
    if owner is None and command.verb in (Verb.RESUME, Verb.RETRY):
        return None
    sent = await workspace.write(commands.send, command.run, command.unit, command.verb, args, sender())
    if owner is not None:
        return await answer_to(workspace, sent)
    outcome = await workspace.write(_change_and_settle, command, sent, change_unowned)
    return Outcome(outcome.done, outcome.text)


def _change_and_settle(connection: Any, command: Command, sent: int, change: Callable[..., Outcome]) -> Outcome:
    from streamconsole.engines.workspace import commands

    outcome = change(connection, command)
    commands.settle(connection, sent, "done" if outcome.done else "refused", outcome.text)
    return outcome


def _say_outcome(asked: Common, verb: str, run: str, outcome: Outcome) -> int:
    if asked.json:
        print_json([{"event": "command", "verb": verb, "run": run, "done": outcome.done, "outcome": outcome.text}])
    elif outcome.done:
        say(f"{run}: {outcome.text}")
    if not outcome.done and not asked.json:
        raise Refused(f"{run}: {outcome.text}")
    return exit_codes.DONE if outcome.done else exit_codes.REFUSED
