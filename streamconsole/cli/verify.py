"""`streamconsole verify`: whether what a run moved is what the target holds."""

from __future__ import annotations

from pathlib import Path

import click

from streamconsole.cli.options import common, given


@click.command(short_help="Compare what a run moved with what its target holds.")
@click.argument("run")
@click.option("--workers", type=click.IntRange(1, 256), help="Windows compared at once.  [default: as in the run]")
@common
@click.pass_context
def verify(context: click.Context, run: str, workers: int | None) -> int:
    """Compare what RUN moved, row by row, with what its target holds now.

    Ends with 0 when they are equal, with 1 when a difference was found. The verification is a run
    of its own: it can be paused, stopped and resumed, and `runs rejects` lists the differences.
    """
    from streamconsole.cli.working import Todo, work_on

    asked = given(context)
    return work_on(asked, asked.workspace_beside(Path.cwd()), Todo(verify=run, workers=workers))
