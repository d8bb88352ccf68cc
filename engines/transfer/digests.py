"""Digests: of chunks, which name them, and of whole files, which can be kept in the middle and taken up again."""

from __future__ import annotations

import _hashlib
import ctypes
import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import Final, TypeAlias

Buffer: TypeAlias = bytes | bytearray | memoryview

DIGEST: Final = r"^[0-9a-f]{64}$"
"""What a digest looks like."""

_CONTEXT: Final = 112
"""Bytes of OpenSSL's SHA256_CTX: plain memory without pointers."""

_TAG: Final = "openssl-sha256-1:"


def digest_of(data: Buffer) -> str:
    """SHA-256 as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


class RunningDigest:
    """SHA-256 of a stream.

    Python's own hash objects cannot be kept: a digest resumed would have to read all again. OpenSSL's can,
    and where its functions cannot be reached `state` is None, and whoever resumes reads again.

    Args:
        state: what `state` gave, to go on from there; None to begin.
    """

    def __init__(self, state: str | None = None) -> None:
        self._library = _openssl()
        if self._library is None or (state is not None and not is_state(state)):
            self._plain = hashlib.sha256()
            self._library = None
            return
        self._context = ctypes.create_string_buffer(2 * _CONTEXT)
        if state is None:
            self._library.SHA256_Init(self._context)
        else:
            ctypes.memmove(self._context, bytes.fromhex(state.removeprefix(_TAG)), _CONTEXT)

    def update(self, data: Buffer) -> None:
        """Take in more bytes; other threads run meanwhile."""
        if self._library is None:
            self._plain.update(data)
        else:
            self._library.SHA256_Update(self._context, _pointer(data), ctypes.c_size_t(len(data)))

    def hexdigest(self) -> str:
        """The digest of what came so far."""
        if self._library is None:
            return self._plain.hexdigest()
        # Finishing spoils the context.
        copy = ctypes.create_string_buffer(self._context.raw)
        result = ctypes.create_string_buffer(32)
        self._library.SHA256_Final(result, copy)
        return result.raw.hex()

    def state(self) -> str | None:
        """What is needed to go on later, in this or another process of this machine; None when it cannot be had."""
        return None if self._library is None else _TAG + self._context.raw[:_CONTEXT].hex()


def is_state(state: str) -> bool:
    """Whether a digest can go on from this."""
    hexadecimal = state.removeprefix(_TAG)
    return (
        _openssl() is not None
        and state.startswith(_TAG)
        and len(hexadecimal) == 2 * _CONTEXT
        and all(digit in "0123456789abcdef" for digit in hexadecimal)
    )


def _pointer(data: Buffer) -> object:
    if isinstance(data, bytes):
        return data
    view = memoryview(data).cast("B")
    if view.readonly:
        return bytes(view)
    return (ctypes.c_char * len(view)).from_buffer(view)


@lru_cache(1)
def _openssl() -> ctypes.CDLL | None:
    """OpenSSL as Python's hashlib has loaded it; None unless it is seen to work."""
    try:
        library = ctypes.CDLL(_hashlib.__file__)
        for name in ("SHA256_Init", "SHA256_Update", "SHA256_Final"):
            getattr(library, name)
        return library if _works(library) else None
    except (OSError, AttributeError):
        return None


def _works(library: ctypes.CDLL) -> bool:
    """Whether a digest taken up again comes out as hashlib's."""
    first, second = b"a" * 1000, b"b" * 77
    context, result = ctypes.create_string_buffer(2 * _CONTEXT), ctypes.create_string_buffer(32)
    update: Callable[..., int] = library.SHA256_Update
    library.SHA256_Init(context)
    update(context, first, ctypes.c_size_t(len(first)))
    again = ctypes.create_string_buffer(context.raw[:_CONTEXT], 2 * _CONTEXT)
    update(again, second, ctypes.c_size_t(len(second)))
    library.SHA256_Final(result, again)
    return result.raw == hashlib.sha256(first + second).digest()
