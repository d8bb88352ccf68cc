"""The jobs that a screen lists: read in a task of its own, a page at a time, only what is looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic

from sqlalchemy.exc import SQLAlchemyError

from streamconsole.engines.errors import StreamConsoleError
from streamconsole.engines.queue import pages
from streamconsole.engines.queue.pages import JobLine, Key, Shelf
from streamconsole.engines.workspace import Workspace

PAGE = 200
"""Jobs read at once."""

MOST = 5_000
"""Jobs that are listed; a search finds the others."""

REST_SECONDS = 0.4
"""Least time between two readings of what has changed."""


class JobList:
    """One shelf of one queue.

    Args:
        workspace: where it is.
        sight: gives the numbers of the jobs in sight, or None when the list is to follow its top.
        changed: is called when there is something new to show.
        troubled: is told what cannot be read.
    """

    def __init__(
        self,
        workspace: Workspace,
        sight: Callable[[], Sequence[int] | None],
        changed: Callable[[], None],
        troubled: Callable[[str], None],
    ) -> None:
        self.queue: str | None = None
        self.shelf = Shelf.WAITING
        self.words = ""
        self.lines: dict[int, JobLine] = {}
        self.note = ""
        self.reading = False
        """Whether it is not known yet what there is."""
        self._workspace = workspace
        self._sight = sight
        self._changed = changed
        self._troubled = troubled
        self._after: Key | None = None
        self._turned = 0
        self._more = False
        self._wanted, self._urgent = asyncio.Event(), asyncio.Event()

    def turn_to(self, queue: str | None, shelf: Shelf, words: str) -> None:
        """List other jobs, from their first one."""
        self.queue, self.shelf, self.words = queue, shelf, words
        self.lines, self.note, self._after, self._more = {}, "", None, False
        self.reading = queue is not None
        self._turned += 1
        self._changed()
        self._wanted.set()
        self._urgent.set()

    def look_again(self) -> None:
        """Something may have changed."""
        self._wanted.set()

    def go_on(self) -> None:
        """The operator comes to the end of what is listed."""
        if self._after is not None and len(self.lines) < MOST:
            self._more = True
            self._wanted.set()
            self._urgent.set()

    async def keep_reading(self) -> None:
        """Read whenever that is wanted; never ends."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            self._urgent.clear()
            begun = monotonic()
            try:
                await self._read(self._turned)
            except (StreamConsoleError, SQLAlchemyError, OSError) as error:
                self._troubled(f"the workspace cannot be read now: {error}")
                self._wanted.set()
            # Reading takes a fifth of the time at most, unless somebody waits for it.
            rest = max(REST_SECONDS, 5 * (monotonic() - begun))
            with suppress(TimeoutError):
                async with asyncio.timeout(rest):
                    await self._urgent.wait()

    async def _read(self, turn: int) -> None:
        if self.queue is None:
            return
        sight = self._sight()
        if self._more:
            self._more = False
            await self._read_pages(turn, self.lines.copy(), self._after, PAGE)
        elif sight is None or not self.lines:
            await self._read_pages(turn, {}, None, PAGE)
        else:
            fresh = await self._workspace.read(pages.lines, self.queue, sight)
            if turn == self._turned:
                gone = set(sight) - fresh.keys()
                self.lines = {seq: fresh.get(seq, line) for seq, line in self.lines.items() if seq not in gone}
                self._changed()

    async def _read_pages(self, turn: int, found: dict[int, JobLine], after: Key | None, many: int) -> None:
        """Read until so many more are found, showing them as they come."""
        assert self.queue is not None
        goal, looked_at = len(found) + many, 0
        while True:
            wanted = goal - len(found)
            page = await self._workspace.read(pages.page, self.queue, self.shelf, self.words, after, wanted)
            if turn != self._turned:
                return
            found |= {line.seq: line for line in page.lines}
            after, looked_at = page.after, looked_at + page.looked_at
            ended = after is None or len(found) >= goal
            self.note = "" if ended else f"searching, {looked_at:,} looked at"
            if ended or len(found) > len(self.lines):
                self.lines = found.copy()
                self._after = after
            if ended:
                self.reading = False
                self.note = f"the first {MOST:,}" if after is not None and len(found) >= MOST else ""
            self._changed()
            if ended or self._urgent.is_set():
                return
