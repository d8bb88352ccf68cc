"""What the workspace keeps of transfers: files, how far each has been read, and every chunk that came to an end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, and_, case, delete, func, select, text, update

from streamconsole.engines.states import SETTLED_CHUNKS, ChunkState, FileState
from streamconsole.engines.workspace.runs import Run, check_epoch
from streamconsole.engines.workspace.transfer_tables import chunks, files


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file of a transfer.

    Args:
        hashed: bytes that were read and hashed when `hash_state` was kept.
        packed: bytes of the compressed stream that these became (layout `stream`).
    """

    number: int
    path: str
    size: int
    mtime_ns: int
    state: FileState
    digest: str | None
    hashed: int
    hash_state: str | None
    packed: int
    error: str | None


@dataclass(frozen=True, slots=True)
class ChunkRecord:
    """A chunk that came to an end."""

    file: int
    number: int
    lo: int
    size: int
    stored: int
    digest: str
    state: ChunkState
    attempt: int
    error: str | None

    def as_json(self) -> dict[str, Any]:
        """The form that lists print."""
        return {
            "file": self.file,
            "chunk": self.number,
            "lo": self.lo,
            "size": self.size,
            "stored": self.stored,
            "digest": self.digest,
            "state": self.state,
            "attempt": self.attempt,
            "error": self.error,
        }


@dataclass(frozen=True, slots=True)
class TransferTotals:
    """Sums over a transfer.

    Args:
        bytes_done: of files that are done; `bytes_begun` of those at work.
        bytes_sent: that went over the line.
    """

    files: int = 0
    files_done: int = 0
    files_failed: int = 0
    stored: int = 0
    present: int = 0
    failed: int = 0
    bytes_done: int = 0
    bytes_begun: int = 0
    bytes_sent: int = 0


_UPSERT_FILE = text(
    "INSERT INTO transfer_files (run, number, path, size, mtime_ns, state, hashed, packed) "
    "VALUES (:run, :number, :path, :size, :mtime_ns, :state, 0, 0) ON CONFLICT (run, number) DO UPDATE SET "
    "path = excluded.path, size = excluded.size, mtime_ns = excluded.mtime_ns, state = excluded.state, error = NULL"
)
_UPSERT_CHUNK = text(
    "INSERT INTO transfer_chunks (run, file, number, lo, size, stored, digest, state, attempt, error) "
    "VALUES (:run, :file, :number, :lo, :size, :stored, :digest, :state, :attempt, :error) "
    "ON CONFLICT (run, file, number) DO UPDATE SET lo = excluded.lo, size = excluded.size, "
    "stored = excluded.stored, digest = excluded.digest, state = excluded.state, attempt = excluded.attempt, "
    "error = excluded.error"
)


_at_work = (
    select(files.c.run, files.c.size, files.c.hashed, files.c.packed, func.sum(chunks.c.size).label("settled"))
    .select_from(
        files.outerjoin(
            chunks,
            and_(
                chunks.c.run == files.c.run, chunks.c.file == files.c.number, chunks.c.state.in_(list(SETTLED_CHUNKS))
            ),
        )
    )
    .where(files.c.state == FileState.RUNNING)
    .group_by(files.c.run, files.c.number, files.c.size, files.c.hashed, files.c.packed)
)


def begin_file(connection: Connection, run: Run, number: int, path: str, size: int, mtime_ns: int) -> None:
    """A file is worked on; what is known of it stays."""
    check_epoch(connection, run)
    values = {"run": run.id, "number": number, "path": path, "size": size, "mtime_ns": mtime_ns}
    connection.execute(_UPSERT_FILE, values | {"state": FileState.RUNNING})


def forget_file(connection: Connection, run: Run, number: int) -> None:
    """A file has changed: nothing that is known of it holds."""
    check_epoch(connection, run)
    connection.execute(delete(chunks).where(chunks.c.run == run.id, chunks.c.file == number))
    connection.execute(delete(files).where(files.c.run == run.id, files.c.number == number))


def forget_beyond(connection: Connection, run: Run, number: int, packed: int) -> None:
    """Chunks of a stream that begin after the point from which it is gone on with will be cut anew."""
    check_epoch(connection, run)
    connection.execute(delete(chunks).where(chunks.c.run == run.id, chunks.c.file == number, chunks.c.lo >= packed))


