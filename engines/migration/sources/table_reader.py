"""Reads windows of one table, whatever fetches its rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from streamconsole.engines.migration.batch import ROW_SHOWN, Misfit, Refuse
from streamconsole.engines.migration.columns import ColumnType
from streamconsole.engines.migration.sources import sql_values
from streamconsole.engines.migration.sources.sql_values import BadText
from streamconsole.engines.migration.targets.json_rows import dump
from streamconsole.engines.units import Window

Block = tuple[tuple[str, ...], list[tuple[Any, ...]]]
"""Keys, and rows as values in the order of the keys."""


class Fetch(Protocol):
    """Fetches ranges of keys of one table; small and picklable."""

    def read(self, window: Window, *, exactly: bool) -> Iterator[list[tuple[Any, ...]]]:
        """A window's rows in the order of their keys, some at a time, as the database's driver gives them.

        Args:
            window: which.
            exactly: give text that is no text as `BadText`.

        Raises:
            NotAlike: they must be read exactly.
            SideLost: the database is gone.
        """
        ...


@dataclass(frozen=True, slots=True)
class TableReader:
    """Reads ranges of keys of one table or view.

    Args:
        fetch: fetches its rows.
        names: its columns.
        kinds: what each column of a SQLite table is declared as; NULL for "take the value as it is".
        as_they_are: positions of columns that hold nothing but text, bytes and NULL, as they are to be read.
    """

    fetch: Fetch
    names: tuple[str, ...]
    kinds: tuple[ColumnType, ...]
    as_they_are: frozenset[int] = frozenset()

    def rows(self, window: Window, refuse: Refuse) -> Iterator[tuple[int, dict[str, Any]]]:
        """The rows of a range, one by one."""
        names, kinds = self.names, self.kinds
        at = 0
        for some in self.fetch.read(window, exactly=True):
            for index, row in enumerate(some, at):
                bad = next((name for name, each in zip(names, row, strict=True) if type(each) is BadText), None)
                if bad is not None:
                    refuse(index, bad, "the text is not UTF-8")
                    continue
                yield index, dict(zip(names, map(sql_values.value, kinds, row), strict=True))
            at += len(some)

    def alike(self, window: Window) -> Iterator[list[dict[str, Any]]]:
        """The rows of a range, many at once."""
        for names, some in self.blocks(window):
            yield [dict(zip(names, row, strict=True)) for row in some]

    def blocks(self, window: Window) -> Iterator[Block]:
        """The rows of a range as tuples, many at once.

        Raises:
            NotAlike: they must be read one by one.
        """
        names, kinds = self.names, self.kinds
        for some in self.fetch.read(window, exactly=False):
            yield names, sql_values.block(kinds, some, self.as_they_are)

    def locate(self, window: Window, indexes: set[int]) -> dict[int, tuple[int, str]]:
        """Place and JSON text of some rows of a range."""
        names = self.names
        found, at = {}, 0
        for some in self.fetch.read(window, exactly=True):
            for index in sorted(each for each in indexes if at <= each < at + len(some)):
                row = dict(zip(names, map(_shown, some[index - at]), strict=True))
                found[index] = (window.lo + index, _text(row))
            at += len(some)
        return found


def _shown(given: Any) -> Any:
    return given.decode(errors="replace") if type(given) is BadText else sql_values.as_row_value(given)


def _text(row: dict[str, Any]) -> str:
    try:
        return dump(row).decode()[:ROW_SHOWN]
    except Misfit:
        return repr(row)[:ROW_SHOWN]
