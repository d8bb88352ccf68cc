"""NDJSON files as a target: a part per window, joined in the source's order at the end."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from streamconsole.engines import faults
from streamconsole.engines.errors import Refused, StaleEpoch
from streamconsole.engines.migration.columns import ColumnType
from streamconsole.engines.migration.targets.json_rows import JsonRows
from streamconsole.engines.migration.targets.parts import PartWriter, lost, newest_epoch, parts_in, sync_folder
from streamconsole.engines.migration.targets.target import Settled, WindowWriter


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

    def writer(self) -> WindowWriter:
        """Writes each window's lines as a part."""
        return PartWriter(self.path, self._parts, self._epoch, JsonRows())

    def turn(self, writer: WindowWriter) -> AbstractContextManager[None]:
        """Parts do not stand in each other's way."""
        return nullcontext()

    async def widen(self, needs: Mapping[str, ColumnType]) -> None:
        """Lines take any row."""

    async def finish(self, *, whole: bool) -> None:
        """Join the parts into the file."""
        await asyncio.to_thread(self._finish)

    async def close(self) -> None:
        """Nothing is held open."""

    def _open(self, run: str, epoch: int) -> list[Settled]:
        self._parts = self.path.with_name(f"{self.path.name}.parts-{run}")
        self._epoch = epoch
        try:
            self._parts.mkdir(exist_ok=True)
            if newest_epoch(self._parts) > epoch:
                raise StaleEpoch(f"run {run} has been taken over by another process")
            (self._parts / f"epoch.{epoch}").touch()
            for left in self._parts.glob("*.tmp"):
                left.unlink()
            return [settled for settled, _ in parts_in(self._parts)]
        except OSError as error:
            raise Refused(f"target {self.path} cannot be written: {error.strerror}") from error

    def _finish(self) -> None:
        try:
            self._join()
        except OSError as error:
            raise lost(self.path, error) from error

    def _join(self) -> None:
        parts = parts_in(self._parts)
        joined = self.path.with_name(f"{self.path.name}.joining")
        with joined.open("wb") as whole:
            for _, part in parts:
                with part.open("rb") as file:
                    shutil.copyfileobj(file, whole, 2**20)
            whole.flush()
            os.fsync(whole.fileno())
        faults.reach("target.before_join")
        joined.rename(self.path)
        sync_folder(self.path.parent)

    def forget_parts(self) -> None:
        """Remove the parts once nothing is left to be retried."""
        shutil.rmtree(self._parts, ignore_errors=True)
