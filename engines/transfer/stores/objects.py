"""Object stores as stores: S3 and what speaks like it; Google's and Azure's through the same library.

The library's own retries are off: attempts are counted and seen where all others are.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import suppress
from datetime import timedelta
from secrets import token_hex
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import obstore
from obstore import exceptions
from obstore.store import from_url

from streamconsole.engines.errors import Refused
from streamconsole.engines.secrets import mask
from streamconsole.engines.transfer.digests import Buffer
from streamconsole.engines.transfer.stores.store import StoreError, Trouble, too_large

T = TypeVar("T")

OPTIONS: Final = ("endpoint", "region", "virtual_hosted_style_request", "skip_signature")
"""What may stand in the query of an s3:// URL; keys and secrets come from the environment."""

_STATUS: Final = re.compile(r"\b([45]\d\d) [A-Z]|status(?: code)?:? ?([45]\d\d)\b")
# The library tells the kind of an error only in its text.
_UNREACHABLE: Final = re.compile(r"kind: Connect,|ConnectError|dns error")
_TIMEOUT: Final = re.compile(r"kind: Timeout,|TimedOut")
_CUT: Final = re.compile(r"IncompleteMessage|IncompleteBody|kind: Interrupted|ConnectionReset|BrokenPipe")

_PERMANENT: Final = (
    exceptions.PermissionDeniedError,
    exceptions.UnauthenticatedError,
    exceptions.InvalidPathError,
    exceptions.NotSupportedError,
    exceptions.UnknownConfigurationKeyError,
)


class ObjectStore:
    """Keeps bytes as objects of a bucket.

    Args:
        url: `s3://bucket/prefix?endpoint=http://host:port&region=…`, `gs://…` or `az://…`.
        timeout: seconds that one request may take.

    Raises:
        Refused: the URL cannot be used.
    """

    def __init__(self, url: str, timeout: float) -> None:
        parts = urlsplit(url)
        config = dict(parse_qsl(parts.query))
        unknown = sorted(config.keys() - set(OPTIONS))
        if unknown:
            raise Refused(f"store {mask(url)}: {unknown[0]} is not known; there are {', '.join(OPTIONS)}")
        self.place = mask(urlunsplit(parts._replace(query="")))
        self._timeout = timeout
        # Until it is seen to work, an object there already is looked for before.
        self._creates = False
        client: dict[str, Any] = {
            "timeout": timedelta(seconds=timeout),
            "connect_timeout": timedelta(seconds=min(timeout, 10.0)),
        }
        if config.get("endpoint", "").startswith("http://"):
            client["allow_http"] = True
        try:
            # The library types one call for each kind of store; which one this is, only the URL tells.
            make: Any = from_url
            place = urlunsplit(parts._replace(query=""))
            self._store: Any = make(place, config=config, client_options=client, retry_config={"max_retries": 0})
        except (exceptions.BaseError, ValueError) as error:
            raise Refused(f"store {self.place} cannot be used: {_first_line(error)}") from None

    async def check(self) -> None:
        """Write and remove an object, and see whether one that is there is left alone."""
        name = f"checks/{token_hex(8)}"
        await self._do(name, obstore.put_async(self._store, name, b"1"))
        try:
            await self._do(name, obstore.put_async(self._store, name, b"2", mode="create"))
        except _Exists:
            self._creates = True
        except StoreError as error:
            if error.trouble in (Trouble.GONE, Trouble.UNREACHABLE):
                raise
        with suppress(StoreError):
            await self._do(name, obstore.delete_async(self._store, name))

    @property
    def creates(self) -> bool:
        """Whether the endpoint refuses to write over an object when asked to."""
        return self._creates

    async def sizes(self, names: Sequence[str]) -> list[int | None]:
        """How many bytes each name has; asked for all at once."""
        return list(await asyncio.gather(*map(self._size, names)))

    async def put(self, name: str, data: Buffer) -> bool:
        """Keep bytes under a name."""
        if not self._creates:
            if await self._size(name) is not None:
                return False
            await self._do(name, obstore.put_async(self._store, name, data))
            return True
        try:
            await self._do(name, obstore.put_async(self._store, name, data, mode="create"))
        except _Exists:
            return False
        return True

    async def get(self, name: str, most: int) -> Buffer:
        """The bytes of a name."""
        return await self._do(name, self._get(name, most))

    async def _get(self, name: str, most: int) -> Buffer:
        result = await obstore.get_async(self._store, name)
        if result.meta["size"] > most:
            raise too_large(self.place, name, most)
        data = memoryview(await result.bytes_async())
        if len(data) != result.meta["size"]:
            raise StoreError(Trouble.PASSING, "cut", f"{self.place}: {name} was cut off on the way")
        return data

    async def names(self, prefix: str) -> AsyncIterator[str]:
        """All names that begin so."""
        stream = obstore.list(self._store, prefix)
        while True:
            try:
                batch = await self._do(prefix, stream.__anext__())
            except StopAsyncIteration:
                return
            for each in batch:
                yield each["path"]

    async def settle(self) -> None:
        """Nothing to do: what an object store has taken is durable."""

    async def close(self) -> None:
        """Nothing to do: connections end with the object."""

    async def _size(self, name: str) -> int | None:
        try:
            size: int = (await self._do(name, obstore.head_async(self._store, name)))["size"]
        except StoreError as error:
            if error.trouble is Trouble.MISSING:
                return None
            raise
        return size

    async def _do(self, name: str, asked: Awaitable[T]) -> T:
        try:
            # The library's own limit does not cover a body that stops in the middle.
            async with asyncio.timeout(self._timeout + 5):
                return await asked
        except TimeoutError:
            raise StoreError(Trouble.PASSING, "timeout", f"{self.place}: no answer about {name} in time") from None
        except (exceptions.BaseError, OSError) as error:
            raise self._told(error, name) from error

    def _told(self, error: Exception, name: str) -> StoreError:
        text = str(error)
        status = _STATUS.search(text)
        code = next(filter(None, status.groups())) if status else type(error).__name__.removesuffix("Error").lower()
        what = f"{self.place}: {name}: {_first_line(error)}"
        if isinstance(error, exceptions.AlreadyExistsError):
            return _Exists(Trouble.PERMANENT, code, what)
        if isinstance(error, (exceptions.NotFoundError, FileNotFoundError)):
            return StoreError(Trouble.MISSING, code, f"{name} is not in {self.place}")
        if isinstance(error, _PERMANENT):
            return StoreError(Trouble.PERMANENT, code, what)
        if status is None and _TIMEOUT.search(text):
            return StoreError(Trouble.PASSING, "timeout", what)
        if status is None and _UNREACHABLE.search(text):
            return StoreError(Trouble.UNREACHABLE, "unreachable", f"{self.place} cannot be reached: {_reason(text)}")
        if status is None and _CUT.search(text):
            return StoreError(Trouble.UNREACHABLE, "cut", f"{self.place}: {name}: the connection was cut")
        if status is not None and code.startswith("4") and code not in ("408", "409", "425", "429"):
            return StoreError(Trouble.PERMANENT, code, what)
        return StoreError(Trouble.PASSING, code, what)


class _Exists(StoreError):
    """An object of that name is there."""


def _first_line(error: Exception) -> str:
    return mask(str(error).strip().partition("\n")[0])[:300]


def _reason(text: str) -> str:
    known = re.search(r"connection refused|dns error|no route|unreachable", text, re.IGNORECASE)
    return known[0].lower() if known else mask(text.partition("\n")[0])[:200]
