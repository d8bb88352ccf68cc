"""Texts that hold a secret, sealed before they are kept: the workspace alone does not give a password away.

A run keeps what it was asked for, with the URLs of its sides, so that it can be resumed. Every text in which
`secrets.mask` finds a secret is kept as AES-SIV (RFC 5297) leaves it. The same text is always sealed alike, so what is
kept can still be compared. The key lies in the user's own folder, never beside what it seals.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from streamconsole.engines.errors import Refused
from streamconsole.engines.secrets import mask

VARIABLE: Final = "STREAMCONSOLE_KEY"
CLOSED: Final = "sealed with a key that is not here"

_PREFIX: Final = "sealed:1:"
_BYTES: Final = 64


def seal(value: Any) -> Any:
    """Return a JSON value with every text that holds a secret sealed.

    Raises:
        Refused: the key cannot be read, or cannot be made.
    """
    match value:
        case str() if value.startswith(_PREFIX) or mask(value) != value:
            sealed = _cipher(_key()).encrypt(value.encode(), None)
            return _PREFIX + base64.urlsafe_b64encode(sealed).decode()
        case dict():
            return {name: seal(each) for name, each in value.items()}
        case list():
            return [seal(each) for each in value]
    return value


def unseal(value: Any) -> Any:
    """Return a JSON value with every sealed text as it was; `CLOSED` where the key does not fit."""
    match value:
        case str() if value.startswith(_PREFIX):
            return _opened(value)
        case dict():
            return {name: unseal(each) for name, each in value.items()}
        case list():
            return [unseal(each) for each in value]
    return value


def is_closed(value: Any) -> bool:
    """Whether a value from `unseal` holds a text that could not be opened."""
    match value:
        case str():
            return value == CLOSED
        case dict():
            return any(is_closed(each) for each in value.values())
        case list():
            return any(is_closed(each) for each in value)
    return False


def where() -> str:
    """Where the key is looked for, in words."""
    return f"${VARIABLE}" if VARIABLE in os.environ else str(_file())


def _opened(text: str) -> str:
    # Imported where something is sealed: most runs hold no secret, and it costs a start 20 ms.
    from cryptography.exceptions import InvalidTag

    try:
        sealed = base64.urlsafe_b64decode(text.removeprefix(_PREFIX))
        return str(_cipher(_key(make=False)).decrypt(sealed, None).decode())
    except (InvalidTag, Refused, ValueError):
        return CLOSED


@lru_cache(maxsize=4)
def _cipher(key: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

    return AESSIV(key)


def _key(*, make: bool = True) -> bytes:
    given = os.environ.get(VARIABLE)
    if given is not None:
        return _decoded(given, f"${VARIABLE}")
    path = _file()
    try:
        if make and not path.exists():
            _make(path)
        return _decoded(path.read_text(), str(path))
    except OSError as error:
        raise Refused(
            f"passwords are kept sealed, and their key {path} cannot be read or made ({error.strerror}): "
            f"mend that, or give the key in ${VARIABLE}"
        ) from error


def _decoded(text: str, place: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _BYTES:
        raise Refused(f"{place} is no key: {_BYTES} random bytes in base64 are, `openssl rand -base64 -A {_BYTES}`")
    return key


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with open(beside, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(base64.b64encode(secrets.token_bytes(_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        # A link is refused where the name is taken: of two that make a key at once, both use the first.
        try:
            os.link(beside, path)
        except FileExistsError:
            return
    finally:
        beside.unlink(missing_ok=True)


def _file() -> Path:
    folder = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(folder) / "streamconsole" / "key"
