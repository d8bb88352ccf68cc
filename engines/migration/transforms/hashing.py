"""`hash`: values replaced by their hash, a column of a block at a time.

What is hashed is a value's canonical text in UTF-8: text as it is, true and false, numbers as a text
column keeps them, dates in ISO 8601 (UTC), objects and arrays as compact JSON. Binary values are
hashed as they are.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from operator import contains
from typing import Any

from streamconsole.engines.errors import Refused
from streamconsole.engines.migration.batch import Misfit, NotAlike
from streamconsole.engines.migration.columns import ColumnType
from streamconsole.engines.migration.targets.json_rows import dump
from streamconsole.engines.migration.targets.table_rows import text_of
from streamconsole.engines.migration.transforms.fields import refuse_unknown, visit
from streamconsole.engines.migration.transforms.settings import VARIABLE
from streamconsole.engines.migration.transforms.steps import Passage, Row, Rows

Digest = Callable[[bytes], str]


@dataclass(frozen=True, slots=True)
class Hash:
    """Hashes some fields.

    Args:
        fields: keys or paths.
        algorithm: of hashlib.
        key: `${NAME}` of the environment variable that holds the key; None for plain hashes.
    """

    fields: tuple[str, ...]
    algorithm: str = "sha256"
    key: str | None = None

    @property
    def hidden(self) -> Sequence[str]:
        """What is hashed is not to be seen."""
        return self.fields

    def check(self, sample: Sequence[Mapping[str, Any]]) -> None:
        """Whether the fields and the key are there."""
        refuse_unknown("transform hash", self.fields, sample)
        self.digest()

    def declared(self, columns: Mapping[str, ColumnType]) -> Mapping[str, ColumnType]:
        """A hash is text."""
        return {key: ColumnType.TEXT if key in self.fields else kind for key, kind in columns.items()}

    def digest(self) -> Digest:
        """The function from bytes to hexadecimal digits.

        Raises:
            Refused: the environment does not hold the key.
        """
        if self.key is None:
            # Made by name each time, a hash costs twice as much.
            make = getattr(hashlib, self.algorithm)
            if self.algorithm not in ("md5", "sha1"):
                return lambda value: make(value).hexdigest()
            # Where policy forbids them for security, they still tell values apart.
            return lambda value: make(value, usedforsecurity=False).hexdigest()
        secret, algorithm = secret_of(self.key), self.algorithm
        return lambda value: hmac.digest(secret, value, algorithm).hex()

    def alike(self, blocks: Iterator[list[Row]], passage: Passage) -> Iterator[list[Row]]:
        """Whole columns; a nested field row by row."""
        digest = self.digest()
        for rows in blocks:
            for name in self.fields:
                self._column(rows, name, digest)
            yield rows

    def _column(self, rows: list[Row], name: str, digest: Digest) -> None:
        try:
            if not all(map(contains, rows, repeat(name))):
                change = _change(digest)
                for row in rows:
                    visit(row, name, change)
                return
            values = [row[name] for row in rows]
            if set(map(type, values)) == {str}:
                hashes: list[Any] = list(map(digest, map(str.encode, values)))
            else:
                hashes = [None if value is None else digest(canonical(value)) for value in values]
        except Misfit:
            raise NotAlike from None
        for row, value in zip(rows, hashes, strict=True):
            row[name] = value

    def rows(self, rows: Rows, passage: Passage) -> Rows:
        """Row by row."""
        change = _change(self.digest())
        for index, row in rows:
            name = ""
            try:
                for name in self.fields:
                    visit(row, name, change)
            except Misfit as misfit:
                passage.refuse(index, name, str(misfit))
                continue
            yield index, row


def secret_of(key: str) -> bytes:
    """What the variable of `${NAME}` holds.

    Raises:
        Refused: nothing.
    """
    match = VARIABLE.fullmatch(key)
    value = os.environ.get(match.group(1), "") if match else ""
    if not value:
        raise Refused(f"transform hash: key {key}: the environment has no such variable, or an empty one")
    return value.encode()


def canonical(value: Any) -> bytes:
    """What is hashed of a value."""
    if type(value) is bytes:
        return value
    if type(value) in (dict, list):
        return dump(value)
    return text_of(value).encode()


def _change(digest: Digest) -> Callable[[Row, str], None]:
    def change(row: Row, key: str) -> None:
        if row[key] is not None:
            row[key] = digest(canonical(row[key]))

    return change
