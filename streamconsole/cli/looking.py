"""Opening the workspace just to look."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from streamconsole.cli.options import given
from streamconsole.engines.errors import Refused

if TYPE_CHECKING:
    from streamconsole.engines.workspace import Workspace

T = TypeVar("T")


def look(context: click.Context, collect: Callable[[Workspace], Awaitable[T]]) -> T:
    """Open the workspace just to look, and run a coroutine function on it."""
    from streamconsole.engines.workspace import Workspace
    from streamconsole.engines.workspace.workspace import is_there, path_of

    url = given(context).workspace_beside(Path.cwd())
    if not is_there(url):
        raise Refused(
            f"there is no workspace {path_of(url)}: name one with --workspace, go to the folder that has "
            ".streamconsole, or make one with `streamconsole migrate SOURCE TARGET`"
        )

    async def opened() -> T:
        workspace = await Workspace.open(url)
        try:
            return await collect(workspace)
        finally:
            await workspace.close()

    return asyncio.run(opened())
