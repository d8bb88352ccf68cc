"""Transforms in short, as they stand on the command line.

hash:FIELDS[:ALGORITHM[:VARIABLE]]   rename:OLD=NEW,…   drop:FIELDS   cast:FIELD=TYPE,…
python:MODULE:FUNCTION               exec:PROGRAM ARGUMENTS…
"""

from __future__ import annotations

import difflib
from typing import Any

from pydantic import TypeAdapter, ValidationError

from streamconsole.engines.errors import Refused
from streamconsole.engines.migration.transforms.settings import TransformSettings
from streamconsole.engines.secrets import mask

KINDS = ("hash", "rename", "drop", "cast", "python", "exec")

_ADAPTER: TypeAdapter[TransformSettings] = TypeAdapter(TransformSettings)


def parse(text: str) -> TransformSettings:
    """The transform that a short spelling asks for.

    Raises:
        Refused: it is none.
    """
    kind, colon, rest = text.partition(":")
    if kind not in KINDS:
        close = difflib.get_close_matches(kind, KINDS, 1)
        raise Refused(
            f"--transform {mask(text)}: {kind!r} is none of {', '.join(KINDS)}"
            + (f": did you mean {close[0]}?" if close else "")
        )
    if not colon or not rest.strip():
        raise Refused(f"--transform {mask(text)}: write {_EXAMPLES[kind]}")
    try:
        return _ADAPTER.validate_python({"kind": kind, **_arguments(kind, rest)})
    except (ValidationError, ValueError) as error:
        raise Refused(f"--transform {mask(text)}: {_why(error)}; write it like {_EXAMPLES[kind]}") from None


_EXAMPLES = {
    "hash": "hash:password or hash:password,pin:sha512:PEPPER (a variable of the environment)",
    "rename": "rename:old=new,other=another",
    "drop": "drop:a,b.c",
    "cast": "cast:age=integer,born=datetime",
    "python": "python:module:function",
    "exec": "'exec:./check --strict'",
}


def _arguments(kind: str, rest: str) -> dict[str, Any]:
    match kind:
        case "hash":
            fields, *more = rest.split(":")
            if len(more) > 2:
                raise ValueError("too many colons")
            found: dict[str, Any] = {"fields": _list(fields)}
            if more and more[0]:
                found["algorithm"] = more[0]
            if len(more) == 2:
                found["key"] = more[1] if more[1].startswith("${") else f"${{{more[1]}}}"
            return found
        case "drop":
            return {"fields": _list(rest)}
        case "rename":
            return {"names": _pairs(rest)}
        case "cast":
            return {"types": _pairs(rest)}
        case "python":
            return {"function": rest}
        case _:
            return {"command": rest}


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _pairs(text: str) -> dict[str, str]:
    pairs = {}
    for part in _list(text):
        name, sign, value = part.partition("=")
        if not sign or name in pairs:
            raise ValueError(f"{part!r} is no pair NAME=VALUE" if not sign else f"{name!r} stands twice")
        pairs[name.strip()] = value.strip()
    return pairs


def _why(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"][1:]))
        return f"{place}: {problem['msg'].removeprefix('Value error, ')}"
    return str(error)
