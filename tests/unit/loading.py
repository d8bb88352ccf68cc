"""Rows moved into a SQLite target as a worker does it, without the worker."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streamconsole.engines.migration.batch import Batch, NotAlike, Reader, Refuse
from streamconsole.engines.migration.columns import infer
from streamconsole.engines.migration.moving import Move, Needs, Task
from streamconsole.engines.migration.settings import Mode
from streamconsole.engines.migration.targets.sqlite import SqliteTarget
from streamconsole.engines.migration.targets.target import KeepRejects, SchemaMoved, Target, WindowWriter, Written
from streamconsole.engines.units import Reject, Window


@dataclass(frozen=True)
class Rows:
    """A reader of rows that are there already."""

    rows_: list[dict[str, Any]]

    def rows(self, window: Window, refuse: Refuse) -> Iterator[tuple[int, dict[str, Any]]]:
        yield from enumerate(self.rows_)

    def alike(self, window: Window) -> Iterator[list[dict[str, Any]]]:
        if not self.rows_:
            raise NotAlike
        yield self.rows_

    def locate(self, window: Window, indexes: set[int]) -> dict[int, tuple[int, str]]:
        return {index: (window.lo + index, str(index)) for index in indexes}


@dataclass
class Loader:
    """Moves rows as a worker does: decode, widen, write, until it fits."""

    target: SqliteTarget
    number: int = 0
    kept: list[Reject] = field(default_factory=list)

    async def load(self, rows: list[dict[str, Any]], window: Window | None = None) -> Written:
        if window is None:
            self.number += 1
            window = Window(self.number, self.number * 1000, self.number * 1000 + 1000, 0, len(rows))
        while True:
            try:
                moved = Move(Rows(rows), self.target.writer(), window).do(self)
            except SchemaMoved:
                continue
            if isinstance(moved, Written):
                return moved
            assert isinstance(moved, Needs)
            await self.target.widen(moved.columns)

    def turn(self, task: Move) -> AbstractContextManager[None]:
        return self.target.turn(task.writer)

    def keep_rejects(self, task: Task, rejects: Sequence[Reject]) -> None:
        self.kept += rejects


def write(
    target: Target,
    window: Window,
    batch: Batch,
    reader: Reader,
    keep: KeepRejects = lambda _: None,
    writer: WindowWriter | None = None,
) -> Written:
    """Write what is decoded already, as whoever moves a window does."""
    fitted_by = writer or target.writer()
    with target.turn(fitted_by):
        return fitted_by.write(window, batch, reader, keep)


@asynccontextmanager
async def loading(
    path: Path,
    sample: list[dict[str, Any]],
    key: tuple[str, ...] = (),
    epoch: int = 1,
    mode: Mode = Mode.INSERT,
    *,
    create: bool = True,
    run: str = "run-1",
) -> AsyncIterator[Loader]:
    target = SqliteTarget(path, "t", mode, create=create)
    plan = target.inspect(infer(sample), key)
    target.use(plan["schema"])
    await target.open(run, epoch)
    try:
        yield Loader(target)
        await target.finish(whole=True)
    finally:
        await target.close()


def read(path: Path, query: str = 'SELECT * FROM "t"') -> list[dict[str, Any]]:
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(query)]


def declared(path: Path) -> dict[str, str]:
    return {row["name"]: row["type"] for row in read(path, "SELECT name, type FROM pragma_table_info('t')")}
