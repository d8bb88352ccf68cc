"""Errors written for the operator: what happened, where, and what to do next.

    StreamConsoleError
    ├── Refused          before the first write: usage, configuration, unreadable input (exit 2)
    │   └── Held         somebody else owns the run or the workspace
    ├── SideLost         a whole side is gone in mid-run; committed units stay (exit 3)
    └── StaleEpoch       a newer owner has taken the run over; this one must stop

Everything else that escapes an engine is a programming error and is reported as one.
"""

from __future__ import annotations


class StreamConsoleError(Exception):
    """Base of all errors whose text is meant for the operator."""


class Refused(StreamConsoleError):
    """The work was not started; nothing has been written."""


class Held(Refused):
    """Another living process owns what was asked for."""


class SideLost(StreamConsoleError):
    """A database, disk or file is gone in mid-run.

    Args:
        side: which one, `source`, `target` or `workspace`.
        text: what happened and what to do next.
    """

    def __init__(self, side: str, text: str) -> None:
        super().__init__(text)
        self.side = side

    def __reduce__(self) -> tuple[type[SideLost], tuple[str, str]]:
        # Raised in a child process, it must arrive whole: by default only the text would be given back.
        return type(self), (self.side, str(self))


class StaleEpoch(StreamConsoleError):
    """A newer owner has taken the run over; nothing of ours was written."""
