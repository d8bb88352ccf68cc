"""Rows moved into a SQLite target as a worker does it, without the worker."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streamconsole.engines.migration.batch import DecodeTask, NotAlike, Refuse, decode
from streamconsole.engines.migration.columns import infer
from streamconsole.engines.migration.targets.sqlite import SqliteTarget
from streamconsole.engines.migration.targets.target import SchemaMoved, Written
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
            fitted_by = self.target.normalizer
            batch = decode(DecodeTask(Rows(rows), fitted_by, window))
            if batch.needs:
                await self.target.widen(batch.needs)
                continue
            try:
                return await self.target.write(window, batch, fitted_by, Rows(rows), self.keep)
            except SchemaMoved:
                continue

    def keep(self, rejects: Sequence[Reject]) -> None:
        self.kept += rejects


@asynccontextmanager
async def loading(
    path: Path, sample: list[dict[str, Any]], key: tuple[str, ...] = (), epoch: int = 1
) -> AsyncIterator[Loader]:
    target = SqliteTarget(path, "t")
    plan = target.inspect(infer(sample), key)
    target.use(plan["schema"])
    await target.open("run-1", epoch)
    try:
        yield Loader(target)
        await target.finish()
    finally:
        await target.close()


def read(path: Path, query: str = 'SELECT * FROM "t"') -> list[dict[str, Any]]:
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(query)]


def declared(path: Path) -> dict[str, str]:
    return {row["name"]: row["type"] for row in read(path, "SELECT name, type FROM pragma_table_info('t')")}
