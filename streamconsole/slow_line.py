"""Paintings left out while a slow terminal has not taken the last ones."""

from __future__ import annotations


class SlowLine:
    """Says which paintings to skip."""

    def __init__(self) -> None:
        self._skipped = 0

    def skips(self, backlog: int) -> bool:
        """Whether to skip this painting.

        Args:
            backlog: bytes that the terminal has not taken.
        """
        if backlog and self._skipped < (10 if backlog > 65_536 else 3):
            self._skipped += 1
            return True
        self._skipped = 0
        return False
