"""`--dry-run`: what would be done, and nothing is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from streamconsole import exit_codes
from streamconsole.cli.options import Common
from streamconsole.cli.output import print_json, say
from streamconsole.engines.errors import Refused, SideLost
from streamconsole.engines.secrets import mask
from streamconsole.wording import counted

if TYPE_CHECKING:
    from streamconsole.chain import Order
    from streamconsole.engines.migration.settings import MigrationSettings


def dry_run_of(
    asked: Common, migrations: Sequence[tuple[str | None, MigrationSettings]], order: Order | None = None
) -> int:
    """Print what each migration would do; gives the exit status: 0, or 2 when one of them would be refused.

    What reads from a migration that it waits for (by `order`) is planned when that is done: nothing more can be told.
    """
    from streamconsole.chain import made_on_the_way
    from streamconsole.cli.working import expanded_as_far_as_possible

    later = made_on_the_way(migrations, order or {})
    found_tables, refused = expanded_as_far_as_possible(tuple(each for each in migrations if each[0] not in later))
    if not asked.json:
        for reason in refused:
            say(f"would be refused: {mask(reason)}")
    for name, settings in found_tables:
        try:
            _say_found(asked, name, settings)
        except (Refused, SideLost, OSError) as error:
            refused.append(mask(str(error)))
            if not asked.json:
                say(f"{name or settings.target}: would be refused: {refused[-1]}")
    for name, settings in migrations:
        if name in later:
            _say_later(asked, str(name), settings, later[str(name)])
    status = exit_codes.REFUSED if refused else exit_codes.DONE
    if asked.json:
        word = "refused" if refused else "planned"
        summary: dict[str, Any] = {"event": "summary", "status": word, "exit_code": status, "runs": []}
        print_json([summary | ({"refused": refused} if refused else {})])
    return status


def _say_found(asked: Common, name: str | None, settings: MigrationSettings) -> None:
    from streamconsole.engines.migration.preview import facts, preview

    sides = {"source": mask(settings.source), "target": mask(settings.target)}
    found = sides | facts(preview(settings, name))
    if asked.json:
        print_json([_event() | found])
    else:
        for line in _lines(found):
            say(line)


def _say_later(asked: Common, name: str, settings: MigrationSettings, makers: Sequence[str]) -> None:
    sides = {"source": mask(settings.source), "target": mask(settings.target)}
    if asked.json:
        print_json([_event() | {"name": name, **sides, "planned_when_done": list(makers)}])
        return
    say(f"{name}: {sides['source']}, made by {' and '.join(makers)}: planned when that is done")
    say(f"  target: {sides['target']}, mode {settings.mode}")


def _event() -> dict[str, Any]:
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"event": "MigrationPlanned", "at": at, "engine": "migration"}


def _lines(found: dict[str, Any]) -> Iterator[str]:
    size = "size not known" if found["size"] is None else f"{found['size']:,} {found['unit']}"
    yield f"{found['name']}: {found['source']} ({size})"
    for note in found["notes"]:
        yield f"  {note}"
    for number, transform in enumerate(found["transforms"], 1):
        about = {name: value for name, value in transform.items() if name != "kind"}
        yield f"  transform {number}: {transform['kind']} {_short(about)}"
    present = "present" if found["table_present"] else "made"
    yield f"  target: {found['target']}, {present}, mode {found['mode']}"
    for column in found["columns"]:
        key = ", key" if column["key"] in found["key"] else ""
        renamed = f" (from {column['key']})" if column["key"] != column["name"] else ""
        yield f"    {column['name']}: {column['type']}{key}{renamed}"
    windows = "an unknown number of windows" if found["windows"] is None else counted(found["windows"], "window")
    yield f"  {'' if found['windows_exact'] else 'about '}{windows}"
    for window in found["first_windows"]:
        rows = f", {counted(window['rows'], 'row')}" if window["rows"] else ""
        yield f"    window {window['window']}: {window['lo']:,}-{window['hi']:,}{rows}"
    first = found["first_window"]
    left_out = first["dropped"]
    changed = f", {abs(left_out):,} {'dropped' if left_out > 0 else 'added'} by transforms" if left_out else ""
    yield (
        f"  the first window: {first['rows_read']:,} read, {first['rows_fitted']:,} fitted, "
        f"{first['rejects']:,} refused{changed}"
    )
    for each in first["refused"]:
        column = f", {each['column']}" if each["column"] else ""
        yield f"    line {each['line']}{column}: {each['reason']}"


def _short(about: dict[str, Any]) -> str:
    parts = []
    for name, value in about.items():
        if isinstance(value, list):
            text = " ".join(map(str, value)) if name == "command" else ", ".join(map(str, value))
        elif isinstance(value, dict):
            text = ", ".join(f"{key}={each}" for key, each in value.items())
        else:
            text = str(value)
        parts.append(f"{name} {text}")
    return "; ".join(parts)
