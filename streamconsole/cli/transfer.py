"""`streamconsole transfer …`: look into stores and manifests, verify them, tune a transfer at work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from streamconsole import exit_codes
from streamconsole.cli.options import common, given
from streamconsole.cli.output import print_json, print_table, say
from streamconsole.cli.sizes import Bytes
from streamconsole.engines.errors import Refused
from streamconsole.wording import counted

if TYPE_CHECKING:
    from streamconsole.engines.transfer.manifest import Manifest
    from streamconsole.engines.transfer.stores.store import Store

T = TypeVar("T")


@click.group("transfer", short_help="Look into stores and manifests; verify them; tune transfers.")
@common
def transfer_group() -> None:
    """Look into stores and manifests, verify them, tune a transfer at work."""


@transfer_group.command("ls")
@click.argument("manifest", required=False)
@click.option("--store", metavar="URL", help="List the manifests of this store; or where MANIFEST is kept.")
@common
@click.pass_context
def ls(context: click.Context, manifest: str | None, store: str | None) -> None:
    """What MANIFEST holds; or, with --store alone, the manifests of a store."""
    if manifest is None and store is None:
        raise click.UsageError("name a MANIFEST, or a --store", context)
    if manifest is None:
        names = _with_store(store or "", _names)
        if given(context).json:
            print_json({"manifest": name} for name in names)
        else:
            for name in names:
                say(name)
        return
    found = _manifest(manifest, store)
    rows = [
        (
            f"{entry.mode:04o}",
            entry.type,
            entry.size,
            len(entry.chunks),
            datetime.fromtimestamp(entry.mtime_ns / 1e9, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S"),
            entry.path + (f" → {entry.target}" if entry.target else ""),
        )
        for entry in found.entries
    ]
    if given(context).json:
        print_json(entry.model_dump(mode="json", exclude_none=True) for entry in found.entries)
        return
    print_table(("MODE", "TYPE", "BYTES", "CHUNKS", "CHANGED", "PATH"), rows)
    say(f"{found.kind} {found.name}: {counted(len(found.files), 'file')}, {found.size:,} bytes, layout {found.layout}")


@transfer_group.command("verify", short_help="Check that every chunk of a MANIFEST is in the store, and right.")
@click.argument("manifest")
@click.option("--store", metavar="URL", required=True, help="Where the chunks are.")
@click.option("--look-ahead", type=click.IntRange(1, 128), default=16, help="Chunks checked at once.")
@common
@click.pass_context
def verify(context: click.Context, manifest: str, store: str, look_ahead: int) -> int:
    """Check that every chunk of MANIFEST is in the store, and right; writes nothing."""
    from streamconsole.engines.transfer.verifying import verify as check

    found = _manifest(manifest, store)
    checked, problems = _with_store(store, lambda opened: check(found, opened, look_ahead))
    if given(context).json:
        print_json({"event": "problem", "path": each.path, "chunk": each.chunk, "text": each.text} for each in problems)
        print_json([{"event": "verified", "chunks": checked, "problems": len(problems), "files": len(found.files)}])
    else:
        for each in problems:
            say(f"{each.path}, chunk {each.chunk}: {each.text}")
        say(f"{counted(checked, 'chunk')} checked, {counted(len(problems), 'problem')}")
    return exit_codes.UNITS_FAILED if problems else exit_codes.DONE


@transfer_group.command("tune", short_help="Change how a transfer at work goes on.")
@click.argument("run")
@click.option("--workers", type=int, help="Chunks in hand at once.")
@click.option("--look-ahead", type=int, help="Chunks fetched before they are needed.")
@click.option("--bandwidth", type=Bytes(), help="Bytes a second, at most; none for no limit.")
@common
@click.pass_context
def tune(context: click.Context, run: str, workers: int | None, look_ahead: int | None, bandwidth: int | None) -> int:
    """Change how the transfer RUN goes on, while it is at work."""
    wanted = {"count": workers, "look_ahead": look_ahead, "bandwidth": bandwidth}
    args = {name: value for name, value in wanted.items() if value is not None}
    if not args:
        raise click.UsageError("say what: --workers, --look-ahead or --bandwidth", context)
    outcome = asyncio.run(_tune(given(context).workspace_beside(Path.cwd()), run, args))
    if given(context).json:
        print_json([{"event": "command", "verb": "tune", "run": run, "done": outcome.done, "outcome": outcome.text}])
    elif outcome.done:
        say(f"{run}: {outcome.text}")
    if not outcome.done and not given(context).json:
        raise Refused(f"{run}: {outcome.text}")
    return exit_codes.DONE if outcome.done else exit_codes.REFUSED


async def _tune(url: str, run_id: str, args: dict[str, Any]) -> Any:
    from streamconsole.engines.control import Verb
    from streamconsole.engines.states import EngineKind
    from streamconsole.engines.supervisor import answer_to, sender
    from streamconsole.engines.workspace import Workspace, commands, runs
    from streamconsole.engines.workspace.workspace import is_there, path_of

    if not is_there(url):
        raise Refused(f"there is no workspace {path_of(url)}: name one with --workspace")
    workspace = await Workspace.open(url)
    try:
        run = await workspace.read(runs.get, run_id)
        if run.engine is not EngineKind.TRANSFER:
            raise Refused(f"run {run.id} is no transfer")
        if await workspace.read(runs.owner_of, run.id, workspace.locks) is None:
            raise Refused(f"nobody works on run {run.id}: only a transfer at work can be tuned")
        sent = await workspace.write(commands.send, run.id, None, Verb.WORKERS, args, sender())
        return await answer_to(workspace, sent)
    finally:
        await workspace.close()


async def _names(store: Store) -> list[str]:
    from streamconsole.engines.transfer.names import MANIFESTS

    return sorted([name async for name in store.names(MANIFESTS)])


def _manifest(name: str, store: str | None) -> Manifest:
    from streamconsole.engines.transfer import manifest as manifests
    from streamconsole.engines.transfer.names import MANIFESTS
    from streamconsole.engines.transfer.planning import manifest_of
    from streamconsole.engines.transfer.settings import TransferSettings

    if not name.startswith(MANIFESTS) or store is None:
        return manifests.read(Path(name))
    settings = TransferSettings(download=name, out="-", store=store)
    return _with_store(store, lambda opened: manifest_of(settings, opened))


def _with_store(url: str, look: Callable[[Store], Awaitable[T]]) -> T:
    from streamconsole.engines.transfer.stores.locations import store_of
    from streamconsole.engines.transfer.stores.store import StoreError

    async def opened() -> T:
        store = store_of(url)
        try:
            return await look(store)
        except StoreError as error:
            raise Refused(str(error)) from None
        finally:
            await store.close()

    return asyncio.run(opened())
