"""`--map FILE`: what becomes of single columns, from TOML or JSON."""

from __future__ import annotations

import difflib
import json
import tomllib
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from streamconsole.engines.errors import Refused
from streamconsole.engines.migration.transforms.settings import ColumnMap, ColumnSettings

_ADAPTER: TypeAdapter[dict[str, ColumnSettings]] = TypeAdapter(ColumnMap)


def column_map(path: Path) -> dict[str, ColumnSettings]:
    """The map that a file holds.

    Raises:
        Refused: it cannot be read, or something in it is wrong.
    """
    try:
        return _ADAPTER.validate_python(_parse(path))
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"])) or "columns"
        raise Refused(f"--map {path}: {place}{_what(problem)}") from None


def _parse(path: Path) -> Any:
    try:
        text = path.read_text()
        return json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except FileNotFoundError:
        raise Refused(f"--map {path} does not exist") from None
    except OSError as error:
        raise Refused(f"--map {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise Refused(f"--map {path} is neither TOML nor JSON: {error}") from None


def _what(problem: Any) -> str:
    if problem["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(problem["loc"][-1]), ColumnSettings.model_fields, 1)
        return " is not known" + (f": did you mean {close[0]}?" if close else ": there are rename, drop and type")
    message = problem["msg"].removeprefix("Value error, ")
    return f": {message[:1].lower()}{message[1:]}"
