"""`streamconsole demo`: a workspace of its own with work in it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from streamconsole import exit_codes
from streamconsole.cli.options import common, given

RUNBOOK = """\
# What the demo does; copy it, change it, and open it with `streamconsole demo.toml`.

[[migration]]
name = "users"
source = "generate://users?count={count}&seed=1"
target = "sqlite:///shop.db#users"

[[migration]]
name = "orders"
source = "generate://orders?count={count}&seed=2"
target = "sqlite:///shop.db#orders"
workers = 2

[[migration]]
name = "export"
source = "generate://users?count={count}&seed=3"
target = "users.ndjson"
window_rows = 2000
"""


@click.command()
@click.option("--rows", type=click.IntRange(1), help="Rows of each migration.")
@click.option("--keep", metavar="FOLDER", help="Leave runbook, workspace and results there.")
@common
@click.pass_context
def demo(context: click.Context, rows: int | None, keep: str | None) -> int:
    """Show the program at work on made-up rows; nothing stays behind."""
    if keep is not None:
        folder = Path(keep).expanduser().absolute()
        folder.mkdir(parents=True, exist_ok=True)
        return _in(context, folder, rows)
    with tempfile.TemporaryDirectory(prefix="streamconsole-demo-") as made:
        status = _in(context, Path(made), rows)
    # Leaving the demo early leaves nothing undone: it is all made up, and gone by now.
    return exit_codes.DONE if status == exit_codes.UNITS_FAILED else status


def _in(context: click.Context, folder: Path, rows: int | None) -> int:
    from streamconsole.cli.working import Todo, work_on
    from streamconsole.runbook import load

    asked = given(context)
    path = folder / "demo.toml"
    # On a screen it should last long enough to try the keys.
    path.write_text(RUNBOOK.format(count=rows or (1_000_000 if asked.wants_console else 20_000)))
    book = load(path)
    migrations = tuple((migration.name, migration.settings()) for migration in book.migration)
    return work_on(asked, asked.workspace_beside(folder), Todo(migrations=migrations, always_new=True))
