"""What a store of chunks is, and how it says that something went wrong.

A store keeps named bytes. It never tries anything again by itself: attempts are the transfer's, where
they are counted and seen.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from enum import StrEnum
from typing import Protocol

from streamconsole.engines.transfer.digests import Buffer


class Trouble(StrEnum):
    """What an error means for whoever asked.

    `passing`: try again. `missing`: there is no such name. `permanent`: trying again is of no use.
    `gone`: the whole store cannot be used (it is full, read-only or not there). `unreachable`: so it seems
    now; when it stays so through all attempts the store is gone.
    """

    PASSING = "passing"
    MISSING = "missing"
    PERMANENT = "permanent"
    GONE = "gone"
    UNREACHABLE = "unreachable"


class StoreError(Exception):
    """A store could not do what it was asked.

    Args:
        trouble: what that means.
        code: short, for counting: `503`, `ENOSPC`, `timeout`.
        text: what happened, and where.
    """

    def __init__(self, trouble: Trouble, code: str, text: str) -> None:
        super().__init__(text)
        self.trouble = trouble
        self.code = code


class Store(Protocol):
    """Keeps named bytes. Names are of letters, digits and `._-/`.

    `place` names the store in what operators read; secrets are masked in it.
    """

    place: str

    async def check(self) -> None:
        """Make sure that it can be written to, and find out what it can do. Before the first write.

        Raises:
            StoreError: it cannot be used.
        """
        ...

    async def sizes(self, names: Sequence[str]) -> list[int | None]:
        """How many bytes each name has; None for one that is not there."""
        ...

    async def put(self, name: str, data: Buffer) -> bool:
        """Keep bytes under a name: all or nothing, and for good once it returns (but see `settle`).

        Returns:
            False when the name was there already; then nothing is changed.
        """
        ...

    async def get(self, name: str, most: int) -> Buffer:
        """The bytes of a name, `most` of them.

        Raises:
            StoreError: it is missing, has more bytes than that, or cannot be had.
        """
        ...

    def names(self, prefix: str) -> AsyncIterator[str]:
        """All names that begin so (`prefix` ends with `/`)."""
        ...

    async def settle(self) -> None:
        """Make sure that everything put so far outlives a loss of power."""
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...


def too_large(place: str, name: str, most: int) -> StoreError:
    """The error for a name with more bytes than expected."""
    return StoreError(Trouble.PERMANENT, "size", f"{name} in {place} is larger than the {most:,} bytes expected")
