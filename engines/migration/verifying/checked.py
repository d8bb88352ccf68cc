"""What came of the comparison of a window."""

from __future__ import annotations

from dataclasses import dataclass

from streamconsole.engines.migration.targets.target import Written
from streamconsole.engines.migration.verifying.digest import NO_ROWS, Digest
from streamconsole.engines.workspace.digests import DigestRecord


@dataclass(frozen=True, slots=True)
class Checked(Written):
    """A window compared: `rows_written` are equal (or counted in), `rejects` differ.

    Args:
        source: digest of the source's rows.
        target: digest of the target's.
    """

    source: Digest = NO_ROWS
    target: Digest = NO_ROWS

    def record(self, window: int) -> DigestRecord:
        """As it is kept in the workspace."""
        return DigestRecord(window, self.source.rows, self.source.text, self.target.rows, self.target.text)
