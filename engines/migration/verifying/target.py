"""The target of a verification: nothing is written; at the end both sides are compared as wholes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from streamconsole.engines.migration.columns import ColumnType
from streamconsole.engines.migration.sources.files import reads_file
from streamconsole.engines.migration.sources.source import Source, SourceFacts
from streamconsole.engines.migration.targets.target import Settled, WindowWriter, Written
from streamconsole.engines.migration.verifying.side import Stock
from streamconsole.engines.migration.work import lay_out
from streamconsole.engines.states import WindowState
from streamconsole.engines.units import Window
from streamconsole.engines.workspace import Workspace, windows


class VerifiedTarget:
    """Stands where the target of a run stands.

    Args:
        workspace: has the ledger of what is compared already.
        run: id of the verification.
        conclude: compares both sides as wholes, once every window is done.
        stock: the target.
    """

    def __init__(self, workspace: Workspace, run: str, conclude: Callable[[], Awaitable[None]], stock: Stock) -> None:
        self._workspace = workspace
        self._run = run
        self._conclude = conclude
        self._stock = stock

    def inspect(self, needs: Mapping[str, ColumnType], key: tuple[str, ...]) -> dict[str, Any]:
        """Nothing is planned here."""
        return {}

    def use(self, schema: Mapping[str, Any]) -> None:
        """The schema is the one the verified run has left."""

    async def open(self, run: str, epoch: int) -> list[Settled]:
        """What the workspace has as compared is compared: nothing of it stands in the target."""
        done = await self._workspace.read(windows.listing, self._run, [WindowState.COMPLETED])
        return [
            Settled(each.window.lo, each.window.hi, Written(each.rows_read, each.rows_written, each.rejects))
            for each in done
        ]

    def writer(self) -> WindowWriter:
        """Nothing is written."""
        raise NotImplementedError

    def turn(self, writer: WindowWriter) -> AbstractContextManager[None]:
        """Readers do not wait for each other."""
        return nullcontext()

    async def widen(self, needs: Mapping[str, ColumnType]) -> None:
        """Nothing is widened: what does not fit is a difference."""

    async def finish(self, *, whole: bool) -> None:
        """Compare both sides as wholes, unless a window could not be compared."""
        if whole:
            await self._conclude()

    def forget_parts(self) -> None:
        """There are none."""

    async def close(self) -> None:
        """Let go of the target."""
        await asyncio.to_thread(self._stock.close)


class BothSides:
    """Windows of the source, and behind them those of the target: for targets that have no key.

    Args:
        source: of the verified run; its windows are known.
        stock: the target.
        border: first offset that belongs to the target.
        base: the target's own offset there.
    """

    def __init__(self, source: Source, stock: Stock, border: int, base: int) -> None:
        self.unit = source.unit
        self.reader = source.reader
        self._source = source
        self._stock = stock
        self._border = border
        self._base = base
        # What is laid out of them is cleared away by who works with this one.
        self.file = _Files(self, source, stock)

    def inspect(self) -> SourceFacts:
        """As the source itself."""
        return self._source.inspect()

    def fingerprint(self) -> dict[str, Any]:
        """As the source itself."""
        return self._source.fingerprint()

    def align(self, offset: int) -> int:
        """Windows are known, or follow each other."""
        return offset

    def cut(
        self,
        number: int,
        lo: int,
        first_row: int,
        most_rows: int | None = None,
        end: int | None = None,
        behind: str | None = None,
    ) -> Window | None:
        """The next window of the target.

        Raises:
            SideLost: it is gone.
        """
        lo = max(lo, self._border)
        found = self._stock.cut(lo - self._border + self._base, first_row)
        if found is None:
            return None
        hi, rows = found
        return Window(number, lo, hi - self._base + self._border, first_row, rows)

    async def lay_out(self, window: Window) -> None:
        """Have a window's bytes where they can be read in any order."""
        if self.is_target(window):
            await asyncio.to_thread(self._stock.lay_out, self.own(window))
        else:
            await lay_out(self._source, window)

    def is_target(self, window: Window) -> bool:
        """Whether a window is one of the target's."""
        return window.lo >= self._border

    def own(self, window: Window) -> Window:
        """A window of the target in the target's own offsets."""
        by = self._base - self._border
        return Window(window.number, window.lo + by, window.hi + by, window.first_row, window.rows)


class _Files:
    """What is laid out of both sides."""

    def __init__(self, both: BothSides, source: Source, stock: Stock) -> None:
        self._both = both
        self._source = source
        self._stock = stock

    def clear(self, window: Window) -> None:
        """A window is settled: its bytes are not needed any more."""
        if self._both.is_target(window):
            self._stock.clear(self._both.own(window))
        elif reads_file(self._source):
            self._source.file.clear(window)

    def close(self) -> None:
        """Clear everything away."""
        if reads_file(self._source):
            self._source.file.close()
        self._stock.close()
