"""What a run works with: where its windows come from, and what is done with each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from streamconsole.engines.migration.locations import source_of, target_of
from streamconsole.engines.migration.moving import Move, Task
from streamconsole.engines.migration.settings import MigrationSettings
from streamconsole.engines.migration.sources.files import PlainFile, reads_file
from streamconsole.engines.migration.sources.source import Source
from streamconsole.engines.migration.targets.target import Target
from streamconsole.engines.migration.transforms.reader import owned
from streamconsole.engines.units import Window


@dataclass(frozen=True, slots=True)
class Work:
    """A run's own parts.

    Args:
        settings: what was asked for.
        source: cuts the windows.
        target: opened and closed with the run, and told of its end.
        task: what is to be done with a window, at its n-th attempt.
        owner: owns the programs that its transforms start.
        tolerant: a source that has changed since is no reason to refuse.
    """

    settings: MigrationSettings
    source: Source
    target: Target
    task: Callable[[Window, int], Awaitable[Task]]
    owner: str
    tolerant: bool = False


def moving(settings: MigrationSettings, owner: str, stderr: Path) -> Work:
    """Moves every window of the source into the target."""
    source, target = owned(source_of(settings), owner, stderr), target_of(settings)

    async def task(window: Window, attempt: int) -> Task:
        await lay_out(source, window)
        return Move(source.reader, target.writer(), window, attempt)

    return Work(settings, source, target, task, owner)


async def lay_out(source: Source, window: Window) -> None:
    """Have the window's bytes where they can be read in any order, when the source is compressed."""
    if reads_file(source) and not isinstance(source.file, PlainFile):
        await asyncio.to_thread(source.file.lay_out, window)
