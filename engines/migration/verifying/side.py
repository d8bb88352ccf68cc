"""What verification asks of a target: its rows, in the form that both sides are compared in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from streamconsole.engines.migration.batch import Batch, NormalizerFactory
from streamconsole.engines.units import Window

Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Fitted:
    """Rows of the source as they should stand in the target.

    Args:
        rows: as `Side.stored` gives them.
        indexes: of each in its window.
        keys: of each; empty where the target is not looked up by key.
    """

    rows: list[bytes]
    indexes: list[int]
    keys: list[Key]


@dataclass(frozen=True, slots=True)
class Stored:
    """A row of either side, wherever it stands.

    Args:
        place: what the operator finds it by (`line 7`, `id=7`).
        row: as it stands there.
        key: by which rows of both sides are told to be the same one; the row itself, in canonical form, without a key.
    """

    place: str
    row: bytes
    key: bytes


class Side(Protocol):
    """A target as whoever compares a window reads it; small and picklable.

    `keyed` says whether rows are looked up by key: then each window is compared by itself.
    """

    @property
    def keyed(self) -> bool:
        """Whether rows can be looked up by their key."""
        ...

    def fitting(self, normalizer: NormalizerFactory) -> NormalizerFactory:
        """How rows are fitted again: as before, but nothing is widened any more."""
        ...

    def fitted(self, batch: Batch, normalizer: NormalizerFactory) -> Fitted:
        """A window's rows, as they should be found by `find` or `stored`."""
        ...

    def find(self, keys: Sequence[Key]) -> dict[Key, bytes]:
        """The rows of some keys, in canonical form.

        Raises:
            SideLost: the target is gone.
        """
        ...

    def stored(self, window: Window) -> Iterator[list[bytes]]:
        """The rows of a range of the target, some at a time (where there is no key).

        Equal rows are alike; rows that are not alike may be equal all the same, which `Stored.key` tells.

        Raises:
            SideLost: the target is gone.
        """
        ...

    def key_of(self, key: Key, row: bytes) -> bytes:
        """What a fitted row is told by (see `Stored.key`)."""
        ...

    def values(self, row: bytes) -> Mapping[str, Any]:
        """The columns of a row."""
        ...

    def place(self, key: Key, row: bytes) -> str:
        """What the operator finds a row by in the target, when it is looked up by key."""
        ...

    def told(self, row: bytes) -> str:
        """A row in words, when it has a form of its own that is worth showing; else nothing."""
        ...


class Stock(Protocol):
    """A target as the owner of the verification has it: all of its rows, and how they are cut into ranges."""

    def all(self) -> Iterator[list[Stored]]:
        """Every row of the target, some at a time.

        Raises:
            SideLost: the target is gone.
        """
        ...

    def count(self) -> int:
        """Rows of the target, where they are looked up by key.

        Raises:
            SideLost: the target is gone.
        """
        ...

    def extent(self) -> tuple[int, int | None]:
        """The target's own first offset, and how far they go (None when that is known only at their end).

        Raises:
            SideLost: the target is gone.
        """
        ...

    def cut(self, lo: int, first_row: int) -> tuple[int, int] | None:
        """End and rows of the next range of the target, from an offset of its own; None where it ends.

        Raises:
            SideLost: the target is gone, or broken there.
        """
        ...

    def lay_out(self, window: Window) -> None:
        """Make a range readable (blocking).

        Raises:
            SideLost: the target is gone, or broken before its end.
        """
        ...

    def clear(self, window: Window) -> None:
        """A range is settled."""
        ...

    def close(self) -> None:
        """Let go of everything. Safe to call twice."""
        ...
