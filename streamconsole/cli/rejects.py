"""`streamconsole runs rejects`: refused rows listed and exported; and their replay."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streamconsole.cli.looking import look
from streamconsole.cli.options import Common, common, given
from streamconsole.cli.output import print_json, print_table_of, say
from streamconsole.engines import private_files
from streamconsole.engines.errors import Refused
from streamconsole.json_line import json_line
from streamconsole.wording import counted

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from streamconsole.engines.workspace import Workspace
    from streamconsole.engines.workspace.rejects import Wanted

NAMES = ("window", "line", "offset", "column", "reason", "row")


@click.command("rejects", short_help="The rows a run refused: where they stand, and why.")
@click.argument("run")
@click.option("--window", metavar="NUMBER", type=click.IntRange(1), help="Of this window.")
@click.option("--column", metavar="NAME", help="That do not fit this column.")
@click.option("--reason", metavar="TEXT", help="In whose reason this stands.")
@click.option("--limit", type=click.IntRange(1), help="So many of them, at most.")
@click.option("--export", metavar="FILE", help="Write them to a file, an object of JSON a line.")
@common
@click.pass_context
def list_rejects(
    context: click.Context,
    run: str,
    window: int | None,
    column: str | None,
    reason: str | None,
    limit: int | None,
    export: str | None,
) -> None:
    """The rows a run refused: where they stand, and why.

    `streamconsole runs retry RUN --rejects` reads them again and writes those that fit by then.
    """
    from streamconsole.engines.workspace.rejects import Wanted

    wanted = Wanted(window, column, reason, limit)
    asked = given(context)
    path = None if export is None else Path(export)

    async def collect(workspace: Workspace) -> int:
        return await workspace.read(_tell, run, wanted, asked.json, path)

    count = look(context, collect)
    if path is not None and asked.json:
        print_json([{"event": "exported", "file": str(path), "rejects": count}])
    elif path is not None:
        say(f"{counted(count, 'refused row')} written to {path}")


def replay_rejects(asked: Common, run: str, columns: str | None, runbook: str | None) -> int:
    """Replay a run's refused rows; gives the exit status.

    Args:
        asked: options common to all commands.
        run: the run.
        columns: file with the map of columns; None for what the run's runbook says.
        runbook: file of a runbook that is looked at instead of the run's own.
    """
    from streamconsole.cli.column_map import column_map
    from streamconsole.cli.working import Todo, work_on

    changed = None
    if columns is not None:
        found = column_map(Path(columns))
        changed = {"columns": {name: each.model_dump(mode="json") for name, each in found.items()}}
    todo = Todo(replay=run, changed=changed, runbook=Path(runbook) if runbook else None)
    return work_on(asked, asked.workspace_beside(Path.cwd()), todo)


def _tell(connection: Connection, run: str, wanted: Wanted, json: bool, export: Path | None) -> int:
    """List or export them as they are read; gives how many."""
    from streamconsole.engines.workspace import rejects, replays, runs

    found = runs.get(connection, run)
    # What a replay still refuses stands in the list of the run that it is for.
    of = replays.replayed_by(found) or found.id
    counter = _Counter(rejects.each(connection, of, wanted))
    if export is not None:
        _export(export, counter)
    elif json:
        for each in counter:
            sys.stdout.write(json_line(each))
        sys.stdout.flush()
    else:
        print_table_of([name.upper() for name in NAMES], ([each[name] for name in NAMES] for each in counter))
    return counter.count


class _Counter:
    """Counts what passes."""

    def __init__(self, passing: Iterable[Mapping[str, Any]]) -> None:
        self.count = 0
        self._passing = passing

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        for each in self._passing:
            self.count += 1
            yield each


def _export(path: Path, found: Iterable[Mapping[str, Any]]) -> None:
    if path.is_dir():
        raise Refused(f"--export {path} is a folder: name a file")
    try:
        with private_files.replacing(path) as file:
            for each in found:
                file.write(json_line(each).encode())
    except OSError as error:
        raise Refused(f"--export {path} cannot be written: {error.strerror}") from None
