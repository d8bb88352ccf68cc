"""A chunk on its way: sent or fetched, tried again by the policy, and told of at every step."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import Protocol, TypeVar

from streamconsole.engines import faults
from streamconsole.engines.errors import SideLost
from streamconsole.engines.faults import InjectedFault
from streamconsole.engines.retry import RetryPolicy
from streamconsole.engines.secrets import mask
from streamconsole.engines.states import ChunkState
from streamconsole.engines.transfer.digests import Buffer, digest_of
from streamconsole.engines.transfer.stores.store import Store, StoreError, Trouble
from streamconsole.engines.transfer.tuning import Tuning

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk of a file.

    Args:
        file: number of the file in the transfer, from 1.
        number: of the chunk in its file, from 1.
        lo: where it begins: in the file, or in the compressed stream of the layout `stream`.
        size: bytes it stands for there.
        digest: its SHA-256.
        stored: bytes it has in the store.
    """

    file: int
    number: int
    lo: int
    size: int
    digest: str = ""
    stored: int = 0

    @property
    def hi(self) -> int:
        """Where it ends."""
        return self.lo + self.size


@dataclass(frozen=True, slots=True)
class ChunkNews:
    """What happened to a chunk.

    Args:
        chunk: as far as it is known by now.
        state: the state it came into.
        attempt: counted from 1.
        code: of an error: `503`, `timeout`, `digest`.
        message: of an error.
        pause: seconds until the next attempt.
        seconds: from the first attempt to the last.
    """

    chunk: Chunk
    state: ChunkState
    attempt: int = 1
    code: str = ""
    message: str = ""
    pause: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Up to where a file has been read, and how to go on from there.

    Args:
        file: number of the file.
        offset: bytes of the file that have been read and hashed.
        state: of the file's digest at that point; None when it cannot be kept.
        packed: bytes of the compressed stream that these became (layout `stream`).
    """

    file: int
    offset: int
    state: str | None
    packed: int = 0


class Owner(Protocol):
    """Whoever wants to know what happens to chunks: a run, or a worker's client."""

    def chunk(self, news: ChunkNews) -> None:
        """Something happened to a chunk."""
        ...

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """A file has been read so far."""
        ...


class ChunkLost(Exception):
    """A chunk failed for good; its owner has been told."""


class Damaged(Exception):
    """What came out of the store is not what it should be."""


class Carrier:
    """Sends chunks to a store and fetches them.

    Args:
        store: where they are kept.
        policy: how often one is tried.
        tuning: live settings.
        owner: told of every step.
    """

    def __init__(self, store: Store, policy: RetryPolicy, tuning: Tuning, owner: Owner) -> None:
        self.store = store
        self.tuning = tuning
        self.owner = owner
        self._policy = policy

    async def send(self, chunk: Chunk, name: str, data: Buffer) -> None:
        """Put a chunk into the store.

        Raises:
            ChunkLost: it failed for good.
            SideLost: the store is gone.
        """

        async def once() -> bool:
            faults.reach("chunk.send", chunk.number)
            await self.tuning.line(len(data))
            created = await self.store.put(name, data)
            faults.reach("chunk.sent", chunk.number)
            return created

        await self._carry(chunk, once, lambda new: ChunkState.STORED if new else ChunkState.PRESENT)

    async def fetch(self, chunk: Chunk, name: str, use: Callable[[Buffer], Awaitable[T]]) -> T:
        """Get a chunk out of the store and use it; what `use` finds `Damaged` is fetched again.

        Raises:
            ChunkLost: it failed for good.
            SideLost: the store is gone.
        """

        async def once() -> T:
            faults.reach("chunk.fetch", chunk.number)
            data = await self.store.get(name, chunk.size)
            await self.tuning.line(len(data))
            return await use(data)

        return await self._carry(chunk, once, lambda _: ChunkState.STORED)

    async def _carry(self, chunk: Chunk, once: Callable[[], Awaitable[T]], after: Callable[[T], ChunkState]) -> T:
        begun, attempt = monotonic(), 1
        self.owner.chunk(ChunkNews(chunk, ChunkState.SENDING))

        async def before_retry(failed: int, error: BaseException, pause: float) -> None:
            nonlocal attempt
            attempt = failed + 1
            self.owner.chunk(
                ChunkNews(chunk, ChunkState.RETRYING, failed, code_of(error), mask(str(error)), round(pause, 3))
            )

        try:
            result = await self._policy.run(once, transient=_is_passing, before_retry=before_retry)
        except (StoreError, Damaged, InjectedFault) as error:
            raise self._lost(chunk, error, attempt) from error
        seconds = round(monotonic() - begun, 4)
        self.owner.chunk(ChunkNews(chunk, after(result), attempt, seconds=seconds))
        return result

    def _lost(self, chunk: Chunk, error: Exception, attempt: int) -> Exception:
        if isinstance(error, StoreError) and error.trouble in (Trouble.GONE, Trouble.UNREACHABLE):
            return SideLost("store", mask(str(error)))
        self.owner.chunk(ChunkNews(chunk, ChunkState.FAILED, attempt, code_of(error), mask(str(error))))
        return ChunkLost(str(error))


def code_of(error: BaseException) -> str:
    """A short word for an error."""
    if isinstance(error, StoreError):
        return error.code
    return "digest" if isinstance(error, Damaged) else "error"


def check_digest(data: Buffer, digest: str, what: str) -> None:
    """Refuse what is not what its digest says.

    Raises:
        Damaged: it is something else.
    """
    if digest_of(data) != digest:
        raise Damaged(f"{what} holds something else than its digest {digest[:12]}… says: it is damaged or swapped")


def _is_passing(error: BaseException) -> bool:
    if isinstance(error, StoreError):
        return error.trouble in (Trouble.PASSING, Trouble.UNREACHABLE)
    return isinstance(error, (Damaged, InjectedFault))
