"""A part per window: how file targets write.

The presence of a part under its final name is the ledger: a part is written under a temporary
name, synced, and renamed; its name carries the range and the counts.
"""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path

from streamconsole.engines import faults
from streamconsole.engines.errors import SideLost, StaleEpoch
from streamconsole.engines.migration.batch import Batch, NormalizerFactory, Reader
from streamconsole.engines.migration.compression import Compression
from streamconsole.engines.migration.targets.target import KeepRejects, Settled, Written
from streamconsole.engines.units import Window

PART = re.compile(r"^(\d{20})-(\d{20})-(\d+)-(\d+)-(\d+)-(\d+)\.part$")


@dataclass(frozen=True, slots=True)
class Part:
    """A window's rows.

    Args:
        settled: the window.
        width: columns that were known when it was made; 0 where rows have none in common.
        path: the file.
    """

    settled: Settled
    width: int
    path: Path


@dataclass(frozen=True, slots=True)
class PartWriter:
    """Writes windows as parts of one file, under one owner's epoch.

    Args:
        path: the file they will make up.
        folder: where parts are kept.
        epoch: of the run's owner.
        normalizer: makes the bytes of a part.
        compression: of the part.
        width: columns that rows are fitted to.
    """

    path: Path
    folder: Path
    epoch: int
    normalizer: NormalizerFactory
    compression: Compression = Compression.NONE
    width: int = 0

    def write(self, window: Window, batch: Batch, reader: Reader, keep_rejects: KeepRejects) -> Written:
        """Write the window's part, synced, under its final name."""
        faults.reach("window.before_claim", window.number)
        done = [Written(*map(int, part.stem.split("-")[2:5])) for part in self.folder.glob(f"{window.lo:020d}-*.part")]
        if done:
            return done[0]
        faults.reach("window.after_claim", window.number)
        written = Written(batch.rows_read, len(batch.indexes), len(batch.rejects))
        try:
            self._write(written, window, batch, keep_rejects)
        except OSError as error:
            raise lost(self.path, error) from error
        faults.reach("window.after_commit", window.number)
        return written

    def _write(self, written: Written, window: Window, batch: Batch, keep_rejects: KeepRejects) -> None:
        counts = f"{written.rows_read}-{written.rows_written}-{written.rejects}"
        name = f"{window.lo:020d}-{window.hi:020d}-{counts}-{self.width}.part"
        # The epoch in the name keeps an owner that was thought dead from writing into our file.
        temporary = self.folder / f"{name}.{self.epoch}.tmp"
        with temporary.open("wb") as file:
            file.write(self.compression.compress(batch.payload))
            file.flush()
            os.fsync(file.fileno())
        faults.reach("window.after_write", window.number)
        keep_rejects(batch.rejects)
        newest = newest_epoch(self.folder)
        if newest == 0:
            raise SideLost("target", f"{self.folder} was removed while it was written")
        if newest != self.epoch:
            raise StaleEpoch(f"{self.path}: another process has taken the run over")
        faults.reach("window.before_commit", window.number)
        temporary.rename(self.folder / name)
        sync_folder(self.folder)


def part_of(folder: Path, lo: int) -> Part | None:
    """The part of the window that begins at an offset."""
    return next((found for path in folder.glob(f"{lo:020d}-*.part") if (found := _part(path)) is not None), None)


def parts_in(folder: Path) -> list[Part]:
    """The windows whose parts are there, in the source's order."""
    return [found for path in sorted(folder.iterdir()) if (found := _part(path)) is not None]


def _part(path: Path) -> Part | None:
    match = PART.match(path.name)
    if match is None:
        return None
    lo, hi, *counts, width = map(int, match.groups())
    return Part(Settled(lo, hi, Written(*counts)), width, path)


def newest_epoch(folder: Path) -> int:
    """Epoch of the newest owner that has been here; 0 when the folder is gone."""
    return max((int(mark.suffix[1:]) for mark in folder.glob("epoch.*")), default=0)


def lost(path: Path, error: OSError) -> SideLost:
    """The loss of a file target."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return SideLost("target", f"the disk that holds {path} is full: free some space, then resume")
    return SideLost("target", f"{path} cannot be written any more: {error.strerror}")


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
