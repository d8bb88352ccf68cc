"""What the rows of verified windows come to, on both sides."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from streamconsole.engines.workspace.runs import Run, check_epoch
from streamconsole.engines.workspace.tables import digests


@dataclass(frozen=True, slots=True)
class DigestRecord:
    """Digests of one window: how many rows, and 32 hexadecimal digits, for each side."""

    window: int
    source_rows: int
    source: str
    target_rows: int
    target: str

    @property
    def even(self) -> bool:
        """Whether both sides have the same rows, as far as rows are looked up by key."""
        return (self.source_rows, self.source) == (self.target_rows, self.target)


def keep(connection: Connection, run: Run, record: DigestRecord) -> None:
    """Keep a window's digests, in the place of those of an earlier attempt."""
    check_epoch(connection, run)
    connection.execute(delete(digests).where(digests.c.run == run.id, digests.c.window == record.window))
    connection.execute(
        insert(digests).values(
            run=run.id,
            window=record.window,
            source_rows=record.source_rows,
            source=record.source,
            target_rows=record.target_rows,
            target=record.target,
        )
    )


def listing(connection: Connection, run_id: str) -> list[DigestRecord]:
    """The digests of all windows that are done, in order."""
    rows = connection.execute(
        select(digests.c.window, digests.c.source_rows, digests.c.source, digests.c.target_rows, digests.c.target)
        .where(digests.c.run == run_id)
        .order_by(digests.c.window)
    )
    return [DigestRecord(*row) for row in rows]
