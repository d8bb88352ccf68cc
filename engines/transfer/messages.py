"""The messages between a transfer worker and its owner, one JSON object a line."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streamconsole.engines.errors import Refused
from streamconsole.engines.text import clean
from streamconsole.engines.transfer.manifest import Digest
from streamconsole.engines.transfer.settings import ChunkRetry, Layout


class MessageType(StrEnum):
    """Names of the messages.

    To a worker: `UPLOAD_START`, `DOWNLOAD_START`. From it: `CHUNK` for each chunk that is stored (or, in a
    download, in place), `RETRY` for each attempt that failed, then one of `FILE_UPLOADED`, `FILE_DOWNLOADED`
    and `FILE_FAILED`.
    """

    UPLOAD_START = "UPLOAD_START"
    DOWNLOAD_START = "DOWNLOAD_START"
    CHUNK = "CHUNK"
    RETRY = "RETRY"
    FILE_UPLOADED = "FILE_UPLOADED"
    FILE_DOWNLOADED = "FILE_DOWNLOADED"
    FILE_FAILED = "FILE_FAILED"


class _Start(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    file: Annotated[str, Field(min_length=1)]
    store: Annotated[str, Field(min_length=1)]
    bandwidth: Annotated[int, Field(ge=1024)] | None = None
    timeout: Annotated[float, Field(ge=0.1, le=3600)] = 60.0
    retry: ChunkRetry = ChunkRetry()


class UploadStart(_Start):
    """Upload a file.

    Args:
        file: its path.
        store: URL or folder.
        manifest: where its manifest is written; None for `FILE.manifest.json`.
        layout: how it becomes chunks; `framed` by default.
        level: of compression.
        chunk_size: bytes in a chunk, at most.
        workers: chunks in hand at once.
    """

    type: Literal[MessageType.UPLOAD_START] = MessageType.UPLOAD_START
    manifest: str | None = None
    layout: Layout = Layout.FRAMED
    level: int = 3
    chunk_size: int = 512 * 1024
    workers: int = 8


class DownloadStart(_Start):
    """Download a file.

    Args:
        file: where it goes.
        store: URL or folder.
        manifest: path of its manifest, or its name in the store.
        hashes: instead of a manifest, the digests of its chunks in order (layout `stream`).
        look_ahead: chunks fetched before they are needed.
    """

    type: Literal[MessageType.DOWNLOAD_START] = MessageType.DOWNLOAD_START
    manifest: str | None = None
    hashes: tuple[Digest, ...] | None = None
    look_ahead: int = 16


Start = UploadStart | DownloadStart


class _Line(BaseModel):
    message: Annotated[Start, Field(discriminator="type")]


def parse(line: bytes) -> Start:
    """A message to a worker.

    Raises:
        Refused: it is none; the text says which key is wrong.
    """
    try:
        return _Line.model_validate_json(b'{"message":' + line + b"}").message
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"][2:])
        raise Refused(f"not a message to a worker: {clean(place)}{': ' if place else ''}{problem['msg']}") from None


def manifest_beside(path: Path) -> Path:
    """Where the manifest of a file or folder is written when nothing else is said."""
    return path.with_name(f"{path.name}.manifest.json")
