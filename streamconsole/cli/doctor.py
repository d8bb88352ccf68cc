"""`streamconsole doctor`: checks runbook, both sides of every migration, workspace and terminal."""

from __future__ import annotations

import asyncio
import locale
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from streamconsole import exit_codes
from streamconsole.cli.options import common, given
from streamconsole.cli.output import print_json, say
from streamconsole.engines.errors import StreamConsoleError
from streamconsole.engines.secrets import mask

if TYPE_CHECKING:
    from streamconsole.engines.migration.settings import MigrationSettings
    from streamconsole.engines.transfer.settings import TransferSettings
    from streamconsole.runbook import Runbook

T = TypeVar("T")

LITTLE_SPACE = 512 * 2**20


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at.

    Args:
        ok: whether it is as it should be.
        what: what was looked at.
        text: what was found, and what to do when it is not well.
        serious: work would be refused because of it.
    """

    ok: bool
    what: str
    text: str
    serious: bool = True


@click.command(short_help="Check a RUNBOOK, both its sides, the workspace and the terminal.")
@click.argument("runbook", required=False)
@common
@click.pass_context
def doctor(context: click.Context, runbook: str | None) -> int:
    """Check a RUNBOOK, what it connects, the workspace and the terminal; say what to do."""
    from streamconsole.runbook import DEFAULT_NAME, Runbook, load

    asked = given(context)
    path = Path(runbook or DEFAULT_NAME)
    book: Runbook = Runbook()
    findings: list[Finding] = []
    if runbook or path.exists():
        book_or_none, finding = _try(f"runbook {path}", lambda: load(path), "can be read")
        findings.append(finding)
        book = book_or_none or book
    url = asked.workspace or book.workspace.url or asked.workspace_beside(path.absolute().parent)
    findings += [
        _workspace(url),
        *_migrations(book),
        *_transfers(book),
        *_queues(book, path.absolute().parent),
        *_machine(url),
    ]
    if asked.json:
        print_json({"event": "finding", "ok": each.ok, "what": each.what, "text": each.text} for each in findings)
    else:
        for each in findings:
            say(f"{'ok ' if each.ok else '!! '} {each.what}: {each.text}")
    return exit_codes.REFUSED if any(not each.ok and each.serious for each in findings) else exit_codes.DONE


def _try(what: str, look: Callable[[], T], good: str) -> tuple[T | None, Finding]:
    try:
        return look(), Finding(True, what, good)
    except StreamConsoleError as error:
        return None, Finding(False, what, str(error))


def _workspace(url: str) -> Finding:
    from streamconsole.engines.workspace import Workspace
    from streamconsole.engines.workspace.workspace import is_there

    async def open_and_close() -> None:
        await (await Workspace.open(url)).close()

    def look() -> bool:
        present = is_there(url)
        if present:
            asyncio.run(open_and_close())
        return present

    present, finding = _try(f"workspace {mask(url)}", look, "can be used")
    return finding if present is not False else replace(finding, text="not there yet: made when work begins")


def _migrations(book: Runbook) -> Iterator[Finding]:
    from streamconsole.chain import made_on_the_way, order_of
    from streamconsole.cli.working import expanded

    later = made_on_the_way([(each.name, each.settings()) for each in book.migration], order_of(book.migration))
    for migration in book.migration:
        if migration.name in later:
            makers = " and ".join(later[migration.name])
            yield Finding(True, f"migration {migration.name}", f"can be looked at when {makers} is done")
            continue
        whole = ((migration.name, migration.settings()),)
        tables, finding = _try(f"migration {migration.name}", partial(expanded, whole), "")
        if tables is None:
            yield finding
        for name, settings in tables or ():
            yield _can_begin(f"migration {name}", settings)


def _can_begin(what: str, settings: MigrationSettings) -> Finding:
    from streamconsole.engines.migration.planning import plan

    found, finding = _try(what, partial(plan, settings), "can begin")
    if found is None:
        return finding
    columns = len(found.data.get("schema", {}).get("columns", ()))
    key = ", ".join(found.key) or "none"
    notes = "".join(f"; {note}" for note in found.data.get("notes", ()))
    text = f"can begin: size {found.data['size']:,} {found.data['unit']}, {columns} columns, key {key}{notes}"
    return Finding(True, finding.what, text)


def _queues(book: Runbook, folder: Path) -> Iterator[Finding]:
    from streamconsole.queue_book import check

    for queue in book.queue:
        yield _try(f"queue {queue.name}", partial(check, (queue,), folder), f"{queue.processor} can be called")[1]


def _transfers(book: Runbook) -> Iterator[Finding]:
    from streamconsole.engines.transfer.planning import check, plan
    from streamconsole.engines.transfer.stores.locations import store_of

    async def looked_at(settings: TransferSettings) -> str:
        planned = await plan(settings)
        store = store_of(settings.store, settings.timeout)
        try:
            await check(store, begun=False)
        finally:
            await store.close()
        return f"can begin: {planned.data['files']:,} files, {planned.data['size']:,} bytes; {store.place} can be used"

    for transfer in book.transfer:
        settings = transfer.settings()
        text, finding = _try(f"transfer {transfer.name}", partial(asyncio.run, looked_at(settings)), "can begin")
        yield finding if text is None else replace(finding, text=text)


def _machine(url: str) -> Iterator[Finding]:
    from streamconsole.engines.workspace.workspace import is_server, path_of

    folder = Path.cwd() if is_server(url) else path_of(url).parent
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    yield Finding(free > LITTLE_SPACE, "disk", f"{free / 2**30:,.1f} GiB free at {folder}", serious=False)
    encoding = locale.getpreferredencoding(False)
    utf8 = encoding.lower().replace("-", "") == "utf8"
    yield Finding(utf8, "locale", "UTF-8" if utf8 else f"{encoding}: set LANG=C.UTF-8 for better signs", serious=False)
    terminal = os.environ.get("TERM", "")
    capable = terminal not in ("", "dumb")
    hint = terminal if capable else "no terminal that can draw: the console needs one, --no-ui does not"
    yield Finding(capable, "terminal", hint, serious=False)
    yield Finding(True, "python", sys.version.split()[0])
