"""The texts of CSV records, where no value and an empty text in quotes are told apart."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator

from streamconsole.engines.migration.sources.csv_dialect import MARK, CsvShape
from streamconsole.engines.migration.sources.files import MAX_LINE


def texts_of(record: bytes, shape: CsvShape) -> list[str | None] | None:
    """The texts of one record, None where there is no value; None when it is no record of that shape."""
    try:
        problem, fields = fields_of(record.decode(shape.encoding), shape)
    except UnicodeDecodeError:
        return None
    if problem is not None or fields is None:
        return None
    return [None if text == shape.null else text.removeprefix(MARK) for text in fields]


def fields_of(text: str, shape: CsvShape) -> tuple[str | None, list[str] | None]:
    """What is wrong with a record, or its fields; neither for a blank line."""
    if MARK in text:
        return f"NUL byte at character {text.index(MARK) + 1} of the record", None
    try:
        found = list(records_of(text, shape))
    except csv.Error as error:
        return f"not valid CSV: {error}", None
    width = len(shape.columns)
    if not found or found == [[]]:
        return (None, [""] if width == 1 and text else None)
    if len(found) > 1:
        return "not valid CSV: a quote without its other half", None
    if len(found[0]) != width:
        return f"{len(found[0])} values, the file has {width} columns", None
    return None, found[0]


def records_of(text: str, shape: CsvShape) -> Iterator[list[str]]:
    """The records of a text as they come; texts in quotes that read like no value are marked.

    Raises:
        csv.Error: while they come, where one is not sound.
    """
    return plain_records_of(_marked(text, shape), shape)


def plain_records_of(text: str, shape: CsvShape) -> Iterator[list[str]]:
    """The records of a text as they come.

    Raises:
        csv.Error: while they come, where one is not sound.
    """
    # The module's own limit is 128 KiB a value.
    csv.field_size_limit(MAX_LINE)
    return csv.reader(io.StringIO(text, newline=""), delimiter=shape.delimiter, strict=True)


def _marked(text: str, shape: CsvShape) -> str:
    """Texts in quotes that read like no value, marked: the csv module does not tell that they had quotes."""
    quoted, delimiter = f'"{shape.null}"', shape.delimiter
    # A look for each place where one may stand: the pattern below costs ten times as much.
    places = [f"{delimiter}{quoted}{delimiter}", f"{delimiter}{quoted}\n", f"\n{quoted}"]
    places += [f"{delimiter}{quoted}\r"] if "\r" in text else []
    whole = any(place in text for place in places)
    if not whole and not text.startswith(quoted) and not text.endswith(quoted):
        return text
    begins = re.compile(
        rf'(?:^|(?<=[{re.escape(shape.delimiter)}\n]))"((?:[^"]|"")*)"(?=[{re.escape(shape.delimiter)}\r\n]|\Z)'
    )
    return begins.sub(lambda match: f'"{MARK}{match[1]}"' if match[1] == shape.null else match[0], text)
