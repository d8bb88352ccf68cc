"""`streamconsole [RUNBOOK]`: the console on a runbook, or everything in it without a screen."""

from __future__ import annotations

from pathlib import Path

import click

from streamconsole.cli.options import common, given
from streamconsole.engines.errors import Refused


@click.command("open", short_help="Open the console on a RUNBOOK, or on the workspace alone.")
@click.argument("runbook", required=False)
@click.option("--dry-run", is_flag=True, help="Print what would be done; write nothing.")
@common
@click.pass_context
def open_console(context: click.Context, runbook: str | None = None, dry_run: bool = False) -> int:
    """Open the console on a RUNBOOK (default: streamconsole.toml here), or on the workspace alone.

    With --no-ui everything in the runbook is run to the end, in order.
    """
    from streamconsole.chain import order_of
    from streamconsole.cli.working import Todo, work_on
    from streamconsole.queue_book import check
    from streamconsole.runbook import DEFAULT_NAME, Runbook, load

    asked = given(context)
    path = Path(runbook) if runbook else Path(DEFAULT_NAME)
    book = load(path) if runbook or path.exists() else Runbook()
    workspace = asked.workspace or book.workspace.url or asked.workspace_beside(path.absolute().parent)
    todo = Todo(
        migrations=tuple((migration.name, migration.settings()) for migration in book.migration),
        transfers=tuple((transfer.name, transfer.settings()) for transfer in book.transfer),
        queues=book.queue,
        order=order_of(book.migration),
        console=book.console,
        keep_events=book.workspace.keep_events,
        runbook=path.absolute(),
    )
    if dry_run and todo.transfers:
        raise Refused(f"--dry-run knows migrations only, and runbook {path} has transfers")
    if dry_run and todo.migrations:
        from streamconsole.cli.dry_run import dry_run_of

        return dry_run_of(asked, todo.migrations, todo.order)
    if not dry_run:
        check(book.queue, path.absolute().parent)
    if not (todo.asked or todo.queues) and (dry_run or not asked.wants_console):
        where = f"runbook {path} has nothing to do" if path.exists() else f"there is no runbook here ({DEFAULT_NAME})"
        raise Refused(f"{where}: name one, or use `streamconsole migrate SOURCE TARGET`; the console needs a terminal")
    return work_on(asked, workspace, todo, start=False)
