"""What a migration will do, worked out before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from streamconsole.engines.errors import Refused
from streamconsole.engines.migration.columns import ColumnType, infer, widen
from streamconsole.engines.migration.extras import Carrying
from streamconsole.engines.migration.locations import name_of, source_of, target_of
from streamconsole.engines.migration.pace import bytes_of
from streamconsole.engines.migration.settings import MigrationSettings, Range
from streamconsole.engines.migration.sources.source import Source, SourceFacts
from streamconsole.engines.migration.transforms.settings import types_of_columns
from streamconsole.engines.secrets import mask

KEYS = ("_id", "id")
"""Keys taken as primary key when every sampled row has a value for them."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What was found out.

    Args:
        name: what the run is called.
        settings: what was asked for.
        key: keys of the rows that make up the primary key.
        data: kept with the run: size, unit of offsets, fingerprint, and the target's schema.
    """

    name: str
    settings: MigrationSettings
    key: tuple[str, ...]
    data: dict[str, Any]


LATER = "later"
"""In the data of a plan: nothing is found out yet, it is planned when it begins."""


def plan_later(settings: MigrationSettings, name: str) -> Plan:
    """A plan for what cannot be looked at yet: what it reads or fills is made before it begins."""
    return Plan(name, settings, (), {LATER: True})


def plan(settings: MigrationSettings, name: str | None = None) -> Plan:
    """Look at both sides and work out what will be done. Blocking; writes nothing.

    Raises:
        Refused: it cannot be done.
    """
    if settings.tables is not None:
        raise Refused("tables of a whole database are planned one by one")
    source, target = source_of(settings), target_of(settings)
    facts = source.inspect()
    if facts.size != 0:
        _refuse_empty_ranges(settings, source)
    needs = needs_of(facts) | types_of_columns(settings.columns)
    key = _key(settings, facts, needs)
    if isinstance(target, Carrying):
        target.carry(facts.extras.renamed({key: key for key in needs}))
    data = {
        "size": facts.size,
        "unit": source.unit,
        "fingerprint": facts.fingerprint,
        "key": list(key),
        **({"notes": list(facts.notes)} if facts.notes else {}),
        **({"row_bytes": _row_bytes(facts)} if source.unit == "rows" and facts.sample else {}),
        **target.inspect(needs, key),
    }
    return Plan(name or name_of(settings), settings, key, data)


def _row_bytes(facts: SourceFacts) -> int:
    return max(1, sum(map(bytes_of, facts.sample)) // len(facts.sample))


def needs_of(facts: SourceFacts) -> dict[str, ColumnType]:
    """The type each key needs: what is declared and what the sample shows; where they clash, the sample is right."""
    needs = dict(facts.columns)
    for key, kind in infer(facts.sample).items():
        declared = needs.get(key, ColumnType.NULL)
        both = widen(declared, kind)
        needs[key] = kind if both is ColumnType.TEXT and declared is not ColumnType.TEXT else both
    return needs


def _refuse_empty_ranges(settings: MigrationSettings, source: Source) -> None:
    if settings.windows is None:
        if not source.cut(1, source.align(settings.from_offset), 0):
            raise Refused(f"--from-offset {settings.from_offset}: {mask(settings.source)} has no row from there on")
        return
    # All of them are looked at: one that is malformed is refused, wherever it stands.
    hold = [_holds_a_row(source, each) for each in settings.windows]
    if not any(hold):
        raise Refused(f"--windows: none of the ranges holds a row of {mask(settings.source)}")


def _holds_a_row(source: Source, asked: Range) -> bool:
    if asked.bounds is None:
        return source.cut(1, source.align(asked.lo), 0, None, source.align(asked.hi)) is not None
    if source.unit == "bytes":
        raise Refused(f"--windows: {asked.lo}-{asked.hi} is a range of keys, and the source is a file")
    # Nothing is asked for: it is just looked whether the source understands these bounds.
    source.cut(1, asked.lo, asked.first_row, 0, None, asked.bounds)
    return True


def _key(settings: MigrationSettings, facts: SourceFacts, needs: Mapping[str, ColumnType]) -> tuple[str, ...]:
    for key in settings.key:
        if key not in needs:
            known = ", ".join(list(needs)[:12])
            raise Refused(f"--key {key}: no row of {settings.source} looked at has it; there are {known}")
    if settings.key:
        return settings.key
    if facts.columns:
        return facts.key
    for key in KEYS:
        if all(row.get(key) is not None for row in facts.sample):
            return (key,)
    return ()
