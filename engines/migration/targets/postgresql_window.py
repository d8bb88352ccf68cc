"""Writing one window into a PostgreSQL table: ledger, COPY, commit. Runs in a child process or in a thread.

Windows are written at the same time. Rows that the server refuses are found by halving what was copied: of many
rows with a bad one among them only few are copied again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from time import time
from typing import TYPE_CHECKING, Any

from streamconsole.engines import faults
from streamconsole.engines.errors import StaleEpoch
from streamconsole.engines.migration.batch import Batch, NormalizerFactory, Reader, describe
from streamconsole.engines.migration.columns import Schema
from streamconsole.engines.migration.postgresql import Purpose, Server, is_refusal, placed, quote, quote_all
from streamconsole.engines.migration.targets.postgresql_rows import CopyRows
from streamconsole.engines.migration.targets.sqlite_window import not_settled
from streamconsole.engines.migration.targets.target import KeepRejects, Written
from streamconsole.engines.units import Window

if TYPE_CHECKING:
    import psycopg

MOST_COLUMNS = 1_000

ORDER = "_streamconsole_order"

UNIQUE = "23505"

PLACE = re.compile(r"^COPY .*, line [0-9]+, column (.+?)(?:: |$)", re.MULTILINE)
"""Where COPY says that it was when it refused a value."""

Refused = dict[int, tuple[str | None, str]]


@dataclass(frozen=True, slots=True)
class PostgresqlWindows:
    """Writes windows into one table, under one owner's epoch.

    Args:
        server: the database it is in.
        place: schema of the database; None for the first one of the search path.
        run: id of the run.
        epoch: of its owner.
        table: where rows go.
        schema: its columns.
        replacing: rows whose key is there already take the place of those.
        replay: id of the run whose windows hold refused rows of settled windows of `run`; None when they are its own.
    """

    server: Server
    place: str | None
    run: str
    epoch: int
    table: str
    schema: Schema
    replacing: bool = False
    replay: str | None = None

    @property
    def normalizer(self) -> NormalizerFactory:
        """Rows as lines of COPY."""
        return CopyRows(self.schema, MOST_COLUMNS)

    def write(self, window: Window, batch: Batch, reader: Reader, keep_rejects: KeepRejects) -> Written:
        """Claim, write, commit."""
        with self.server.connected(Purpose.WRITING) as connection:
            if self.replacing:
                self._make_staging(connection)
            with connection.transaction():
                written = self._write(connection, window, batch, reader, keep_rejects)
        faults.reach("window.after_commit", window.number)
        return written

    def _write(
        self,
        connection: psycopg.Connection[Any],
        window: Window,
        batch: Batch,
        reader: Reader,
        keep_rejects: KeepRejects,
    ) -> Written:
        self._check_epoch(connection)
        faults.reach("window.before_claim", window.number)
        done = self._claim(connection, window)
        if done is not None:
            return done
        faults.reach("window.after_claim", window.number)
        refused = self._fill(connection, batch.payload or ())
        faults.reach("window.after_write", window.number)
        rejects = batch.rejects + describe(
            reader, window, [(batch.indexes[n], column, why) for n, (column, why) in refused.items()]
        )
        keep_rejects(rejects)
        written = Written(batch.rows_read, len(batch.indexes) - len(refused), len(rejects))
        self._count(connection, window, written)
        faults.reach("window.before_commit", window.number)
        return written

    # The ledger ------------------------------------------------------------------------------

    def _check_epoch(self, connection: psycopg.Connection[Any]) -> None:
        asked = f"SELECT epoch FROM {self._ledger('runs')} WHERE run = %s FOR SHARE"
        if connection.execute(asked.encode(), (self.run,)).fetchone() != (self.epoch,):
            raise StaleEpoch(f"run {self.run} has been taken over by another process")

    def _claim(self, connection: psycopg.Connection[Any], window: Window) -> Written | None:
        """Put the ledger's key in; what is known when it was there already."""
        run, windows = self.replay or self.run, self._ledger("windows")
        claim = (
            f"INSERT INTO {windows} (run, lo, hi, rows_read, rows_written, rejects, at) "
            "VALUES (%s, %s, %s, 0, 0, 0, %s) ON CONFLICT DO NOTHING"
        )
        if connection.execute(claim.encode(), (run, window.lo, window.hi, time())).rowcount:
            return None
        asked = f"SELECT hi, rows_read, rows_written, rejects FROM {windows} WHERE run = %s AND lo = %s"
        found = connection.execute(asked.encode(), (run, window.lo)).fetchone()
        assert found is not None
        if found[0] != window.hi:
            raise RuntimeError(f"window {window.number} was cut at {window.hi}, the target's ledger has {found[0]}")
        return Written(*found[1:])

    def _count(self, connection: psycopg.Connection[Any], window: Window, written: Written) -> None:
        windows = self._ledger("windows")
        counts = (written.rows_read, written.rows_written, written.rejects)
        connection.execute(
            f"UPDATE {windows} SET rows_read = %s, rows_written = %s, rejects = %s WHERE run = %s AND lo = %s".encode(),
            (*counts, self.replay or self.run, window.lo),
        )
        if self.replay is None:
            return
        # What the window of the run itself comes to by that.
        counted = connection.execute(
            f"UPDATE {windows} SET rows_written = rows_written + %s, rejects = %s WHERE run = %s AND lo = %s".encode(),
            (written.rows_written, written.rejects, self.run, window.lo),
        )
        if not counted.rowcount:
            raise not_settled(self.server, self.run, window)

    def _ledger(self, which: str) -> str:
        return placed(self.place, f"_streamconsole_{which}").replace("%", "%%")

    # The rows --------------------------------------------------------------------------------

    def _fill(self, connection: psycopg.Connection[Any], lines: Sequence[str]) -> Refused:
        """Write rows; gives those that were refused, by position, with column and reason."""
        refused: Refused = {}
        parts = [(0, len(lines))] if lines else []
        while parts:
            lo, hi = parts.pop()
            error = self._try(connection, lines[lo:hi], lo)
            if error is None:
                continue
            if hi - lo == 1:
                refused[lo] = self._why(error, lines[lo])
                continue
            # Of rows with the same key the first one stays: halves are written in order.
            middle = (lo + hi) // 2
            parts += [(middle, hi), (lo, middle)]
        return dict(sorted(refused.items()))

    def _try(self, connection: psycopg.Connection[Any], lines: Sequence[str], first: int) -> psycopg.Error | None:
        """Write rows, all or none; the error when one of them is to blame."""
        import psycopg

        columns = quote_all([column.name for column in self.schema.columns])
        into = placed(self.place, self.table)
        if self.replacing:
            columns, into = f"{columns}, {ORDER}", self._staging
            lines = list(map("{}\t{}".format, lines, range(first, first + len(lines))))
        try:
            with connection.transaction(), connection.cursor() as cursor:
                with cursor.copy(f"COPY {into} ({columns}) FROM STDIN".encode()) as copy:
                    copy.write("\n".join([*lines, ""]).encode())
                if self.replacing:
                    cursor.execute(self._merge(first).encode())
        except psycopg.Error as error:
            if not is_refusal(error):
                raise
            return error
        return None

    def _why(self, error: psycopg.Error, line: str) -> tuple[str | None, str]:
        """Column and reason of a refusal."""
        said, detail = error.diag.message_primary or str(error), error.diag.message_detail or ""
        names = {column.key: column.name for column in self.schema.columns}
        key = [names[each] for each in self.schema.primary_key]
        if error.sqlstate == UNIQUE and key and detail.replace('"', "").startswith(f"Key ({', '.join(key)})="):
            values = dict(zip(names, line.split("\t"), strict=True))
            shown = ", ".join(values[each] for each in self.schema.primary_key)
            return ", ".join(self.schema.primary_key), f"duplicate key {shown[:200]}"
        place = PLACE.search(error.diag.context or "")
        column = error.diag.column_name or (place[1] if place else None)
        return column, " ".join(f"{said}: {detail}".rstrip(": ").split())[:300]

    # Rows that take the place of others ------------------------------------------------------

    def _make_staging(self, connection: psycopg.Connection[Any]) -> None:
        """A table of this session alone, with the columns that are filled; outside any window's transaction."""
        columns = quote_all([column.name for column in self.schema.columns])
        connection.execute(
            (
                f"CREATE TEMP TABLE IF NOT EXISTS {self._staging} ON COMMIT DELETE ROWS AS "
                f"SELECT {columns}, 0::bigint AS {ORDER} FROM {placed(self.place, self.table)} WITH NO DATA"
            ).encode()
        )

    @property
    def _staging(self) -> str:
        shape = repr((self.place, self.table, [(each.name, each.type) for each in self.schema.columns]))
        return f"_streamconsole_{hashlib.sha256(shape.encode()).hexdigest()[:16]}"

    def _merge(self, first: int) -> str:
        names = {column.key: column.name for column in self.schema.columns}
        key = [names[each] for each in self.schema.primary_key]
        others = [name for each, name in names.items() if each not in self.schema.primary_key]
        columns = quote_all(list(names.values()))
        then = f"UPDATE SET {', '.join(f'{quote(name)} = excluded.{quote(name)}' for name in others)}"
        # Of rows with the same key the last one counts: no statement may touch a row twice.
        return (
            f"INSERT INTO {placed(self.place, self.table)} ({columns}) OVERRIDING SYSTEM VALUE "
            f"SELECT DISTINCT ON ({quote_all(key)}) {columns} FROM {self._staging} "
            # In the order of the key, too: windows that wait for each other's rows wait in a row.
            f"WHERE {ORDER} >= {first} ORDER BY {quote_all(key)}, {ORDER} DESC "
            f"ON CONFLICT ({quote_all(key)}) DO {then if others else 'NOTHING'}"
        )
