"""What a migration has left behind, in a form that two of them can be compared in."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard


@dataclass(frozen=True, slots=True)
class Outcome:
    """Target and workspace after a run.

    Args:
        columns: declared type of each column of the target; empty for a file.
        rows: every row as (column, type of value, value), sorted by column, counted.
        rejects: refused rows, in order.
        kept: state and counts of each window by its first offset, as the workspace has them.
        proven: counts of each window by its first offset, as the target's ledger has them.
        state: state of the run.
        stays: rows that were there before and are there still.
    """

    columns: dict[str, str]
    rows: Counter[tuple[Any, ...]]
    rejects: list[tuple[Any, ...]]
    kept: dict[int, tuple[Any, ...]]
    proven: dict[int, tuple[int, ...]]
    state: str
    stays: int = 0


def outcome_of(target: Path, workspace: Path, run: str, stays: int = 0) -> Outcome:
    """Look at what a run has left."""
    columns, rows = table_rows(target, "t") if target.suffix == ".db" else file_rows(target)
    rejects, kept, state = _from_workspace(workspace, run)
    proven = _from_ledger(target, run) if target.suffix == ".db" else {}
    return Outcome(columns, rows, rejects, kept, proven, state, stays)


def differences(one: Outcome, other: Outcome) -> list[str]:
    """In what two outcomes differ, and in what `other` contradicts itself; empty when in nothing."""
    found = []
    if one.columns != other.columns:
        found.append(f"columns: {set(one.columns.items()) ^ set(other.columns.items())}")
    found += [f"row lost: {row}" for row in list((one.rows - other.rows).elements())[:5]]
    found += [f"row too many: {row}" for row in list((other.rows - one.rows).elements())[:5]]
    if one.rejects != other.rejects:
        found.append(f"rejects: {len(one.rejects)} and {len(other.rejects)}")
    if one.kept != other.kept:
        found.append(f"windows: {sorted(set(one.kept.items()) ^ set(other.kept.items()))[:6]}")
    if other.state != one.state:
        found.append(f"state: {one.state} and {other.state}")
    return found + contradictions(other)


def contradictions(outcome: Outcome) -> list[str]:
    """Where workspace, ledger and rows do not say the same."""
    found = []
    counts = {lo: values[2:] for lo, values in outcome.kept.items() if values[0] == "completed"}
    if outcome.proven and counts != {lo: values[1:] for lo, values in outcome.proven.items()}:
        found.append("the workspace's counts are not the target's")
    written = sum(values[1] for values in counts.values())
    if written + outcome.stays != outcome.rows.total():
        found.append(f"{written} rows counted, {outcome.rows.total() - outcome.stays} there")
    if sum(values[2] for values in counts.values()) != len(outcome.rejects):
        found.append("the rejects are not as many as counted")
    return found


def table_rows(path: Path, table: str) -> tuple[dict[str, str], Counter[tuple[Any, ...]]]:
    """Columns and rows of a table, each value with its type; the order of columns does not matter."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint")
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        columns = dict(connection.execute("SELECT name, type FROM pragma_table_info(?)", (table,)))
        names = sorted(columns)
        quoted = ['"' + name.replace('"', '""') + '"' for name in names]
        wanted = ", ".join(f"typeof({name}), {name}" for name in quoted)
        return columns, Counter((*names, *row) for row in connection.execute(f'SELECT {wanted} FROM "{table}"'))


def file_rows(path: Path) -> tuple[dict[str, str], Counter[tuple[Any, ...]]]:
    """The rows of a file, each with its number: their order counts, too."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    if path.suffix == ".zst":
        data = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()
    if ".csv" in path.name:
        header, *records = csv.reader(io.StringIO(data.decode(), newline=""))
        # Columns stand in the order in which they were first met: which window met them is left to chance.
        return dict.fromkeys(header, ""), Counter(
            (number, *sorted(zip(header, record, strict=True))) for number, record in enumerate(records)
        )
    if ".json" in path.suffixes:
        return {}, Counter(enumerate(map(json.dumps, json.loads(data))))
    lines = data.splitlines()
    for line in lines:
        json.loads(line)
    return {}, Counter(enumerate(lines))


def dump(target: Path, workspace: Path) -> tuple[list[str] | bytes, list[str]]:
    """Everything in target and workspace, but for the signs of life of processes."""
    left = _statements(target) if target.suffix == ".db" else target.read_bytes()
    return left, [line for line in _statements(workspace) if '"nodes"' not in line]


def _statements(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def _from_workspace(workspace: Path, run: str) -> tuple[list[tuple[Any, ...]], dict[int, tuple[Any, ...]], str]:
    with closing(sqlite3.connect(workspace)) as connection:
        rejects = connection.execute(
            'SELECT "window", line, "offset", "column", reason, row FROM rejects WHERE run = ? ORDER BY line, id',
            (run,),
        ).fetchall()
        kept = {
            lo: tuple(values)
            for lo, *values in connection.execute(
                "SELECT lo, state, hi, rows_read, rows_written, rejects FROM windows WHERE run = ?", (run,)
            )
        }
        (state,) = connection.execute("SELECT state FROM runs WHERE id = ?", (run,)).fetchone()
    return rejects, kept, state


def _from_ledger(target: Path, run: str) -> dict[int, tuple[int, ...]]:
    with closing(sqlite3.connect(target)) as connection:
        return {
            lo: tuple(values)
            for lo, *values in connection.execute(
                "SELECT lo, hi, rows_read, rows_written, rejects FROM _streamconsole_windows WHERE run = ?", (run,)
            )
        }
