"""The runbook: a TOML file that says what is to be done, checked on load.

Paths in it are relative to its own folder; `${NAME}` reads the environment.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streamconsole.chain import WrongOrder, in_order, order_of
from streamconsole.console_settings import ConsoleSettings, WorkspaceSettings
from streamconsole.engines.errors import Refused
from streamconsole.engines.migration.locations import absolute
from streamconsole.engines.migration.settings import MigrationSettings
from streamconsole.engines.migration.transforms.settings import (
    CastSettings,
    ColumnSettings,
    DropSettings,
    ExecSettings,
    HashSettings,
    PythonSettings,
    RenameSettings,
    at_home,
)
from streamconsole.engines.secrets import mask
from streamconsole.engines.transfer.planning import absolute as absolute_transfer
from streamconsole.engines.transfer.settings import TransferSettings
from streamconsole.queue_book import NamedQueue

DEFAULT_NAME = "streamconsole.toml"

VARIABLE = re.compile(r"\$\{([^}]*)\}")

KEPT_AS_WRITTEN = re.compile(r"\.transform\[\d+\]\.key$")
"""What is looked up when it is needed, and never kept: the keys of hashes."""


TRANSFORMS: Mapping[str, type[BaseModel]] = {
    "hash": HashSettings,
    "rename": RenameSettings,
    "drop": DropSettings,
    "cast": CastSettings,
    "python": PythonSettings,
    "exec": ExecSettings,
}


class NamedMigration(MigrationSettings):
    """A migration of a runbook, and what must be done before it."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    after: tuple[str, ...] = ()

    def settings(self) -> MigrationSettings:
        """What it is asked to do, without its name and its place."""
        return MigrationSettings.model_validate(self.model_dump(exclude={"name", "after"}))


class NamedTransfer(TransferSettings):
    """A transfer of a runbook."""

    name: Annotated[str, Field(min_length=1, max_length=200)]

    def settings(self) -> TransferSettings:
        """What it is asked to do, without its name."""
        return TransferSettings.model_validate(self.model_dump(exclude={"name"}))


class Runbook(BaseModel):
    """What an operator wants done, from a file; `verify` holds for migrations that say nothing of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    workspace: WorkspaceSettings = WorkspaceSettings()
    console: ConsoleSettings = ConsoleSettings()
    verify: bool = False
    migration: tuple[NamedMigration, ...] = ()
    transfer: tuple[NamedTransfer, ...] = ()
    queue: tuple[NamedQueue, ...] = ()


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Runbook:
    """Read and check a runbook.

    Raises:
        Refused: it cannot be read, or a key in it is wrong; the message names file and key.
    """
    data = _expand(_parse(path), path, "", environ)
    try:
        runbook = Runbook.model_validate(data)
    except ValidationError as error:
        raise Refused(_explain(path, error)) from None
    _refuse_equal_names(path, runbook)
    return _resolved(_ordered(path, runbook), path.absolute().parent)


def _parse(path: Path) -> dict[str, Any]:
    if path.is_dir():
        raise Refused(f"runbook {path} is a folder: name a .toml file")
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise Refused(f"runbook {path} does not exist") from None
    except OSError as error:
        raise Refused(f"runbook {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise Refused(f"runbook {path} is not UTF-8 (byte {error.start + 1})") from None
    except tomllib.TOMLDecodeError as error:
        raise Refused(f"runbook {path} is not valid TOML: {error}") from None


def _expand(value: Any, path: Path, key: str, environ: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _expand(item, path, f"{key}.{name}".lstrip("."), environ) for name, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, path, f"{key}[{n}]", environ) for n, item in enumerate(value)]
    if not isinstance(value, str) or KEPT_AS_WRITTEN.search(key):
        return value

    def replace(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in environ:
            raise Refused(f"runbook {path}: {key}: the environment has no {name}")
        return environ[name]

    return VARIABLE.sub(replace, value)


def _explain(path: Path, error: ValidationError) -> str:
    problems = []
    for detail in error.errors():
        place = _key_path(_without_kind(detail["loc"]))
        if detail["type"].startswith("union_tag"):
            problems.append(f"{place}.kind must be one of {', '.join(TRANSFORMS)}")
        elif detail["loc"][-1:] == ("key",):
            # What was written in the place of a variable's name may be the secret itself.
            problems.append(f"{place}: {detail['msg'].removeprefix('Value error, ')}")
        elif detail["type"] == "extra_forbidden":
            problems.append(f"{place} is not known{_closest(detail['loc'])}")
        elif detail["type"] == "missing":
            problems.append(f"{place} is missing")
        else:
            found = mask(repr(detail["input"]))[:60]
            told = detail["msg"].removeprefix("Value error, ")
            problems.append(f"{place}: {told[:1].lower()}{told[1:]}, not {found}")
    more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
    return f"runbook {path}: {'; '.join(problems[:3])}{more}"


def _key_path(location: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")


def _without_kind(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """A place in the file: the kind of a transform is no part of the way to its keys."""
    if len(location) > 4 and location[2] == "transform":
        return (*location[:4], *location[5:])
    return location


def _closest(location: tuple[int | str, ...]) -> str:
    model: type[BaseModel] = {
        "migration": NamedMigration,
        "transfer": NamedTransfer,
        "queue": NamedQueue,
        "console": ConsoleSettings,
        "workspace": WorkspaceSettings,
    }.get(str(location[0]), Runbook)  # type: ignore[assignment]
    if len(location) > 4 and location[2] == "transform":
        model = TRANSFORMS[str(location[4])]
    elif len(location) > 4 and location[2] == "columns":
        model = ColumnSettings
    close = difflib.get_close_matches(str(location[-1]), model.model_fields, 1)
    return f": did you mean {close[0]}?" if close else ""


def _refuse_equal_names(path: Path, runbook: Runbook) -> None:
    tables = {
        "migration": [each.name for each in runbook.migration],
        "transfer": [each.name for each in runbook.transfer],
        "queue": [each.name for each in runbook.queue],
    }
    for table, names in tables.items():
        for number, name in enumerate(names):
            if name in names[:number]:
                raise Refused(f"runbook {path}: {table}[{number}].name: {name!r} stands twice")


def _ordered(path: Path, runbook: Runbook) -> Runbook:
    """With each migration behind what it waits for."""
    try:
        migrations = in_order(runbook.migration, order_of(runbook.migration))
    except WrongOrder as error:
        raise Refused(f"runbook {path}: {error}") from None
    return runbook.model_copy(update={"migration": migrations})


def _resolved(runbook: Runbook, folder: Path) -> Runbook:
    """With every path absolute, so that a run can be resumed from anywhere."""
    migrations = tuple(
        migration.model_copy(
            update={
                "source": absolute(migration.source, folder),
                "target": absolute(migration.target, folder),
                "transform": tuple(at_home(each, folder) for each in migration.transform),
                "verify": migration.verify if "verify" in migration.model_fields_set else runbook.verify,
            }
        )
        for migration in runbook.migration
    )
    transfers = tuple(absolute_transfer(transfer, folder) for transfer in runbook.transfer)
    url = absolute(runbook.workspace.url, folder) if runbook.workspace.url else None
    return runbook.model_copy(
        update={
            "migration": migrations,
            "transfer": transfers,
            "workspace": runbook.workspace.model_copy(update={"url": url}),
        }
    )
