"""Rows as they are once the transforms are done: a reader and a source like any other."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from streamconsole.engines.errors import Refused
from streamconsole.engines.migration.batch import Counts, Reader, Refuse
from streamconsole.engines.migration.sources.source import Source, SourceFacts
from streamconsole.engines.migration.transforms.casting import Cast
from streamconsole.engines.migration.transforms.child_program import ProgramFailed
from streamconsole.engines.migration.transforms.function import Function
from streamconsole.engines.migration.transforms.hashing import Hash, secret_of
from streamconsole.engines.migration.transforms.program import Program
from streamconsole.engines.migration.transforms.settings import (
    CastSettings,
    ColumnSettings,
    DropSettings,
    ExecSettings,
    HashSettings,
    PythonSettings,
    RenameSettings,
    TransformSettings,
)
from streamconsole.engines.migration.transforms.shaping import Drop, Rename
from streamconsole.engines.migration.transforms.steps import Passage, Row, Rows, Step
from streamconsole.engines.secrets import HIDDEN
from streamconsole.engines.units import Window


@dataclass(frozen=True, slots=True)
class TransformedReader:
    """Reads windows of a source and passes their rows through transforms.

    Args:
        reader: the source's own.
        steps: the transforms, in order.
    """

    reader: Reader
    steps: tuple[Step, ...]

    def begin(self, counts: Counts) -> Reader:
        """This reader for one window, counting."""
        return _OneWindow(self, counts)

    def rows(self, window: Window, refuse: Refuse) -> Iterator[tuple[int, Row]]:
        """The rows that come out of the transforms."""
        return self.begin(Counts()).rows(window, refuse)

    def alike(self, window: Window) -> Iterator[list[Row]]:
        """The same, many at once, as long as there is one for each of the source."""
        return self.begin(Counts()).alike(window)

    def locate(self, window: Window, indexes: set[int]) -> dict[int, tuple[int, str]]:
        """Where rows stand in the source; without the values that a transform takes out of sight."""
        hidden = [name.rpartition(".")[2] for step in self.steps for name in step.hidden]
        found = self.reader.locate(window, indexes)
        return {index: (offset, _without(text, hidden)) for index, (offset, text) in found.items()}


class _OneWindow:
    """A reader for one window: what its steps keep and count is its own."""

    def __init__(self, whole: TransformedReader, counts: Counts) -> None:
        self._whole = whole
        self._counts = counts
        self._kept: dict[int, Any] = {}

    def rows(self, window: Window, refuse: Refuse) -> Iterator[tuple[int, Row]]:
        counts = self._counts

        def refused(index: int, column: str | None, reason: str) -> None:
            counts.read += 1
            refuse(index, column, reason)

        def counted() -> Rows:
            for each in self._whole.reader.rows(window, refused):
                counts.read += 1
                yield each

        rows: Rows = counted()
        passage = Passage(window, refuse, counts, self._kept)
        for step in self._whole.steps:
            rows = step.rows(rows, passage)
        return rows

    def alike(self, window: Window) -> Iterator[list[Row]]:
        blocks = self._whole.reader.alike(window)
        passage = Passage(window, _nobody, Counts(), self._kept)
        for step in self._whole.steps:
            blocks = step.alike(blocks, passage)
        return blocks

    def locate(self, window: Window, indexes: set[int]) -> dict[int, tuple[int, str]]:
        return self._whole.locate(window, indexes)


def _nobody(index: int, column: str | None, reason: str) -> None:
    raise AssertionError(f"the quick way refuses nothing, but {index} ({column}: {reason})")


class TransformedSource:
    """A source whose rows pass through transforms; in all else the source itself.

    Args:
        source: where rows come from.
        steps: the transforms, in order.
    """

    def __init__(self, source: Source, steps: Sequence[Step]) -> None:
        self._source = source
        self.unit = source.unit
        self._steps = tuple(steps)

    @property
    def reader(self) -> TransformedReader:
        """Reads its windows, here or in another process."""
        return TransformedReader(self._source.reader, self._steps)

    def inspect(self) -> SourceFacts:
        """Look at the source, and at what the transforms make of its sample.

        Raises:
            Refused: it cannot be read, or a transform cannot be done.
        """
        facts = self._source.inspect()
        sample = self._transformed(facts.sample) if facts.sample else []
        columns = facts.columns
        names: dict[str, str] = {key: key for key in (*facts.columns, *facts.key)}
        for step in self._steps:
            columns = step.declared(columns)
            if isinstance(step, Rename):
                names = {key: step.names.get(name, name) for key, name in names.items()}
        kept = {key: name for key, name in names.items() if name in columns}
        return replace(
            facts,
            sample=sample,
            fingerprint=self._with_keys(facts.fingerprint),
            columns=columns,
            key=tuple(kept[key] for key in facts.key) if all(key in kept for key in facts.key) else (),
            extras=facts.extras.renamed(kept),
        )

    def fingerprint(self) -> dict[str, Any]:
        """What tells whether source, and keys of hashes, are still the same.

        Raises:
            Refused: a program or a function is not there any more.
        """
        for step in self._steps:
            if isinstance(step, Program | Function):
                step.check(())
        return self._with_keys(self._source.fingerprint())

    def align(self, offset: int) -> int:
        """As the source does."""
        return self._source.align(offset)

    def cut(self, *args: Any, **named: Any) -> Window | None:
        """As the source does."""
        return self._source.cut(*args, **named)

    def __getattr__(self, name: str) -> Any:
        if name == "_source":
            raise AttributeError(name)
        return getattr(self._source, name)

    def owned(self, owner: str, stderr: Path) -> TransformedSource:
        """The same for one owner: who ends its programs, and the folder that keeps what they say on stderr."""
        steps = [replace(s, owner=owner, stderr=stderr) if isinstance(s, Program) else s for s in self._steps]
        return TransformedSource(self._source, steps)

    def _with_keys(self, fingerprint: dict[str, Any]) -> dict[str, Any]:
        keys = {step.key for step in self._steps if isinstance(step, Hash) and step.key is not None}
        marks = {f"key {key}": hmac.digest(secret_of(key), b"streamconsole", "sha256").hex()[:16] for key in keys}
        return fingerprint | marks

    def _transformed(self, sample: list[Row]) -> list[Row]:
        reasons: list[str] = []
        rows = sample

        def refuse(index: int, column: str | None, reason: str) -> None:
            reasons.append(reason)

        passage = Passage(Window(0, 0, 0, 0, len(sample)), refuse)
        for step in self._steps:
            step.check(rows)
            # What a program fails on is a window's matter: columns are then taken from what it was given.
            given = [dict(row) for row in rows]
            try:
                rows = [row for _, row in step.rows(iter(enumerate(rows)), passage)]
            except ProgramFailed:
                rows = given
            if not rows:
                why = f": {reasons[0]}" if reasons else ""
                raise Refused(f"transforms leave none of the {len(sample):,} rows looked at{why}")
        return rows


def transformed(
    source: Source, transforms: Sequence[TransformSettings], columns: Mapping[str, ColumnSettings] | None = None
) -> Source:
    """A source with its transforms, and then its map of columns; itself when there are none."""
    steps = [step_of(each) for each in transforms] + steps_of_columns(columns or {})
    return TransformedSource(source, steps) if steps else source


def steps_of_columns(columns: Mapping[str, ColumnSettings]) -> list[Step]:
    """The transforms that do what a map of columns asks for."""
    kept = {name: column for name, column in columns.items() if not column.drop}
    dropped = tuple(name for name in columns if name not in kept)
    types = {name: column.type for name, column in kept.items() if column.type}
    names = {name: column.rename for name, column in kept.items() if column.rename}
    steps: list[Step] = []
    steps += [Drop(dropped, "columns")] if dropped else []
    steps += [Cast(types, "columns")] if types else []
    steps += [Rename(names, "columns")] if names else []
    return steps


def owned(source: Source, owner: str, stderr: Path) -> Source:
    """A source for one owner, where its transforms have one."""
    return source.owned(owner, stderr) if isinstance(source, TransformedSource) else source


def step_of(settings: TransformSettings) -> Step:
    """The transform that settings ask for."""
    match settings:
        case HashSettings():
            return Hash(settings.fields, settings.algorithm, settings.key)
        case RenameSettings():
            return Rename(dict(settings.names))
        case DropSettings():
            return Drop(settings.fields)
        case CastSettings():
            return Cast(dict(settings.types))
        case PythonSettings():
            return Function(settings.function, settings.folder.absolute())
        case ExecSettings():
            return Program(settings.command, settings.folder.absolute(), settings.timeout)


def _without(text: str, hidden: Sequence[str]) -> str:
    """JSON text, even when it is cut or broken, without the values of some keys; other text is hidden whole."""
    if hidden and not re.match(r'\s*\{\s*(?:"|\}|\Z)', text):
        # A record of CSV does not say which of its values are whose.
        return HIDDEN
    for name in hidden:
        value = r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[^,}\]\s][^,}\]]*'
        text = re.sub(rf'("{re.escape(name)}"\s*:\s*)(?:{value})', rf'\1"{HIDDEN}"', text, flags=re.DOTALL)
    return text
