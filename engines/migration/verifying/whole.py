"""The end of a verification: rows that only the target has, and what cannot be told window by window."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from sqlalchemy import Connection

from streamconsole.engines import faults
from streamconsole.engines.migration.verifying.check import Part, rows_of
from streamconsole.engines.migration.verifying.differences import MISSING, difference
from streamconsole.engines.migration.verifying.digest import NO_ROWS, Digest
from streamconsole.engines.migration.verifying.side import Side, Stock, Stored
from streamconsole.engines.migration.verifying.suspects import Suspects
from streamconsole.engines.migration.verifying.uneven import InThread, Uneven, uneven
from streamconsole.engines.units import Reject, Window
from streamconsole.engines.workspace import Workspace, digests, rejects, runs, windows
from streamconsole.engines.workspace.digests import DigestRecord
from streamconsole.engines.workspace.runs import Run
from streamconsole.engines.workspace.windows import WindowRecord

NAMED = 100
"""Differences of the whole that are kept; the others are counted."""

EXTRA = "only in the target"


class Others(StrEnum):
    """What a target may hold beside the rows of the run, or in their place.

    `none`: it was filled by this run alone. `beside`: rows of others. `over`: rows of others, and of rows with the
    same key the one that was written last.
    """

    NONE = "none"
    BESIDE = "beside"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Whole:
    """Compares both sides as wholes.

    Args:
        workspace: has the windows and their digests.
        run: the verification.
        side: the target, as its rows are read.
        stock: the target, as it is counted and cut.
        parts: what was moved of a window, and how.
        settled: told when a window has been read.
        is_target: whether a window is one of the target's own.
        others: what the target may hold beside.
        absent: columns that the target has no more.
        key: by which rows of a target without a key are told to be the same.
    """

    workspace: Workspace
    run: Run
    side: Side
    stock: Stock
    parts: Callable[[Window], Awaitable[tuple[Part, ...]]]
    settled: Callable[[Window], None]
    is_target: Callable[[Window], bool]
    others: Others
    absent: Sequence[str]
    key: tuple[str, ...]

    async def conclude(self) -> None:
        """Compare, and keep what was found as the last window of the verification."""
        records = [each for each in await self.workspace.read(windows.listing, self.run.id) if not _is_last(each)]
        found, count = await self._found([each.window for each in records])
        if self.absent:
            found = [_told(f"the target has no column {name} any more", name) for name in self.absent] + found
            count += len(self.absent)
        if count > len(found):
            found.append(_told(f"and {count - len(found):,} more"))
        faults.reach("verify.conclude")
        await self.workspace.write(_keep, self.run, records, found, count)

    async def _found(self, known: Sequence[Window]) -> tuple[list[Reject], int]:
        sums = await self.workspace.read(digests.listing, self.run.id)
        source = sum((Digest.read(each.source_rows, each.source) for each in sums), NO_ROWS)
        target = sum((Digest.read(each.target_rows, each.target) for each in sums), NO_ROWS)
        if self.side.keyed and self.others is Others.OVER:
            return await self._overwritten(known, [each for each in sums if not each.even])
        if self.side.keyed:
            return await self._extra(known, target.rows)
        if source == target:
            return [], 0
        both = await self._uneven(known, contained=self.others is not Others.NONE)
        found = list(self._paired(both))
        return found[:NAMED], len(found) if both.whole else max(len(found), both.missing, both.extra)

    async def _extra(self, known: Sequence[Window], found: int) -> tuple[list[Reject], int]:
        """Rows that only the target has."""
        if self.others is not Others.NONE or await asyncio.to_thread(self.stock.count) <= found:
            return [], 0
        only = await self._uneven(known)
        return [_told(f"{EXTRA}: {row.place}") for row in only.target[:NAMED]], only.extra

    async def _overwritten(self, known: Sequence[Window], uneven_: Sequence[DigestRecord]) -> tuple[list[Reject], int]:
        """Rows that differ from the target and were not overwritten by a later row of the source."""
        if not uneven_:
            return [], 0
        numbers = {each.window for each in uneven_}
        suspects = Suspects(self.side)
        for window in known:
            if window.number in numbers:
                await asyncio.to_thread(suspects.look, window, await self.parts(window))
                self.settled(window)
        for window in known:
            await asyncio.to_thread(suspects.clear, window, await self.parts(window))
            self.settled(window)
        left = list(suspects.left())
        return left[:NAMED], len(left) + suspects.others

    def _paired(self, both: Uneven) -> Iterator[Reject]:
        """Rows of both sides with the same key are one that differs; the others are missing or too many."""
        theirs = {self._key(row): row for row in both.target}
        paired = set()
        for row in both.source:
            key = self._key(row)
            other = theirs.get(key) if key is not None and key not in paired else None
            if other is None:
                yield _told(f"{MISSING}: {row.place}", row=self.side.told(row.row))
                continue
            paired.add(key)
            column, reason = difference(self.side.values(row.row), self.side.values(other.row))
            yield _told(f"{row.place}, target {other.place}: {reason}", column, self.side.told(row.row))
        for row in both.target:
            if theirs[self._key(row)] is not row or self._key(row) not in paired:
                yield _told(f"{EXTRA}: {row.place}", row=self.side.told(row.row))

    def _key(self, row: Stored) -> tuple[str, ...] | None:
        values = self.side.values(row.row)
        return tuple(repr(values[name]) for name in self.key) if self.key and values.keys() >= set(self.key) else None

    async def _uneven(self, known: Sequence[Window], *, contained: bool = False) -> Uneven:
        ours = [window for window in known if not self.is_target(window)]
        # All in one thread: each has memory of its own, that it keeps for the next window.
        with ThreadPoolExecutor(1, thread_name_prefix="comparing") as thread:
            in_thread = partial(asyncio.get_running_loop().run_in_executor, thread)
            return await uneven(
                lambda: self._source_rows(ours, in_thread),
                lambda: self._target_rows(in_thread),
                contained=contained,
                in_thread=in_thread,
            )

    async def _source_rows(self, ours: Sequence[Window], in_thread: InThread) -> AsyncIterator[list[Stored]]:
        for window in ours:
            yield await in_thread(self._of, window, await self.parts(window))
            self.settled(window)

    def _of(self, window: Window, parts: Sequence[Part]) -> list[Stored]:
        fitted, _ = rows_of(window, parts, self.side)
        keys = fitted.keys or [()] * len(fitted.rows)
        return [
            Stored(f"source line {window.first_row + index + 1:,}", row, self.side.key_of(key, row))
            for row, index, key in zip(fitted.rows, fitted.indexes, keys, strict=True)
        ]

    async def _target_rows(self, in_thread: InThread) -> AsyncIterator[list[Stored]]:
        rows = self.stock.all()
        while (some := await in_thread(next, rows, None)) is not None:
            yield some


def _is_last(record: WindowRecord) -> bool:
    return record.window.lo == record.window.hi


def _told(reason: str, column: str | None = None, row: str = "") -> Reject:
    return Reject(0, 0, column, reason, row)


def _keep(connection: Connection, run: Run, records: Sequence[WindowRecord], found: list[Reject], count: int) -> None:
    runs.check_epoch(connection, run)
    last = records[-1].window if records else Window(0, 0, 0, 0, 0)
    number = last.number + 1
    whole = Window(number, last.hi, last.hi, last.first_row + last.rows, 0)
    if windows.get(connection, run.id, number) is None:
        windows.plan(connection, run, [whole])
    rejects.replace(connection, run, number, found)
    windows.complete(connection, run, number, 0, 0, count)
