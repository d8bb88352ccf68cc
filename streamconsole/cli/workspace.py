"""`streamconsole workspace …`: the durable state itself."""

from __future__ import annotations

from pathlib import Path

import click

from streamconsole.cli.options import common, given
from streamconsole.cli.output import print_json, say
from streamconsole.engines.errors import Refused
from streamconsole.engines.secrets import mask


@click.group("workspace")
@common
def workspace_group() -> None:
    """Look after the durable state."""


@workspace_group.command("backup")
@click.argument("copy")
@common
@click.pass_context
def backup_workspace(context: click.Context, copy: str) -> None:
    """Copy the workspace to a new file, also while it is in use."""
    from streamconsole.engines.workspace.backup import backup
    from streamconsole.engines.workspace.workspace import is_server, path_of

    url = given(context).workspace_beside(Path.cwd())
    if is_server(url):
        raise Refused(f"workspace {mask(url)} is on a server: copy it with pg_dump --schema=streamconsole")
    path = path_of(url)
    if not path.exists():
        raise Refused(f"there is no workspace {path}: name one with --workspace")
    size = backup(path, Path(copy).expanduser().absolute())
    if given(context).json:
        print_json([{"event": "backup", "workspace": str(path), "copy": copy, "bytes": size}])
    else:
        say(f"copied {path} to {copy}, {size:,} bytes; open it with --workspace {copy}")