def settle(
    connection: Connection, run: Run, settled: Sequence[ChunkRecord], read: Sequence[tuple[int, int, str | None, int]]
) -> None:
    """Keep chunks that came to an end, and how far files were read: (file, hashed, state, packed) each."""
    check_epoch(connection, run)
    if settled:
        connection.execute(
            _UPSERT_CHUNK,
            [
                {
                    "run": run.id,
                    "file": each.file,
                    "number": each.number,
                    "lo": each.lo,
                    "size": each.size,
                    "stored": each.stored,
                    "digest": each.digest,
                    "state": each.state,
                    "attempt": each.attempt,
                    "error": each.error,
                }
                for each in settled
            ],
        )
    for number, hashed, state, packed in read:
        connection.execute(_one(run, number).values(hashed=hashed, hash_state=state, packed=packed))


def end_file(
    connection: Connection, run: Run, number: int, state: FileState, digest: str | None, error: str | None
) -> None:
    """A file is done, or failed."""
    check_epoch(connection, run)
    connection.execute(_one(run, number).values(state=state, digest=digest, error=error))


def files_of(connection: Connection, run_id: str) -> list[FileRecord]:
    """The files of a run that were begun."""
    rows = connection.execute(select(files).where(files.c.run == run_id).order_by(files.c.number))
    return [_file(row) for row in rows]


def chunks_of(connection: Connection, run_id: str, file: int | None = None) -> list[ChunkRecord]:
    """The chunks of a run, or of one file of it, that came to an end."""
    statement = select(chunks).where(chunks.c.run == run_id).order_by(chunks.c.file, chunks.c.number)
    if file is not None:
        statement = statement.where(chunks.c.file == file)
    return [_chunk(row) for row in connection.execute(statement)]


def totals(connection: Connection, run_ids: Sequence[str]) -> dict[str, TransferTotals]:
    """Sums per run, for the runs asked for."""
    sums: dict[str, dict[str, int]] = {run_id: {} for run_id in run_ids}
    of_files = (
        select(
            files.c.run,
            func.count().label("files"),
            func.sum(case((files.c.state == FileState.DONE, 1), else_=0)).label("files_done"),
            func.sum(case((files.c.state == FileState.FAILED, 1), else_=0)).label("files_failed"),
            func.sum(case((files.c.state == FileState.DONE, files.c.size), else_=0)).label("bytes_done"),
        )
        .where(files.c.run.in_(run_ids))
        .group_by(files.c.run)
    )
    for row in connection.execute(of_files):
        sums[row.run] |= {
            "files": row.files,
            "files_done": row.files_done,
            "files_failed": row.files_failed,
            "bytes_done": row.bytes_done,
        }
    for row in connection.execute(_at_work.where(files.c.run.in_(run_ids))):
        begun = begun_of(row.size, row.hashed, row.packed, row.settled)
        sums[row.run]["bytes_begun"] = sums[row.run].get("bytes_begun", 0) + begun
    of_chunks = (
        select(chunks.c.run, chunks.c.state, func.count().label("chunks"), func.sum(chunks.c.stored).label("stored"))
        .where(chunks.c.run.in_(run_ids))
        .group_by(chunks.c.run, chunks.c.state)
    )
    for row in connection.execute(of_chunks):
        sums[row.run][row.state] = row.chunks
        if row.state == ChunkState.STORED:
            sums[row.run]["bytes_sent"] = row.stored
    return {run_id: TransferTotals(**values) for run_id, values in sums.items()}


def begun_of(size: int, hashed: int, packed: int, settled: int | None) -> int:
    """How much of a file at work is done: what its chunks come to, or of a stream what was read."""
    return min(size, hashed if packed else settled or 0)


def is_settled(chunk: ChunkRecord) -> bool:
    """Whether a chunk is where it should be."""
    return chunk.state in SETTLED_CHUNKS


def _one(run: Run, number: int) -> Any:
    return update(files).where(files.c.run == run.id, files.c.number == number)


def _file(row: Row[Any]) -> FileRecord:
    return FileRecord(
        number=row.number,
        path=row.path,
        size=row.size,
        mtime_ns=row.mtime_ns,
        state=FileState(row.state),
        digest=row.digest,
        hashed=row.hashed,
        hash_state=row.hash_state,
        packed=row.packed,
        error=row.error,
    )


def _chunk(row: Row[Any]) -> ChunkRecord:
    return ChunkRecord(
        row.file, row.number, row.lo, row.size, row.stored, row.digest, ChunkState(row.state), row.attempt, row.error
    )
