"""Rows through transforms, without a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from streamconsole.engines.migration.batch import Batch, DecodeTask, decode
from streamconsole.engines.migration.sources.ndjson import NdjsonReader, NdjsonSource
from streamconsole.engines.migration.targets.json_rows import JsonRows
from streamconsole.engines.migration.transforms.reader import TransformedReader, step_of, transformed
from streamconsole.engines.migration.transforms.settings import at_home
from streamconsole.engines.migration.transforms.spelling import parse
from streamconsole.engines.units import Window


def lines(path: Path, rows: list[Any]) -> Path:
    """A file of these rows; bytes go in as they are."""
    path.write_bytes(b"".join((row if isinstance(row, bytes) else orjson.dumps(row)) + b"\n" for row in rows))
    return path


def reader_of(path: Path, *transforms: str) -> TransformedReader:
    """Reads a file through transforms in their short spelling."""
    steps = tuple(step_of(at_home(parse(text), path.parent)) for text in transforms)
    return TransformedReader(NdjsonReader(path), steps)


def through(folder: Path, rows: list[Any], *transforms: str) -> tuple[list[dict[str, Any]], Batch]:
    """The rows that come out, and all else that became of the window."""
    path = lines(folder / "rows.ndjson", rows)
    window = Window(1, 0, path.stat().st_size, 0, len(rows))
    batch = decode(DecodeTask(reader_of(path, *transforms), JsonRows(), window))
    return [orjson.loads(line) for line in batch.payload.splitlines()], batch


def sample(folder: Path, rows: list[Any], *transforms: str) -> list[dict[str, Any]]:
    """The sample that a plan would see."""
    path = lines(folder / "rows.ndjson", rows)
    settings = [at_home(parse(text), folder) for text in transforms]
    return transformed(NdjsonSource(path, 1000, 2**20), settings).inspect().sample
