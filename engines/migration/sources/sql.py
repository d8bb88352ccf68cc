"""Tables and views of databases: windows are ranges of keys, found by seeks and never by counting from the start."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from streamconsole.engines.errors import Refused
from streamconsole.engines.migration.columns import ColumnType
from streamconsole.engines.migration.sources import keys, sql_shape
from streamconsole.engines.migration.sources.databases import Database
from streamconsole.engines.migration.sources.keys import Key, KeyRange
from streamconsole.engines.migration.sources.postgresql_fetch import AS_THEY_ARE, PostgresqlFetch
from streamconsole.engines.migration.sources.source import SourceFacts
from streamconsole.engines.migration.sources.sql_extras import extras_of
from streamconsole.engines.migration.sources.sql_fetch import AS_GIVEN, SqlFetch, table_of
from streamconsole.engines.migration.sources.sql_shape import SqlShape
from streamconsole.engines.migration.sources.sqlite_fetch import SqliteFetch
from streamconsole.engines.migration.sources.table_reader import Fetch, TableReader
from streamconsole.engines.units import Window

SAMPLE_FIRST = 10
SAMPLE_ROWS = 500
SAMPLE_BYTES = 4 * 2**20
SAMPLE_PLACES = 8
SAMPLE_AT_PLACE = 50

MOST_STREAM_BYTES = 128 * 2**20
"""Bytes that a table without a key may have: all of it is held at once."""

LARGE = (ColumnType.TEXT, ColumnType.BINARY, ColumnType.JSON, ColumnType.NULL)
"""What columns hold whose values may be large."""

ONE_STREAM = "it has no unique key: it is one stream, read as one window by one worker"


class SqlSource:
    """A table or view.

    Args:
        database: where it is.
        table: its name, or schema and name with a dot between.
        window_rows: rows in a window, at most.
        window_bytes: bytes in a window, about; measured on a sample.
        from_key: where to begin, when that is not at the first key.
        key: columns to cut by when the table has no key of its own: its rows are told apart by them.
        apart: the target is not in the same file.
        constraints: they go along, and indexes do.
    """

    unit = "rows"

    def __init__(
        self,
        database: Database,
        table: str,
        window_rows: int,
        window_bytes: int,
        from_key: int = 0,
        *,
        key: tuple[str, ...] = (),
        apart: bool = True,
        constraints: bool = False,
    ) -> None:
        self.database = database
        self._table = table
        self._window_rows = window_rows
        self._window_bytes = window_bytes
        self._from_key = from_key
        self._key = key
        self._apart = apart
        self._constraints = constraints

    @cached_property
    def shape(self) -> SqlShape:
        """The table as it was at the first look.

        Raises:
            Refused: it cannot be read.
        """
        if self.database.path is not None:
            _refuse_no_file(self.database.path)
        with self.database.refusing(), self.database.connect() as connection:
            found = sql_shape.look(connection, self._table, str(self.database))
        if found.by_rowid and not self._apart:
            # What the target changes in the file changes what tells whether its hidden keys are still the same.
            found = replace(found, key=(), by_rowid=False)
        known = {column.name for column in found.columns}
        return replace(found, key=self._key) if not found.key and known.issuperset(self._key) else found

    @cached_property
    def _clause(self) -> sa.TableClause:
        return table_of(self.shape, AS_GIVEN if self.database.server is not None else None)

    @cached_property
    def reader(self) -> TableReader:
        """Reads its windows, here or in another process."""
        shape, database = self.shape, self.database
        names = tuple(column.name for column in shape.columns)
        fetch: Fetch = SqlFetch(database, shape)
        as_they_are: frozenset[int] = frozenset()
        if database.path is not None:
            as_they_are = frozenset(n for n, each in enumerate(shape.columns) if each.holds_text)
            fetch = SqliteFetch(database.path, database.inode, shape.schema, shape.name, names, shape.key)
        if database.server is not None:
            declared = tuple(column.declared for column in shape.columns)
            as_they_are = frozenset(
                n for n, kind in enumerate(declared) if kind.startswith(AS_THEY_ARE) and not kind.endswith("[]")
            )
            fetch = PostgresqlFetch(database.server, shape.schema, shape.name, names, declared, shape.key)
        return TableReader(fetch, names, tuple(column.carried for column in shape.columns), as_they_are)

    def inspect(self) -> SourceFacts:
        """Look at the table: its columns and key, how many rows, and some of them."""
        shape = self.shape
        if self._from_key and not shape.whole_number_key():
            raise Refused(
                f"--from-offset {self._from_key}: {self._table} in {self.database} has no key of one integer column, "
                "so there is no key to begin at"
            )
        with self.database.refusing(), self.database.connect() as connection:
            size = connection.execute(sa.select(sa.func.count()).select_from(self._clause)).scalar_one()
            self._refuse_null_keys(connection)
            extras, lost = extras_of(connection, shape)
        if not shape.key:
            self._refuse_large_stream(size)
        return SourceFacts(
            size=size,
            fingerprint=self.fingerprint(),
            sample=self._sample,
            columns={column.name: column.type for column in shape.columns},
            key=shape.primary_key,
            extras=extras if self._constraints else extras.without_constraints(),
            notes=(*(() if shape.key else (f"{self._table}: {ONE_STREAM}",)), *(lost if self._constraints else ())),
        )

    def _refuse_null_keys(self, connection: sa.Connection) -> None:
        """No range of keys holds a NULL: such rows would be passed over without a word."""
        if not self._key or self.shape.key != self._key or self.shape.primary_key == self._key:
            return
        key = [self._clause.c[name] for name in self._key]
        nulls = sa.select(sa.func.count()).select_from(self._clause).where(sa.or_(*(each.is_(None) for each in key)))
        if count := connection.execute(nulls).scalar_one():
            raise Refused(
                f"--key {','.join(self._key)}: NULL in {count:,} of the rows of {self._table} in {self.database}, and "
                "no range of keys would hold those: name columns without NULL"
            )

    def _refuse_large_stream(self, size: int) -> None:
        average = sum(map(_size, self._sample)) // max(1, len(self._sample))
        if size * average > MOST_STREAM_BYTES:
            raise Refused(
                f"source {self._table} in {self.database} has no unique key, and {size:,} rows are too many for one "
                "stream: name columns without NULL that tell its rows apart with --key"
            )

    def fingerprint(self) -> dict[str, Any]:
        """Columns and key; rows may change, and each window sees its own moment."""
        shape = self.shape
        found: dict[str, Any] = {
            "columns": [[column.name, column.declared] for column in shape.columns],
            "key": list(shape.key),
        }
        if shape.by_rowid:
            # VACUUM may number hidden keys anew, and this number grows with it.
            with self.database.refusing(), self.database.connect() as connection:
                found["schema_version"] = connection.exec_driver_sql("PRAGMA schema_version").scalar()
        return found

    def align(self, offset: int) -> int:
        """Windows are counted in rows from where the run begins."""
        return 0 if self._from_key == offset else offset

    def cut(
        self,
        number: int,
        lo: int,
        first_row: int,
        most_rows: int | None = None,
        end: int | None = None,
        behind: str | None = None,
    ) -> Window | None:
        """The next window after another; None when that one was open-ended or no row is left.

        Raises:
            Refused: a range of rows without its keys.
            SideLost: the database is gone.
        """
        last = keys.load(behind, len(self.shape.key), str(self.database)) if behind is not None else None
        if end is not None:
            raise Refused(
                f"--windows {lo}-{end}: rows of {self.database} are found by their keys, not by counting: name a "
                "file of `streamconsole runs history RUN --json`, or begin at a key with --from-offset"
            )
        if most_rows == 0 or (last is not None and last.open_ended):
            return None
        with self.database.losing():
            return self._next(number, lo, first_row, most_rows, last)

    def _next(self, number: int, lo: int, first_row: int, most: int | None, last: KeyRange | None) -> Window | None:
        left = self._beginning() if last is None else last.behind()
        rows = self._rows if most is None else min(self._rows, most)
        with self.database.connect() as connection:
            if not self.shape.key:
                count = self._count(connection, left, most)
                bounds = KeyRange(most=most)
                return Window(number, lo, lo + count, first_row, count, bounds.dump()) if count else None
            rows, found = self._fitting(connection, left, rows)
            if len(found) == 2:
                asked = replace(left, upto=found[0], most=rows if rows == most else None)
                return Window(number, lo, lo + rows, first_row, rows, asked.dump())
            count = self._count(connection, left, rows)
        if not count:
            return None
        # Open-ended, so that rows that come meanwhile are not passed over; but never more than were asked for.
        asked = replace(left, most=most)
        return Window(number, lo, lo + count, first_row, count, asked.dump())

    def _beginning(self) -> KeyRange:
        return KeyRange(first=(self._from_key,)) if self._from_key else KeyRange()

    def _fitting(self, connection: sa.Connection, left: KeyRange, rows: int) -> tuple[int, list[Key]]:
        """Rows of the next window, and its last key and the one after it: fewer where large rows lie together."""
        found = self._keys_at(connection, left, rows)
        while self._uneven and rows > 1:
            whole = replace(left, upto=found[0] if len(found) == 2 else None)
            size = self._bytes_in(connection, whole)
            if size <= self._window_bytes * 5 // 4:
                break
            rows = max(1, min(rows - 1, rows * self._window_bytes // size))
            found = self._keys_at(connection, left, rows)
        return rows, found

    def _bytes_in(self, connection: sa.Connection, asked: KeyRange) -> int:
        table = self._clause
        key = [table.c[name] for name in self.shape.key]
        large = [table.c[each.name] for each in self.shape.columns if each.type in LARGE]
        lengths = [sa.func.length(each if self.database.server is None else sa.cast(each, sa.Text)) for each in large]
        sizes = [sa.func.coalesce(sa.func.sum(length), 0) for length in lengths]
        return sum(map(int, connection.execute(sa.select(*sizes).where(asked.condition(key))).one()))

    def _keys_at(self, connection: sa.Connection, left: KeyRange, rows: int) -> list[Key]:
        """The last key of a window of so many rows and the one after it; fewer when there are fewer rows."""
        table = self._clause
        key = [table.c[name] for name in self.shape.key]
        statement = sa.select(*key).where(left.condition(key)).order_by(*key).offset(rows - 1).limit(2)
        return [tuple(row) for row in connection.execute(statement)]

    def _count(self, connection: sa.Connection, left: KeyRange, most: int | None) -> int:
        table = self._clause
        key = [table.c[name] for name in self.shape.key]
        some = sa.select(sa.literal(1)).select_from(table).where(left.condition(key)).limit(most)
        return int(connection.execute(sa.select(sa.func.count()).select_from(some.subquery())).scalar_one())

    # A sample ----------------------------------------------------------------------------------

    @cached_property
    def _rows(self) -> int:
        """Rows in a window: fewer than asked for when the sampled rows are large."""
        sizes = sorted(map(_size, self._sample))
        if not sizes:
            return self._window_rows
        # Between what is usual and what is large: a few large rows must not fill the memory.
        row = max(1, sum(sizes) // len(sizes), sizes[len(sizes) * 95 // 100] // 2)
        return max(1, min(self._window_rows, self._window_bytes // row))

    @cached_property
    def _uneven(self) -> bool:
        """Whether some rows are so large that a window of them would be too large: then each is measured."""
        if self.database.path is None and self.database.server is None:
            # Not every type of every database has a length.
            return False
        largest = max(map(_size, self._sample), default=0)
        return largest * self._rows > 2 * self._window_bytes and any(each.type in LARGE for each in self.shape.columns)

    @cached_property
    def _sample(self) -> list[dict[str, Any]]:
        """Rows from the start, and where keys are whole numbers a few from places spread over the table."""
        with self.database.refusing(), self.database.losing():
            first = self._some(KeyRange(most=SAMPLE_FIRST))
            # Large rows are looked at one by one, so to speak: all of the sample is held at once.
            room = SAMPLE_BYTES // max(1, sum(map(_size, first)) // max(1, len(first)))
            rows = self._some(KeyRange(most=max(SAMPLE_FIRST, min(SAMPLE_ROWS, room))))
            for key in self._spread() if self.shape.whole_number_key() else ():
                rows += self._some(KeyRange(first=(key,), most=max(1, min(SAMPLE_AT_PLACE, room // SAMPLE_PLACES))))
        return rows

    def _some(self, place: KeyRange) -> list[dict[str, Any]]:
        window = Window(1, 0, 0, 0, 0, place.dump())
        return [row for _, row in self.reader.rows(window, lambda *_: None)]

    def _spread(self) -> list[int]:
        table = self._clause
        key = table.c[self.shape.key[0]]
        with self.database.connect() as connection:
            # Each by itself is a seek; both at once would be a scan.
            low = connection.execute(sa.select(sa.func.min(key))).scalar()
            high = connection.execute(sa.select(sa.func.max(key))).scalar()
        if type(low) is not int or type(high) is not int:
            return []
        return [low + (high - low) * n // SAMPLE_PLACES for n in range(1, SAMPLE_PLACES)]


def _size(row: dict[str, Any]) -> int:
    return sum(len(value) if isinstance(value, str | bytes) else 8 for value in row.values())


def _refuse_no_file(path: Path) -> None:
    if path.is_dir():
        raise Refused(f"source {path} is a folder: name a file")
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except FileNotFoundError:
        raise Refused(f"source {path} does not exist") from None
    except OSError as error:
        raise Refused(f"source {path} cannot be read: {error.strerror}") from error
    if not head:
        raise Refused(f"source {path} is empty: no table was ever made in it")
