"""Rows by key, in the order and selection they are shown: cheap to change one by one, at any number."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Final

from rich.text import Text

from streamconsole.screens.widgets.columns import Cell, Row

__all__ = ["RowOrder"]

_Entry = tuple[int, float | str, int, Hashable]
_BULK: Final = 500


def _rank(value: Cell) -> tuple[int, float | str]:
    """Numbers before text before nothing, so that any mixture can be sorted."""
    if value is None or value != value:
        return 2, 0
    if isinstance(value, (int, float)):
        return 0, value
    return 1, (value.plain if isinstance(value, Text) else value).casefold()


class RowOrder:
    """Rows, the filter that selects and the value that sorts them. Without a sort they stand as they came."""

    def __init__(self) -> None:
        self._rows: dict[Hashable, Row] = {}
        self._born: dict[Hashable, int] = {}
        self._next = 0
        self._value: Callable[[Row], Cell] | None = None
        self._wanted: Callable[[Hashable, Row], bool] | None = None
        self._reverse = False
        self._shown: list[_Entry] = []
        self._entry: dict[Hashable, _Entry] = {}

    def __len__(self) -> int:
        """How many rows are shown."""
        return len(self._shown)

    @property
    def total(self) -> int:
        """How many rows there are, shown or not."""
        return len(self._rows)

    def key_at(self, index: int) -> Hashable:
        """Return the key of the shown row `index`; IndexError when there is none."""
        return self._shown[-1 - index if self._reverse else index][3]

    def shown(self, start: int = 0, stop: int | None = None) -> list[Hashable]:
        """Return the keys of the shown rows `start` to `stop`, in their order."""
        return [self.key_at(index) for index in range(start, min(len(self), len(self) if stop is None else stop))]

    def index(self, key: Hashable) -> int | None:
        """Return where `key` is shown, or None."""
        entry = self._entry.get(key)
        if entry is None:
            return None
        place = bisect_left(self._shown, entry)
        return len(self._shown) - 1 - place if self._reverse else place

    def row(self, key: Hashable) -> Row:
        """Return the row of `key`; KeyError when there is none."""
        return self._rows[key]

    def __contains__(self, key: Hashable) -> bool:
        """Whether there is such a row, shown or not."""
        return key in self._rows

    def set(self, keys: Iterable[Hashable], rows: Iterable[Row]) -> None:
        """Replace all rows. A key given twice keeps its last row."""
        self._rows = dict(zip(keys, rows, strict=True))
        self._next = len(self._rows)
        self._born = dict(zip(self._rows, range(self._next), strict=True))
        self._rebuild()

    def update(self, changes: Mapping[Hashable, Row]) -> bool:
        """Change or add rows; return whether the order or the selection of shown rows changed."""
        for key in changes:
            if key not in self._born:
                self._born[key] = self._next
                self._next += 1
        self._rows.update(changes)
        moved = [
            (key, entry) for key, row in changes.items() if (entry := self._make(key, row)) != self._entry.get(key)
        ]
        if len(moved) > _BULK:
            self._rebuild()
        else:
            for key, entry in moved:
                self._move(key, entry)
        return bool(moved)

    def remove(self, keys: Iterable[Hashable]) -> bool:
        """Take rows away, ignoring unknown keys; return whether a shown one was among them."""
        gone = [key for key in keys if self._rows.pop(key, None) is not None]
        shown = [key for key in gone if key in self._entry]
        for key in gone:
            del self._born[key]
        if len(shown) > _BULK:
            self._rebuild()
        else:
            for key in shown:
                self._move(key, None)
        return bool(shown)

    def sort(self, value: Callable[[Row], Cell] | None, *, reverse: bool = False) -> None:
        """Sort by a value of the row; None restores the order in which the rows came."""
        self._value, self._reverse = value, reverse
        self._rebuild()

    def filter(self, wanted: Callable[[Hashable, Row], bool] | None) -> None:
        """Show only the rows that are wanted; None shows all."""
        self._wanted = wanted
        self._rebuild()

    def _make(self, key: Hashable, row: Row) -> _Entry | None:
        if self._wanted is not None and not self._wanted(key, row):
            return None
        rank, value = (0, 0) if self._value is None else _rank(self._value(row))
        return rank, value, self._born[key], key

    def _move(self, key: Hashable, entry: _Entry | None) -> None:
        old = self._entry.pop(key, None)
        if old is not None:
            del self._shown[bisect_left(self._shown, old)]
        if entry is not None:
            insort(self._shown, entry)
            self._entry[key] = entry

    def _rebuild(self) -> None:
        if self._value is None and self._wanted is None:
            self._shown = [(0, 0, born, key) for key, born in self._born.items()]
        else:
            made = (self._make(key, row) for key, row in self._rows.items())
            self._shown = sorted(entry for entry in made if entry is not None)
        self._entry = {entry[3]: entry for entry in self._shown}
