"""What the engine asks of a target."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

from streamconsole.engines.migration.batch import Batch, NormalizerFactory, Reader
from streamconsole.engines.migration.columns import ColumnType
from streamconsole.engines.units import Reject, Window


class SchemaMoved(Exception):
    """The schema was widened after the batch had been fitted: decode the window again."""


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a window in the target.

    Args:
        rows_read: rows seen, refused ones included.
        rows_written: rows that are in the target now.
        rejects: rows refused.
    """

    rows_read: int
    rows_written: int
    rejects: int


@dataclass(frozen=True, slots=True)
class Settled:
    """A window that the target's own ledger says is done."""

    lo: int
    hi: int
    written: Written


KeepRejects = Callable[[Sequence[Reject]], None]
"""Called, in a thread, with a window's rejects before the window commits."""


Turn = Callable[[], AbstractContextManager[None]]
"""The target for one window, for as long as the block runs."""


class WindowWriter(Protocol):
    """Writes windows into a target as it was when this was made; small and picklable.

    What it needs (a connection, say) it opens where it is, at its first window there.
    """

    @property
    def normalizer(self) -> NormalizerFactory:
        """How rows are fitted for it."""
        ...

    def write(self, window: Window, batch: Batch, reader: Reader, keep_rejects: KeepRejects) -> Written:
        """Claim the window, write its rows and the ledger row, all or nothing (blocking).

        Raises:
            SideLost: the target is gone or full.
            StaleEpoch: a newer owner has taken over; nothing was written.
        """
        ...


@runtime_checkable
class CopyingWriter(WindowWriter, Protocol):
    """A writer whose database can copy rows itself, where nothing has to be done about any of them."""

    def copies(self, reader: Reader) -> bool:
        """Whether it may copy what this reader reads."""
        ...

    def copy(self, window: Window, reader: Reader, turn: Turn, keep_rejects: KeepRejects) -> Written | None:
        """In its turn claim the window, copy its rows and write the ledger row, all or nothing (blocking).

        None, and nothing is done, when one of its rows must be looked at. Errors as of `write`.
        """
        ...


class Owned(NamedTuple):
    """A run under its owner's epoch."""

    run: str
    epoch: int


@runtime_checkable
class Reopening(Protocol):
    """A target that takes rows of windows that are settled: the refused ones, once they fit."""

    def look_up(self, run: str) -> None:
        """Look, without writing, whether what a run wrote is still there (blocking).

        Raises:
            Refused: it is not, or cannot be told.
        """
        ...

    async def reopen(self, of: Owned, replay: Owned) -> list[Settled]:
        """Make ready to write refused rows of a run, in the place of `open`; gives the windows replayed already.

        Args:
            of: the run; nobody else may write for it meanwhile.
            replay: the run that does it: its windows are claimed in its own name.

        Raises:
            Refused: it cannot be written.
            StaleEpoch: a newer owner has been here.
        """
        ...


class Target(Protocol):
    """A write storage whose ledger commits with a window's data."""

    def inspect(self, needs: Mapping[str, ColumnType], key: tuple[str, ...]) -> dict[str, Any]:
        """Check, without writing, that a new run can begin; gives the plan to show.

        Raises:
            Refused: it cannot.
        """
        ...

    def use(self, schema: Mapping[str, Any]) -> None:
        """Take the schema that was planned, before `open`."""
        ...

    async def open(self, run: str, epoch: int) -> list[Settled]:
        """Make ready for a run (or its continuation) under an epoch; gives what is done already.

        Raises:
            Refused: it cannot be written.
            StaleEpoch: a newer owner has been here.
        """
        ...

    def writer(self) -> WindowWriter:
        """Writes windows into the target as it is now, in this process or in another."""
        ...

    def turn(self, writer: WindowWriter) -> AbstractContextManager[None]:
        """The target for one window, for as long as the block runs (called in a thread).

        Raises:
            SchemaMoved: rows fitted for this writer do not fit any more.
        """
        ...

    async def widen(self, needs: Mapping[str, ColumnType]) -> None:
        """Make the schema hold what is needed, alone, outside any window."""
        ...

    async def finish(self, *, whole: bool) -> None:
        """The run has come to its end: make the result durable.

        Args:
            whole: no window failed; only then does `replace` put the new in the place of the old.
        """
        ...

    def forget_parts(self) -> None:
        """Nothing is left to be retried: remove what was kept for that."""
        ...

    async def close(self) -> None:
        """Let go of everything. Safe to call twice."""
        ...
