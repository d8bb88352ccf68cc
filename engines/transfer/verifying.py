"""Verifying: every chunk of a manifest is fetched and checked, and nothing is written."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from streamconsole.engines.retry import RetryPolicy
from streamconsole.engines.secrets import mask
from streamconsole.engines.transfer.chunks import Chunk, Damaged
from streamconsole.engines.transfer.compression import pool
from streamconsole.engines.transfer.digests import Buffer
from streamconsole.engines.transfer.download import chunks_of_entry
from streamconsole.engines.transfer.downloading import verify_chunk
from streamconsole.engines.transfer.manifest import Manifest
from streamconsole.engines.transfer.names import chunk_name
from streamconsole.engines.transfer.stores.store import Store, StoreError, Trouble


@dataclass(frozen=True, slots=True)
class Problem:
    """A chunk that is missing or wrong."""

    path: str
    chunk: int
    text: str


async def verify(manifest: Manifest, store: Store, at_once: int) -> tuple[int, list[Problem]]:
    """Check all chunks of a manifest.

    Args:
        manifest: what should be there.
        store: where it should be.
        at_once: chunks checked at once.

    Returns:
        How many chunks were looked at, and what is wrong with some of them, in the order of the manifest.

    Raises:
        StoreError: the store cannot be reached.
    """
    files = enumerate(manifest.files, 1)
    todo = [(entry.path, chunk) for number, entry in files for chunk in chunks_of_entry(number, entry)]
    waiting = iter(enumerate(todo))
    problems: dict[int, Problem] = {}
    threads, loop = pool(), asyncio.get_running_loop()

    async def quietly(*_: object) -> None:
        return None

    async def stored_of(chunk: Chunk) -> Buffer:
        name = chunk_name(manifest.layout, chunk.digest)

        async def get() -> Buffer:
            return await store.get(name, chunk.size)

        return await RetryPolicy().run(
            get,
            transient=lambda error: (
                isinstance(error, StoreError) and error.trouble in (Trouble.PASSING, Trouble.UNREACHABLE)
            ),
            before_retry=quietly,
        )

    async def work() -> None:
        for index, (path, chunk) in waiting:
            try:
                stored = await stored_of(chunk)
                await loop.run_in_executor(threads, verify_chunk, chunk, manifest.layout, stored)
            except (StoreError, Damaged) as error:
                if isinstance(error, StoreError) and error.trouble in (Trouble.UNREACHABLE, Trouble.GONE):
                    raise
                problems[index] = Problem(path, chunk.number, mask(str(error)))

    try:
        await asyncio.gather(*(work() for _ in range(at_once)))
    finally:
        threads.shutdown(wait=False)
    return len(todo), [problems[index] for index in sorted(problems)]
