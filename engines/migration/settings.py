"""What a migration is asked to do."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from streamconsole.engines.migration.transforms.settings import ColumnMap, TransformSettings
from streamconsole.engines.rate import canonical
from streamconsole.engines.retry import Backoff, RetryPolicy

MIB = 2**20


class Mode(StrEnum):
    """What is done about rows that the target holds already.

    `insert`: there must be none. `append`: they stay, and a key that is there already is refused.
    `upsert`: one with the same key is overwritten. `replace`: all are, in one moment, once the new ones are complete.
    """

    INSERT = "insert"
    APPEND = "append"
    UPSERT = "upsert"
    REPLACE = "replace"


class RetrySettings(BaseModel):
    """How a window that failed for a passing reason is tried again; pauses in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    attempts: Annotated[int, Field(ge=1, le=1000)] = 3
    backoff: Backoff = Backoff.EXPONENTIAL
    delay: Annotated[float, Field(ge=0, le=3600)] = 0.5
    cap: Annotated[float, Field(ge=0, le=3600)] = 30.0
    jitter: Annotated[float, Field(ge=0, le=1)] = 0.2

    def policy(self) -> RetryPolicy:
        """The policy these settings describe."""
        return RetryPolicy(self.attempts, self.backoff, self.delay, self.cap, self.jitter)


class Range(NamedTuple):
    """A range to move, and nothing else.

    Args:
        lo: first offset, in the source's unit.
        hi: offset after its end.
        first_row: rows of the source before it, where that is known.
        bounds: the keys it begins and ends at, as `runs history` gives them.
    """

    lo: int
    hi: int
    first_row: int = 0
    bounds: str | None = None


class MigrationSettings(BaseModel):
    """One migration.

    Args:
        source: where rows come from (a path or URL).
        target: where they go; the fragment names the table.
        workers: windows in hand at once.
        window_rows: rows in a window, at most.
        window_bytes: bytes in a window, at most.
        limit: rows to move, at most; None for all.
        from_offset: where to begin (bytes in a file, rows in a generated source).
        windows: just these ranges; None for the whole source.
        key: keys of the rows that make up the primary key; empty for `_id` or `id`, where there is one.
        max_rejects: refused rows above which the run stops; None for no limit.
        rate: rows or bytes of the source a second, at most (`5000 rows/s`, `20 MiB/s`); None for no limit.
        mode: what is done about rows that the target holds already.
        delimiter: between two values of CSV; found out in a source, a comma in a target (a tab in .tsv).
        header: whether the first record of a CSV source names its columns; found out when None.
        encoding: of a CSV source.
        null: what stands for no value in CSV; empty for nothing at all (an empty text stands in quotes).
        create: make the table, or columns it lacks; else it must be there with all of them.
        pool: where windows are moved: `threads` of this process, or child `processes`; None for what pays.
        transform: what happens to the rows, in order.
        columns: what becomes of single columns after that, by their keys.
        tables: tables of a whole database, in place of fragments: `all`, or their names.
        constraints: indexes and constraints of the source's table are made in the target, too; so it is with `tables`.
        verify: when it is completed, compare both sides.
        writers: child processes that read, fit and write windows; 0 for threads of this process; None for as many
            as pay for input of this size.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    target: str
    workers: Annotated[int, Field(ge=1, le=256)] = 4
    window_rows: Annotated[int, Field(ge=1, le=1_000_000)] = 5_000
    window_bytes: Annotated[int, Field(ge=4096, le=256 * MIB)] = 8 * MIB
    limit: Annotated[int, Field(ge=1)] | None = None
    from_offset: Annotated[int, Field(ge=0)] = 0
    windows: tuple[Range, ...] | None = None
    key: tuple[str, ...] = ()
    max_rejects: Annotated[int, Field(ge=0)] | None = None
    rate: Annotated[str | None, BeforeValidator(canonical)] = None
    mode: Mode = Mode.INSERT
    delimiter: Annotated[str, Field(min_length=1, max_length=1, pattern=r"^[,;\t| :]$")] | None = None
    header: bool | None = None
    encoding: Literal["utf-8", "latin-1", "cp1252"] = "utf-8"
    null: Annotated[str, Field(max_length=40, pattern=r'^[^"\r\n,;\t|]*$')] = ""
    create: bool = True
    tables: Literal["all"] | tuple[str, ...] | None = None
    constraints: bool = False
    verify: bool = False
    writers: Annotated[int, Field(ge=0, le=64)] | None = None
    pool: Literal["threads", "processes"] | None = None
    transform: tuple[TransformSettings, ...] = ()
    columns: ColumnMap = {}
    retry: RetrySettings = RetrySettings()

    @model_validator(mode="after")
    def _one_pool(self) -> Self:
        if self.pool == "threads" and self.writers:
            raise ValueError('pool = "threads" and writers contradict each other: writers are processes')
        if self.pool == "processes" and self.writers == 0:
            raise ValueError('pool = "processes" needs at least one of writers')
        return self
