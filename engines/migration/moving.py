"""Moving one window: read, fit and write it, in a thread of this program or in a child of it.

Whoever moves a window asks its parent (the process that owns the run) for two things only: its turn
in the target, and that refused rows are kept before the window commits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from streamconsole.engines.migration.batch import DecodeTask, Reader, decode
from streamconsole.engines.migration.columns import ColumnType
from streamconsole.engines.migration.targets.target import CopyingWriter, WindowWriter, Written
from streamconsole.engines.units import Reject, Window


class Task(Protocol):
    """What is to be done with one window; small and picklable."""

    @property
    def window(self) -> Window:
        """The range."""
        ...

    def do(self, parent: Parent) -> Written | Needs:
        """Do it (blocking), in whatever process this is.

        Raises:
            SchemaMoved: the target was widened meanwhile; do it again.
            SideLost: a side is gone.
            StaleEpoch: a newer owner has taken over; nothing was written.
        """
        ...


@dataclass(frozen=True, slots=True)
class Move:
    """A window to be moved; small and picklable.

    Args:
        reader: where its rows come from.
        writer: where they go.
        window: the range.
        attempt: counts from 1.
    """

    reader: Reader
    writer: WindowWriter
    window: Window
    attempt: int = 1

    def do(self, parent: Parent) -> Written | Needs:
        """Have it copied, or read, fit and write it."""
        keep, turn = partial(_keep, self, parent), partial(parent.turn, self)
        if isinstance(self.writer, CopyingWriter) and self.writer.copies(self.reader):
            copied = self.writer.copy(self.window, self.reader, turn, keep)
            if copied is not None:
                return copied
        batch = decode(DecodeTask(self.reader, self.writer.normalizer, self.window))
        if batch.needs:
            return Needs(batch.needs)
        with turn():
            return self.writer.write(self.window, batch, self.reader, keep)


@dataclass(frozen=True, slots=True)
class Needs:
    """The target must be widened first; nothing was written.

    Args:
        columns: the type each key needs.
    """

    columns: Mapping[str, ColumnType]


class Parent(Protocol):
    """What the owner of a run does for whoever moves one of its windows."""

    def turn(self, move: Move) -> AbstractContextManager[None]:
        """The target for this window alone, where it takes one writer at a time.

        Raises:
            SchemaMoved: the schema is no longer the one that the rows were fitted to.
        """
        ...

    def keep_rejects(self, task: Task, rejects: Sequence[Reject]) -> None:
        """Keep a window's refused rows, before it commits."""
        ...


def _keep(task: Move, parent: Parent, rejects: Sequence[Reject]) -> None:
    # The target waits meanwhile: nothing is written when there is nothing to write or to replace.
    if rejects or task.attempt > 1:
        parent.keep_rejects(task, rejects)
