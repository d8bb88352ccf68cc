"""What a migration would do, in more detail than its plan: for `--dry-run`. Writes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from streamconsole.engines.migration.batch import Batch, DecodeTask, decode
from streamconsole.engines.migration.columns import Schema
from streamconsole.engines.migration.locations import source_of
from streamconsole.engines.migration.offsets import Position, after
from streamconsole.engines.migration.planning import Plan, plan
from streamconsole.engines.migration.settings import MigrationSettings
from streamconsole.engines.migration.sources.source import Source
from streamconsole.engines.migration.targets.json_rows import JsonRows
from streamconsole.engines.migration.targets.sqlite_table import MOST_COLUMNS, from_json
from streamconsole.engines.migration.targets.table_rows import TableRows
from streamconsole.engines.units import Window

COUNTED = 200
"""Windows that are cut to be counted; more of them are estimated."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What would be done.

    Args:
        plan: what was found out.
        windows: the first of them, as they would be cut.
        count: windows in all; None when that cannot be told.
        exact: whether `count` was counted, not estimated.
        first: what would become of the rows of the first window.
    """

    plan: Plan
    windows: list[Window]
    count: int | None
    exact: bool
    first: Batch


def preview(settings: MigrationSettings, name: str | None = None) -> Preview:
    """Look at both sides, cut windows, and fit the first one. Blocking; writes nothing.

    Raises:
        Refused: it cannot be done.
    """
    planned = plan(settings, name)
    source = source_of(settings)
    windows, exact = _cut(settings, source, planned.data["size"])
    count: int | None = len(windows)
    if not exact:
        count = _estimated(windows, planned.data["size"], settings)
    # A table may be there and hold nothing.
    first = _fitted(settings, source, planned, windows[0]) if windows else Batch(None, [], 0)
    return Preview(planned, windows, count, exact, first)


def _cut(settings: MigrationSettings, source: Source, size: int | None) -> tuple[list[Window], bool]:
    """Windows from the beginning, and whether these are all."""
    windows: list[Window] = []
    if settings.windows is not None:
        for each in settings.windows:
            if each.bounds is not None:
                windows.append(Window(len(windows) + 1, *each[:3], each.hi - each.lo, each.bounds))
                continue
            lo, hi = source.align(each.lo), source.align(each.hi)
            windows.append(Window(len(windows) + 1, lo, hi, each.first_row, 0))
        return windows, True
    position = Position(1, source.align(settings.from_offset), 0)
    end = size if source.unit == "bytes" else None
    while len(windows) < COUNTED:
        most = None if settings.limit is None else settings.limit - position.row
        if most is not None and most <= 0:
            return windows, True
        window = source.cut(position.number, position.offset, position.row, most, end, position.behind)
        if window is None:
            return windows, True
        windows.append(window)
        position = after(windows)
    return windows, False


def _estimated(windows: list[Window], size: int | None, settings: MigrationSettings) -> int | None:
    done = windows[-1].hi - windows[0].lo
    by_size = None if size is None or not done else -(-(size - windows[0].lo) * len(windows) // done)
    rows = sum(window.rows for window in windows)
    by_limit = None if settings.limit is None or not rows else -(-settings.limit * len(windows) // rows)
    return min((count for count in (by_size, by_limit) if count is not None), default=None)


def _fitted(settings: MigrationSettings, source: Source, planned: Plan, window: Window) -> Batch:
    """The first window, fitted as often as columns must be widened for it."""
    schema: Schema | None = from_json(planned.data["schema"]) if "schema" in planned.data else None
    while True:
        normalizer = JsonRows() if schema is None else TableRows(schema, MOST_COLUMNS)
        batch = decode(DecodeTask(source.reader, normalizer, window))
        if not batch.needs or schema is None:
            return batch
        schema = schema.widened(batch.needs, MOST_COLUMNS)


def facts(found: Preview) -> dict[str, Any]:
    """A preview as plain data, but for the addresses of both sides."""
    data, settings = found.plan.data, found.plan.settings
    size = found.plan.data["size"]
    return {
        "name": found.plan.name,
        "size": size,
        "unit": data["unit"],
        "key": list(found.plan.key),
        "mode": settings.mode,
        "columns": data.get("schema", {}).get("columns", []),
        "table_present": bool(data.get("schema", {}).get("fixed", False)),
        "transforms": [_told(each.model_dump(mode="json")) for each in settings.transform],
        "windows": found.count,
        "windows_exact": found.exact,
        "first_windows": [
            {"window": each.number, "lo": each.lo, "hi": each.hi, "rows": each.rows} for each in found.windows[:5]
        ],
        "first_window": {
            "rows_read": found.first.rows_read,
            "rows_fitted": len(found.first.indexes),
            "rejects": len(found.first.rejects),
            "dropped": found.first.rows_read - len(found.first.indexes) - len(found.first.rejects),
            "refused": [
                {"line": each.line, "column": each.column, "reason": each.reason} for each in found.first.rejects[:20]
            ],
        },
    }


def _told(transform: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in transform.items() if value is not None and name != "folder"}
