"""`streamconsole download`: what a manifest names, out of a store."""

from __future__ import annotations

from typing import Any

import click

from streamconsole.cli.options import common
from streamconsole.cli.sizes import Bytes
from streamconsole.cli.upload import transfer


@click.command(short_help="Download what a MANIFEST names, verified.")
@click.argument("manifest", required=False)
@click.argument("out", required=False)
@click.option("--store", metavar="URL", help="Where the chunks are: a folder, s3://bucket/prefix, gs://…, az://….")
@click.option("--look-ahead", type=int, help="Chunks fetched before they are needed.  [default: 16]")
@click.option("--bandwidth", type=Bytes(), help="Bytes a second, at most: 10MiB.")
@click.option("--name", help="What to call the run.")
@click.option("--resume", metavar="RUN", help="Go on with this run instead; what is on disk and right is kept.")
@common
@click.pass_context
def download(
    context: click.Context,
    /,
    manifest: str | None,
    out: str | None,
    store: str | None,
    resume: str | None,
    **options: Any,
) -> int:
    """Download what MANIFEST names to OUT, which must not be there.

    MANIFEST is a file, or the name of one in the store (manifests/…, see `transfer ls --store URL`).
    """
    if resume is None and not (manifest and out and store):
        raise click.UsageError("name MANIFEST, OUT and --store; or a run to --resume", context)
    if resume is not None and (manifest or out or store):
        raise click.UsageError("--resume goes without MANIFEST, OUT and --store: the run knows them", context)
    return transfer(context, resume, download=manifest, out=out, store=store, **options)
