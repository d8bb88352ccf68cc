"""What a transfer is asked to do."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from streamconsole.engines.retry import Backoff, RetryPolicy
from streamconsole.engines.transfer.sizes import KIB, LARGEST, ChunkSizes


class Layout(StrEnum):
    """How a file becomes chunks.

    `framed`: cut at a fixed size, each piece named by its own digest and compressed for itself.
    `stream`: compressed as one stream, which is cut; chunks are named by the digest of what is stored.
    """

    FRAMED = "framed"
    STREAM = "stream"


class ChunkRetry(BaseModel):
    """How a chunk that failed for a passing reason is tried again; pauses in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    attempts: Annotated[int, Field(ge=1, le=1000)] = 6
    backoff: Backoff = Backoff.EXPONENTIAL
    delay: Annotated[float, Field(ge=0, le=3600)] = 0.2
    cap: Annotated[float, Field(ge=0, le=3600)] = 10.0
    jitter: Annotated[float, Field(ge=0, le=1)] = 0.2

    def policy(self) -> RetryPolicy:
        """The policy these settings describe."""
        return RetryPolicy(self.attempts, self.backoff, self.delay, self.cap, self.jitter)


class TransferSettings(BaseModel):
    """One transfer: an upload of a file or folder, or a download by a manifest.

    Args:
        upload: the file or folder to upload.
        download: the manifest to download by: a path, or its name in the store.
        store: URL or folder of the store.
        manifest: where an upload's manifest is written; None for `NAME.manifest.json` beside what is uploaded.
        out: where a download goes.
        layout: how files become chunks.
        level: of compression, from -7 (fast) to 19.
        chunk_size: bytes in a chunk, at most.
        least_chunk: bytes that a chunk of a stream is not halved below.
        workers: chunks in hand at once.
        look_ahead: chunks fetched before they are needed.
        bandwidth: bytes a second over the line, at most; None for no limit.
        timeout: seconds that one request to a store may take.
        retry: how a chunk is tried again.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    upload: str | None = None
    download: str | None = None
    store: str
    manifest: str | None = None
    out: str | None = None
    layout: Layout = Layout.FRAMED
    level: Annotated[int, Field(ge=-7, le=19)] = 3
    chunk_size: Annotated[int, Field(ge=4 * KIB, le=LARGEST)] = 512 * KIB
    least_chunk: Annotated[int, Field(ge=1, le=LARGEST)] = 4 * KIB
    workers: Annotated[int, Field(ge=1, le=64)] = 8
    look_ahead: Annotated[int, Field(ge=1, le=128)] = 16
    bandwidth: Annotated[int, Field(ge=1 * KIB)] | None = None
    timeout: Annotated[float, Field(ge=0.1, le=3600)] = 60.0
    retry: ChunkRetry = ChunkRetry()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.upload is None) == (self.download is None):
            raise ValueError("name either what to upload or a manifest to download by")
        if (self.download is None) != (self.out is None):
            raise ValueError("a download needs out, where it goes, and an upload has none")
        if self.download is not None and self.manifest is not None:
            raise ValueError("manifest says where an upload's manifest is written; a download names its own")
        return self

    @property
    def sizes(self) -> ChunkSizes:
        """Bounds of a chunk."""
        return ChunkSizes(self.chunk_size, min(self.least_chunk, self.chunk_size))
