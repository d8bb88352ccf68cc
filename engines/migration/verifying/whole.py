"""The end of a verification: rows that only the target has, and what cannot be told window by window."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from streamconsole.engines import faults
from streamconsole.engines.migration.verifying.check import Part, rows_of
from streamconsole.engines.migration.verifying.differences import MISSING, difference, shown
from streamconsole.engines.migration.verifying.digest import Digest
from streamconsole.engines.migration.verifying.side import Side, Stored
from streamconsole.engines.migration.verifying.uneven import Uneven, uneven
from streamconsole.engines.units import Reject, Window
from streamconsole.engines.workspace import Workspace, digests, rejects, runs, windows
from streamconsole.engines.workspace.runs import Run
from streamconsole.engines.workspace.windows import WindowRecord

NAMED = 100
"""Differences of the whole that are kept; the others are counted."""

EXTRA = "only in the target"


@dataclass(frozen=True, slots=True)
class Whole:
    """Compares both sides as wholes.

    Args:
        workspace: has the windows and their digests.
        run: the verification.
        side: the target.
        parts: what was moved of a window, and how.
        settled: told when a window has been read.
        is_target: whether a window is one of the target's own.
        others: the target may hold rows that are not of this run.
        absent: columns that the target has no more.
        key: by which rows of a target without a key are told to be the same.
    """

    workspace: Workspace
    run: Run
    side: Side
    parts: Callable[[Window], Awaitable[tuple[Part, ...]]]
    settled: Callable[[Window], None]
    is_target: Callable[[Window], bool]
    others: bool
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
        source = sum((Digest.read(each.source_rows, each.source) for each in sums), Digest())
        target = sum((Digest.read(each.target_rows, each.target) for each in sums), Digest())
        if not self.side.keyed:
            return await self._differing(known, source, target) if source != target else ([], 0)
        if self.others:
            return [], 0
        extra = await asyncio.to_thread(self.side.count) - target.rows
        if extra <= 0:
            return [], 0
        only = await self._uneven(known)
        return [_told(f"{EXTRA}: {row.place}") for row in only.target[:NAMED]], max(extra, len(only.target))

    async def _differing(self, known: Sequence[Window], source: Digest, target: Digest) -> tuple[list[Reject], int]:
        both = await self._uneven(known)
        found = list(self._paired(both))
        least = max(len(found), abs(source.rows - target.rows), 1)
        if not found:
            # Put back while it was looked for, or in a bucket too large to be held.
            found = [_told(f"source has {source.rows:,} rows, target {target.rows:,}; their digests differ")]
        return found[:NAMED], least

    def _paired(self, both: Uneven) -> Iterator[Reject]:
        """Rows of both sides with the same key are one that differs; the others are missing or too many."""
        theirs = {self._key(row): row for row in both.target}
        paired = set()
        for row in both.source:
            key = self._key(row)
            other = theirs.get(key) if key is not None else None
            if other is None:
                yield _told(f"{MISSING}: {row.place}", row=row.row)
                continue
            paired.add(key)
            column, reason = difference(self.side.values(row.row), self.side.values(other.row))
            yield _told(f"{row.place}, target {other.place}: {reason}", column, row.row)
        for row in both.target:
            if self._key(row) is None or self._key(row) not in paired:
                yield _told(f"{EXTRA}: {row.place}", row=row.row)

    def _key(self, row: Stored) -> tuple[str, ...] | None:
        values = self.side.values(row.row)
        return tuple(repr(values[name]) for name in self.key) if self.key and values.keys() >= set(self.key) else None

    async def _uneven(self, known: Sequence[Window]) -> Uneven:
        ours = [window for window in known if not self.is_target(window)]
        return await uneven(lambda: self._source_rows(ours), self._target_rows)

    async def _source_rows(self, ours: Sequence[Window]) -> AsyncIterator[list[Stored]]:
        for window in ours:
            yield await asyncio.to_thread(self._of, window, await self.parts(window))
            self.settled(window)

    def _of(self, window: Window, parts: Sequence[Part]) -> list[Stored]:
        fitted, _ = rows_of(window, parts, self.side)
        keys = fitted.keys or [()] * len(fitted.rows)
        return [
            Stored(f"source line {window.first_row + index + 1:,}", row, self.side.key_of(key, row))
            for row, index, key in zip(fitted.rows, fitted.indexes, keys, strict=True)
        ]

    async def _target_rows(self) -> AsyncIterator[list[Stored]]:
        rows = self.side.all()
        while (some := await asyncio.to_thread(next, rows, None)) is not None:
            yield some


def _is_last(record: WindowRecord) -> bool:
    return record.window.lo == record.window.hi


def _told(reason: str, column: str | None = None, row: bytes = b"") -> Reject:
    return Reject(0, 0, column, reason, shown("row", row)[5:-1] if row.startswith(b"{") else "")


def _keep(connection: Connection, run: Run, records: Sequence[WindowRecord], found: list[Reject], count: int) -> None:
    runs.check_epoch(connection, run)
    last = records[-1].window if records else Window(0, 0, 0, 0, 0)
    number = last.number + 1
    whole = Window(number, last.hi, last.hi, last.first_row + last.rows, 0)
    if windows.get(connection, run.id, number) is None:
        windows.plan(connection, run, [whole])
    rejects.replace(connection, run, number, found)
    windows.complete(connection, run, number, 0, 0, count)
