"""What a migration would do, in more detail than its plan: for `--dry-run`. Writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from streamconsole.engines.migration.batch import Batch, DecodeTask, decode
from streamconsole.engines.migration.columns import ColumnType
from streamconsole.engines.migration.locations import source_of, target_of
from streamconsole.engines.migration.offsets import Position, after
from streamconsole.engines.migration.planning import Plan, needs_of, plan
from streamconsole.engines.migration.settings import MigrationSettings
from streamconsole.engines.migration.sources.source import Source
from streamconsole.engines.migration.targets.sqlite_table import MOST_COLUMNS, from_json, to_json
from streamconsole.engines.migration.transforms.settings import types_of_columns
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
        columns: of the target, each with `key`, `name` and `type`.
    """

    plan: Plan
    windows: list[Window]
    count: int | None
    exact: bool
    first: Batch
    columns: list[dict[str, Any]]


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
    return Preview(planned, windows, count, exact, first, _columns(settings, source, planned))


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
    """The first window, fitted as often as columns must be added or widened for it."""
    target, schema = target_of(settings), planned.data.get("schema")
    while True:
        if schema is not None:
            target.use(schema)
        batch = decode(DecodeTask(source.reader, target.writer().normalizer, window))
        if not batch.needs:
            return batch
        schema = _widened(schema or {}, batch.needs)


def _widened(schema: dict[str, Any], needs: Mapping[str, ColumnType]) -> dict[str, Any]:
    if "primary_key" in schema:
        return to_json(from_json(schema).widened(needs, MOST_COLUMNS))
    # A file's columns have a name and nothing else.
    return schema | {"columns": [*schema["columns"], *(key for key in needs if key not in schema["columns"])]}


def _columns(settings: MigrationSettings, source: Source, planned: Plan) -> list[dict[str, Any]]:
    """Columns of the table that is filled; for a file those that its rows show."""
    schema = planned.data.get("schema", {})
    if "primary_key" in schema:
        return list(schema["columns"])
    found = needs_of(source.inspect()) | types_of_columns(settings.columns)
    return [{"key": key, "name": key, "type": found.get(key, ColumnType.TEXT)} for key in schema.get("columns", found)]


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
        "columns": found.columns,
        "notes": list(data.get("notes", ())),
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
