"""Reading a transfer for its screen: its files, the most pressing first, and the chunks of one of them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, and_, case, func, select

from streamconsole.engines.states import SETTLED_CHUNKS, ChunkState, FileState
from streamconsole.engines.workspace import chunks
from streamconsole.engines.workspace.chunks import ChunkRecord
from streamconsole.engines.workspace.transfer_tables import chunks as chunk_table
from streamconsole.engines.workspace.transfer_tables import files as table

FILES_SHOWN = 1_000
"""Files of one transfer that are shown."""


@dataclass(frozen=True, slots=True)
class FileLine:
    """A file of a transfer.

    Args:
        done: bytes of it that are settled.
        sent: bytes of it that went over the line.
        ratio: bytes read for each byte kept in the store; None when nothing is settled.
        lost: chunks that failed for good.
        error: why it failed; None when it did not.
    """

    number: int
    path: str
    size: int
    state: FileState
    done: int
    sent: int
    ratio: float | None
    lost: int
    error: str | None


_settled = chunk_table.c.state.in_(list(SETTLED_CHUNKS))
_read = func.sum(case((_settled, chunk_table.c.size), else_=0))
_kept = func.sum(case((_settled, chunk_table.c.stored), else_=0))
_sent = func.sum(case((chunk_table.c.state == ChunkState.STORED, chunk_table.c.stored), else_=0))
_lost = func.sum(case((chunk_table.c.state == ChunkState.FAILED, 1), else_=0))
_PRESSING = case((table.c.state == FileState.FAILED, 0), (table.c.state == FileState.RUNNING, 1), else_=2)

_COLUMNS = (table.c.number, table.c.path, table.c.size, table.c.state, table.c.hashed, table.c.packed, table.c.error)


def load_files(connection: Connection, run_id: str) -> list[FileLine]:
    """Files that were begun: failed ones, those at work, then the latest."""
    some = (
        select(*_COLUMNS)
        .where(table.c.run == run_id)
        .order_by(_PRESSING, table.c.number.desc())
        .limit(FILES_SHOWN)
        .subquery()
    )
    sums = (
        select(*some.c, _read, _kept, _sent, _lost)
        .select_from(
            some.outerjoin(chunk_table, and_(chunk_table.c.run == run_id, chunk_table.c.file == some.c.number))
        )
        .group_by(*some.c)
    )
    found = [_line(*row) for row in connection.execute(sums)]
    return sorted(found, key=lambda line: (_rank(line.state), -line.number))


def load_chunks(connection: Connection, run_id: str, file: int) -> dict[int, str]:
    """The state of each chunk of a file that came to its end, by number."""
    asked = select(chunk_table.c.number, chunk_table.c.state)
    found = connection.execute(asked.where(chunk_table.c.run == run_id, chunk_table.c.file == file))
    return {row.number: row.state for row in found}


def load_chunk(connection: Connection, run_id: str, file: int, number: int) -> ChunkRecord | None:
    """One chunk that came to its end."""
    return next((each for each in chunks.chunks_of(connection, run_id, file) if each.number == number), None)


def _line(
    number: int,
    path: str,
    size: int,
    state: str,
    hashed: int,
    packed: int,
    error: str | None,
    read: int | None,
    kept: int | None,
    sent: int | None,
    lost: int | None,
) -> FileLine:
    done = size if state == FileState.DONE else chunks.begun_of(size, hashed, packed, read)
    # A stream is cut after it was compressed: what its chunks come to is what is kept, not what was read.
    of_stream = bool(packed)
    ratio = (done if of_stream else read or 0) / kept if kept else None
    return FileLine(number, path, size, FileState(state), done, sent or 0, ratio, lost or 0, error)


def _rank(state: FileState) -> int:
    return {FileState.FAILED: 0, FileState.RUNNING: 1}.get(state, 2)
