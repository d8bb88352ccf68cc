"""`streamconsole upload`: a file or folder into a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from streamconsole.cli.options import common, given
from streamconsole.cli.sizes import Bytes
from streamconsole.engines.errors import Refused


@click.command(short_help="Upload a FILE or folder as compressed, verified chunks.")
@click.argument("file", required=False)
@click.option("--store", metavar="URL", help="Where chunks are kept: a folder, s3://bucket/prefix, gs://…, az://….")
@click.option("--manifest", metavar="OUT", help="Where the manifest is written.  [default: FILE.manifest.json]")
@click.option("--layout", type=click.Choice(["framed", "stream"]), help="How files become chunks.  [default: framed]")
@click.option("--level", type=int, help="Of compression, -7 to 19.  [default: 3]")
@click.option("--chunk-size", type=Bytes(), help="Bytes in a chunk, at most.  [default: 512KiB]")
@click.option("--workers", type=int, help="Chunks in hand at once.  [default: 8]")
@click.option("--bandwidth", type=Bytes(), help="Bytes a second, at most: 10MiB.")
@click.option("--name", help="What to call the run.")
@click.option("--resume", metavar="RUN", help="Go on with this run instead; what is settled is not read again.")
@common
@click.pass_context
def upload(context: click.Context, /, file: str | None, store: str | None, resume: str | None, **options: Any) -> int:
    """Upload FILE (or a folder) into a store, and write a manifest to download it by."""
    if resume is None and (not file or not store):
        raise click.UsageError("name FILE and --store, for example backup.tar --store /mnt/store; or --resume", context)
    if resume is not None and (file or store):
        raise click.UsageError("--resume goes without FILE and --store: the run knows them", context)
    return transfer(context, resume, upload=file, store=store, **options)


def transfer(context: click.Context, resume: str | None, name: str | None = None, **options: Any) -> int:
    """Do a transfer that the command line describes, or go on with one."""
    from pydantic import ValidationError

    from streamconsole.cli.working import Todo, work_on
    from streamconsole.engines.transfer.planning import absolute
    from streamconsole.engines.transfer.settings import TransferSettings

    asked = given(context)
    workspace = asked.workspace_beside(Path.cwd())
    if resume is not None:
        return work_on(asked, workspace, Todo(resume=resume))
    try:
        settings = TransferSettings(**{key: value for key, value in options.items() if value is not None})
    except ValidationError as error:
        problem = error.errors()[0]
        option = "--" + str((*problem["loc"], "store")[0]).replace("_", "-")
        raise Refused(f"{option}: {problem['msg'][:1].lower()}{problem['msg'][1:]}") from None
    todo = Todo(transfers=((name, absolute(settings, Path.cwd())),), always_new=True)
    return work_on(asked, workspace, todo)
