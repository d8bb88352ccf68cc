"""`rename` and `drop`: other keys, and fewer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streamconsole.engines.errors import Refused
from streamconsole.engines.migration.batch import NotAlike
from streamconsole.engines.migration.columns import ColumnType
from streamconsole.engines.migration.transforms.fields import refuse_unknown, refuse_unknown_keys, visit
from streamconsole.engines.migration.transforms.steps import Passage, Row, Rows


@dataclass(frozen=True, slots=True)
class Rename:
    """Gives keys other names, in their place.

    Args:
        names: old → new.
        asked_as: what it is called in messages.
    """

    names: Mapping[str, str]
    asked_as: str = "transform rename"

    @property
    def hidden(self) -> Sequence[str]:
        """Nothing."""
        return ()

    def check(self, sample: Sequence[Mapping[str, Any]]) -> None:
        """Whether the old names are there, and the new ones free."""
        refuse_unknown_keys(self.asked_as, self.names, sample)
        for old, new in self.names.items():
            if new not in self.names and any(old in row and new in row for row in sample):
                raise Refused(f"{self.asked_as}: {old!r} to {new!r}: rows have a {new!r} already")

    def declared(self, columns: Mapping[str, ColumnType]) -> Mapping[str, ColumnType]:
        """The same types under the new names."""
        return {self.names.get(key, key): kind for key, kind in columns.items()}

    def alike(self, blocks: Iterator[list[Row]], passage: Passage) -> Iterator[list[Row]]:
        """Whole rows, as long as no name is taken."""
        for rows in blocks:
            renamed = list(map(self._renamed, rows))
            if list(map(len, renamed)) != list(map(len, rows)):
                raise NotAlike
            yield renamed

    def rows(self, rows: Rows, passage: Passage) -> Rows:
        """Row by row; one in which two keys would become one is refused."""
        for index, row in rows:
            renamed = self._renamed(row)
            if len(renamed) == len(row):
                yield index, renamed
                continue
            new = next(new for old, new in self.names.items() if old in row and new in row and new not in self.names)
            passage.refuse(index, new, f"the row has {new!r} already, and another key is renamed to it")

    def _renamed(self, row: Row) -> Row:
        name = self.names.get
        return {name(key, key): value for key, value in row.items()}


@dataclass(frozen=True, slots=True)
class Drop:
    """Leaves keys out.

    Args:
        fields: keys or paths.
        asked_as: what it is called in messages.
    """

    fields: tuple[str, ...]
    asked_as: str = "transform drop"

    @property
    def hidden(self) -> Sequence[str]:
        """What is left out is not to be seen."""
        return self.fields

    def check(self, sample: Sequence[Mapping[str, Any]]) -> None:
        """Whether they are there."""
        refuse_unknown(self.asked_as, self.fields, sample)

    def declared(self, columns: Mapping[str, ColumnType]) -> Mapping[str, ColumnType]:
        """Fewer."""
        return {key: kind for key, kind in columns.items() if key not in self.fields}

    def alike(self, blocks: Iterator[list[Row]], passage: Passage) -> Iterator[list[Row]]:
        """Block by block."""
        for rows in blocks:
            for row in rows:
                self._drop(row)
            yield rows

    def rows(self, rows: Rows, passage: Passage) -> Rows:
        """Row by row."""
        for index, row in rows:
            self._drop(row)
            yield index, row

    def _drop(self, row: Row) -> None:
        for name in self.fields:
            if row.pop(name, row) is row and "." in name:
                visit(row, name, dict.pop)
