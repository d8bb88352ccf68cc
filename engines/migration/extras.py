"""What a table of a database is beyond its columns' types: what a target can carry over from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """Columns whose values stand in another table.

    Args:
        columns: of this table.
        table: the other one.
        referred: its columns.
        options: `ondelete` and `onupdate`, where there is something to do.
    """

    columns: tuple[str, ...]
    table: str
    referred: tuple[str, ...]
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Index:
    """An index over columns, without conditions."""

    name: str
    columns: tuple[str, ...]
    unique: bool = False


@dataclass(frozen=True, slots=True)
class Extras:
    """Constraints and indexes of a table, by the keys of its rows.

    Args:
        required: columns without NULL.
        foreign_keys: made with the table, or after the load where that can be done.
        indexes: made after the load; unique constraints are among them.
    """

    required: tuple[str, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    indexes: tuple[Index, ...] = ()

    def renamed(self, names: Mapping[str, str]) -> Extras:
        """Those that concern no other column than these, under the names that they get."""
        return Extras(
            tuple(names[key] for key in self.required if key in names),
            tuple(
                replace(each, columns=tuple(names[key] for key in each.columns))
                for each in self.foreign_keys
                if names.keys() >= set(each.columns)
            ),
            tuple(
                replace(each, columns=tuple(names[key] for key in each.columns))
                for each in self.indexes
                if names.keys() >= set(each.columns)
            ),
        )

    def without_constraints(self) -> Extras:
        """Just what one table alone needs."""
        return replace(self, foreign_keys=(), indexes=())

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


NO_EXTRAS = Extras()


def from_json(data: Mapping[str, Any]) -> Extras:
    """The extras of plain data."""
    return Extras(
        tuple(data.get("required", ())),
        tuple(
            ForeignKey(tuple(each["columns"]), each["table"], tuple(each["referred"]), each["options"])
            for each in data.get("foreign_keys", ())
        ),
        tuple(Index(each["name"], tuple(each["columns"]), each["unique"]) for each in data.get("indexes", ())),
    )


@runtime_checkable
class Carrying(Protocol):
    """A target that makes constraints and indexes of its own tables."""

    def carry(self, extras: Extras) -> None:
        """Make these, too, when the table is made here; told before `inspect`."""
        ...
