"""The transforms of a migration, as they are asked for."""

from __future__ import annotations

import hashlib
import re
import shlex
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from streamconsole.engines.migration.columns import ColumnType

ALGORITHMS = tuple(sorted(name for name in hashlib.algorithms_guaranteed if not name.startswith("shake")))
"""Hashes whose length is their own; every Python has them."""

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

CastTo = Literal["integer", "float", "decimal", "boolean", "datetime", "text", "json"]

Name = Annotated[str, Field(min_length=1)]


class _Transform(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class HashSettings(_Transform):
    """Replace values by their hash, in hexadecimal; null stays null.

    Args:
        fields: keys, or paths with dots.
        algorithm: of hashlib; sha256 by default.
        key: `${NAME}` of an environment variable: values become keyed hashes (HMAC) with what it holds.
            The key itself is kept nowhere.
    """

    kind: Literal["hash"] = "hash"
    fields: Annotated[tuple[Name, ...], Field(min_length=1)]
    algorithm: str = "sha256"
    key: str | None = None

    @field_validator("algorithm")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in ALGORITHMS:
            raise ValueError(f"must be one of {', '.join(ALGORITHMS)}")
        return name

    @field_validator("key")
    @classmethod
    def _is_variable(cls, text: str | None) -> str | None:
        if text is not None and not VARIABLE.fullmatch(text):
            raise ValueError("must name an environment variable, as ${NAME}: a key is never kept with a run")
        return text


class RenameSettings(_Transform):
    """Give keys other names.

    Args:
        names: old name → new name.
    """

    kind: Literal["rename"] = "rename"
    names: Annotated[dict[Name, Name], Field(min_length=1)]

    @field_validator("names")
    @classmethod
    def _one_each(cls, names: dict[str, str]) -> dict[str, str]:
        twice = [new for new in names.values() if list(names.values()).count(new) > 1]
        if twice:
            raise ValueError(f"gives the name {twice[0]!r} to two keys")
        return names


class DropSettings(_Transform):
    """Leave keys out.

    Args:
        fields: keys, or paths with dots.
    """

    kind: Literal["drop"] = "drop"
    fields: Annotated[tuple[Name, ...], Field(min_length=1)]


class CastSettings(_Transform):
    """Turn values into another type; a row with one that cannot be is refused.

    Args:
        types: key → type.
    """

    kind: Literal["cast"] = "cast"
    types: Annotated[dict[Name, CastTo], Field(min_length=1)]


class PythonSettings(_Transform):
    """Give each row to a function: row → row, None (left out) or rows.

    Args:
        function: `module:function`.
        folder: where modules are looked for first; the runbook's, or the current one.
    """

    kind: Literal["python"] = "python"
    function: Annotated[str, Field(pattern=r"^[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*$")]
    folder: Path = Path()


def _argv(command: Any) -> Any:
    if not isinstance(command, str):
        return command
    try:
        return shlex.split(command)
    except ValueError as error:
        raise ValueError(f"cannot be split into words: {error}") from None


class ExecSettings(_Transform):
    """Give each window's rows to a program: JSON lines in, JSON lines out.

    Args:
        command: program and arguments; a string is split as a shell would, without any shell.
        timeout: seconds that a window may take.
        folder: where it is started, and where a program with a slash in its name is looked for.
    """

    kind: Literal["exec"] = "exec"
    command: Annotated[tuple[str, ...], BeforeValidator(_argv), Field(min_length=1)]
    timeout: Annotated[float, Field(gt=0, le=86_400)] = 300.0
    folder: Path = Path()


TransformSettings = Annotated[
    HashSettings | RenameSettings | DropSettings | CastSettings | PythonSettings | ExecSettings,
    Field(discriminator="kind"),
]


class ColumnSettings(_Transform):
    """What becomes of one column on its way into the target.

    Args:
        rename: its name there.
        drop: it is left out.
        type: its type there, whatever comes; a row with a value that does not fit is refused.
    """

    rename: Name | None = None
    drop: bool = False
    type: CastTo | None = None

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        if self.drop and (self.rename or self.type):
            raise ValueError("drop stands alone: a column that is left out has neither name nor type")
        return self


def _one_name_each(columns: dict[str, ColumnSettings]) -> dict[str, ColumnSettings]:
    names = [column.rename or name for name, column in columns.items() if not column.drop]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"gives the name {twice[0]!r} to two columns")
    return columns


ColumnMap = Annotated[dict[Name, ColumnSettings], AfterValidator(_one_name_each)]


def types_of_columns(columns: dict[str, ColumnSettings]) -> dict[str, ColumnType]:
    """The types that a map of columns fixes, by the names in the target."""
    return {
        column.rename or name: ColumnType(column.type)
        for name, column in columns.items()
        if column.type and not column.drop
    }


def at_home(transform: TransformSettings, folder: Path) -> TransformSettings:
    """The same transform, with a folder that does not depend on the current one."""
    if isinstance(transform, PythonSettings | ExecSettings):
        return transform.model_copy(update={"folder": (folder / transform.folder).absolute()})
    return transform
