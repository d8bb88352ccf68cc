"""Comparing one window with the target, in a thread of this program or in a child of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from streamconsole.engines import faults
from streamconsole.engines.migration.batch import ROW_SHOWN, DecodeTask, NormalizerFactory, Reader, decode
from streamconsole.engines.migration.moving import Parent
from streamconsole.engines.migration.targets.target import Written
from streamconsole.engines.migration.verifying.checked import Checked
from streamconsole.engines.migration.verifying.differences import MISSING, difference
from streamconsole.engines.migration.verifying.digest import NO_ROWS, digest_of, hashes_of
from streamconsole.engines.migration.verifying.side import Fitted, Side
from streamconsole.engines.units import Reject, Window

NAMED = 20
"""Rows of a window whose differences are kept; the others are counted."""


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of a window, as they were read and fitted by one run.

    Args:
        reader: gives them.
        normalizer: fits them.
        without: indexes of rows that are not in the target, and are known not to be.
    """

    reader: Reader
    normalizer: NormalizerFactory
    without: frozenset[int] = frozenset()

    def has(self, index: int) -> bool:
        """Whether a row is one of them."""
        return index not in self.without


@dataclass(frozen=True, slots=True)
class Check:
    """A window of the source to be compared; small and picklable.

    Args:
        window: the range.
        parts: what was moved of it, and how.
        side: the target.
        attempt: counts from 1.
        overwriting: rows with the same key took each other's place: what differs may have been overwritten by a row
            of another window, which is looked at when all of them are done.
    """

    window: Window
    parts: tuple[Part, ...]
    side: Side
    attempt: int = 1
    overwriting: bool = False

    def do(self, parent: Parent) -> Written:
        """Compare it (blocking).

        Raises:
            SideLost: a side is gone.
        """
        faults.reach("verify.start", self.window.number)
        checked, found = self._compared()
        # A window done again finds what an earlier attempt has kept.
        if found or self.attempt > 1:
            parent.keep_rejects(self, found)
        faults.reach("verify.before_ledger", self.window.number)
        return checked

    def _compared(self) -> tuple[Checked, list[Reject]]:
        fitted, unfit = rows_of(self.window, self.parts, self.side)
        read = len(fitted.rows) + len(unfit)
        if self.overwriting:
            fitted = last_of(fitted)
        source = digest_of(hashes_of(fitted.rows))
        if not self.side.keyed:
            return Checked(read, source.rows, len(unfit), source), unfit
        there = self.side.find(fitted.keys)
        target = digest_of(hashes_of(there.values()))
        if source == target and not unfit:
            return Checked(read, read, 0, source, target), []
        differing = [n for n, key in enumerate(fitted.keys) if there.get(key) != fitted.rows[n]]
        if self.overwriting:
            return Checked(read, read - len(differing) - len(unfit), len(unfit), source, target), unfit
        count = len(differing) + len(unfit)
        named = [*self._named(fitted, there, differing[:NAMED]), *unfit[:NAMED]]
        return Checked(read, read - count, count, source, target), with_rest(named, count)

    def _named(self, fitted: Fitted, there: dict[tuple[object, ...], bytes], differing: Sequence[int]) -> list[Reject]:
        indexes = {fitted.indexes[n] for n in differing}
        places = {**self.parts[0].reader.locate(self.window, indexes)} if indexes else {}
        found = []
        for n in differing:
            column, reason = None, MISSING
            other = there.get(fitted.keys[n])
            if other is not None:
                column, reason = difference(self.side.values(fitted.rows[n]), self.side.values(other))
            offset, text = places.get(fitted.indexes[n], (self.window.lo, ""))
            line = self.window.first_row + fitted.indexes[n] + 1
            found.append(Reject(line, offset, column, reason, text[:ROW_SHOWN]))
        return found


@dataclass(frozen=True, slots=True)
class CheckStored:
    """A range of the target to be counted in, where its rows cannot be looked up; small and picklable.

    Args:
        window: as it stands in the ledger.
        range: the same in the target's own offsets.
        side: the target.
    """

    window: Window
    range: Window
    side: Side
    attempt: int = 1

    def do(self, parent: Parent) -> Written:
        """Read it (blocking).

        Raises:
            SideLost: the target is gone.
        """
        faults.reach("verify.start", self.window.number)
        target = sum((digest_of(hashes_of(rows)) for rows in self.side.stored(self.range)), NO_ROWS)
        faults.reach("verify.before_ledger", self.window.number)
        return Checked(0, 0, 0, NO_ROWS, target)


def rows_of(window: Window, parts: Sequence[Part], side: Side) -> tuple[Fitted, list[Reject]]:
    """The rows of a window that should be in the target; beside them those that fit no more, and did."""
    fitted, unfit = Fitted([], [], []), []
    for part in parts:
        normalizer = side.fitting(part.normalizer)
        batch = decode(DecodeTask(part.reader, normalizer, window))
        unfit += [
            replace(each, reason=f"does not fit into the target any more: {each.reason}")
            for each in batch.rejects
            if part.has(each.line - window.first_row - 1)
        ]
        for each in _chosen(side.fitted(batch, normalizer), part):
            fitted.rows.extend(each.rows)
            fitted.indexes.extend(each.indexes)
            fitted.keys.extend(each.keys)
    return fitted, unfit


def last_of(fitted: Fitted) -> Fitted:
    """Of rows with the same key the last one."""
    last = {key: n for n, key in enumerate(fitted.keys)}
    if len(last) == len(fitted.keys):
        return fitted
    kept = sorted(last.values())
    return Fitted([fitted.rows[n] for n in kept], [fitted.indexes[n] for n in kept], [fitted.keys[n] for n in kept])


def _chosen(rows: Fitted, part: Part) -> Iterator[Fitted]:
    if not part.without:
        yield rows
        return
    chosen = [n for n, index in enumerate(rows.indexes) if part.has(index)]
    keys = [rows.keys[n] for n in chosen] if rows.keys else []
    yield Fitted([rows.rows[n] for n in chosen], [rows.indexes[n] for n in chosen], keys)


def with_rest(named: list[Reject], count: int) -> list[Reject]:
    """The differences named, and how many there are beside them."""
    named = sorted(named, key=lambda each: each.line)
    rest = count - len(named)
    if rest <= 0 or not named:
        return named
    last = named[-1]
    return [*named, Reject(last.line, last.offset, None, f"and {rest:,} more rows of this window", "")]
