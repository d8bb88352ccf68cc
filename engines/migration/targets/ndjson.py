"""NDJSON files as a target: a part per window, joined in the source's order at the end.

The presence of a part under its final name is the ledger: a part is written under a temporary
name, synced, and renamed; its name carries the range and the counts.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streamconsole.engines import faults
from streamconsole.engines.errors import Refused, SideLost, StaleEpoch
from streamconsole.engines.migration.batch import Batch, NormalizerFactory, Reader
from streamconsole.engines.migration.columns import ColumnType
from streamconsole.engines.migration.targets.json_rows import JsonRows
from streamconsole.engines.migration.targets.target import KeepRejects, Settled, Written
from streamconsole.engines.units import Window

PART = re.compile(r"^(\d{20})-(\d{20})-(\d+)-(\d+)-(\d+)\.part$")


class NdjsonTarget:
    """One file of JSON lines.

    Args:
        path: the file; must not exist, or be empty.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._parts = Path()
        self._epoch = 0

    def inspect(self, needs: Mapping[str, ColumnType], key: tuple[str, ...]) -> dict[str, Any]:
        """Check that the file is absent or empty and its folder can be written."""
        if self.path.is_dir():
            raise Refused(f"target {self.path} is a folder: name a file")
        if self.path.exists() and self.path.stat().st_size:
            raise Refused(f"target {self.path} holds something already: remove it, or name another file")
        folder = self.path.parent
        if not folder.is_dir():
            raise Refused(f"target {self.path}: the folder {folder} does not exist")
        for place in (folder, self.path) if self.path.exists() else (folder,):
            if not os.access(place, os.W_OK) or not place.stat().st_mode & 0o222:
                raise Refused(f"target {self.path} cannot be written: {place} is read-only")
        return {}

    def use(self, schema: Mapping[str, Any]) -> None:
        """Lines need no schema."""

    async def open(self, run: str, epoch: int) -> list[Settled]:
        """Make the folder of the parts; gives the windows whose parts are there."""
        return await asyncio.to_thread(self._open, run, epoch)

    @property
    def normalizer(self) -> NormalizerFactory:
        """Rows as lines."""
        return JsonRows()

    async def widen(self, needs: Mapping[str, ColumnType]) -> None:
        """Lines take any row."""

    async def write(
        self,
        window: Window,
        batch: Batch,
        fitted_by: NormalizerFactory,
        reader: Reader,
        keep_rejects: KeepRejects,
    ) -> Written:
        """Write the window's part, synced, under its final name."""
        return await asyncio.to_thread(self._write, window, batch, keep_rejects)

    async def finish(self) -> None:
        """Join the parts into the file."""
        await asyncio.to_thread(self._finish)

    async def close(self) -> None:
        """Nothing is held open."""

    def _open(self, run: str, epoch: int) -> list[Settled]:
        self._parts = self.path.with_name(f"{self.path.name}.parts-{run}")
        self._epoch = epoch
        try:
            self._parts.mkdir(exist_ok=True)
            if self._newest_epoch() > epoch:
                raise StaleEpoch(f"run {run} has been taken over by another process")
            (self._parts / f"epoch.{epoch}").touch()
            for left in self._parts.glob("*.tmp"):
                left.unlink()
            return [settled for settled, _ in self._settled()]
        except OSError as error:
            raise Refused(f"target {self.path} cannot be written: {error.strerror}") from error

    def _newest_epoch(self) -> int:
        return max((int(mark.suffix[1:]) for mark in self._parts.glob("epoch.*")), default=0)

    def _settled(self) -> list[tuple[Settled, Path]]:
        found = []
        for part in sorted(self._parts.iterdir()):
            match = PART.match(part.name)
            if match:
                lo, hi, *counts = map(int, match.groups())
                found.append((Settled(lo, hi, Written(*counts)), part))
        return found

    def _write(self, window: Window, batch: Batch, keep_rejects: KeepRejects) -> Written:
        faults.reach("window.before_claim", window.number)
        done = [Written(*map(int, part.stem.split("-")[2:])) for part in self._parts.glob(f"{window.lo:020d}-*.part")]
        if done:
            return done[0]
        faults.reach("window.after_claim", window.number)
        written = Written(batch.rows_read, len(batch.indexes), len(batch.rejects))
        name = f"{window.lo:020d}-{window.hi:020d}-{written.rows_read}-{written.rows_written}-{written.rejects}.part"
        try:
            self._write_part(name, batch.payload, window, keep_rejects, batch)
        except OSError as error:
            raise self._lost(error) from error
        faults.reach("window.after_commit", window.number)
        return written

    def _write_part(self, name: str, payload: bytes, window: Window, keep_rejects: KeepRejects, batch: Batch) -> None:
        # The epoch in the name keeps an owner that was thought dead from writing into our file.
        temporary = self._parts / f"{name}.{self._epoch}.tmp"
        with temporary.open("wb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        faults.reach("window.after_write", window.number)
        keep_rejects(batch.rejects)
        newest = self._newest_epoch()
        if newest == 0:
            raise SideLost("target", f"{self._parts} was removed while it was written")
        if newest != self._epoch:
            raise StaleEpoch(f"{self.path}: another process has taken the run over")
        faults.reach("window.before_commit", window.number)
        temporary.rename(self._parts / name)
        _sync_folder(self._parts)

    def _finish(self) -> None:
        try:
            self._join()
        except OSError as error:
            raise self._lost(error) from error

    def _join(self) -> None:
        parts = self._settled()
        joined = self.path.with_name(f"{self.path.name}.joining")
        with joined.open("wb") as whole:
            for _, part in parts:
                with part.open("rb") as file:
                    shutil.copyfileobj(file, whole, 2**20)
            whole.flush()
            os.fsync(whole.fileno())
        faults.reach("target.before_join")
        joined.rename(self.path)
        _sync_folder(self.path.parent)

    def forget_parts(self) -> None:
        """Remove the parts once nothing is left to be retried."""
        shutil.rmtree(self._parts, ignore_errors=True)

    def _lost(self, error: OSError) -> SideLost:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return SideLost("target", f"the disk that holds {self.path} is full: free some space, then resume")
        return SideLost("target", f"{self.path} cannot be written any more: {error.strerror}")


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
