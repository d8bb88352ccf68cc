"""Manifests: what was uploaded, and of which chunks it is made. Written last, when all of them are stored.

A manifest is JSON with a version and a digest of itself: one that was cut off, changed, or made by a newer
program is refused. Keys that are not known are refused, too: a later version has a later number.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streamconsole.engines.errors import Refused
from streamconsole.engines.text import clean
from streamconsole.engines.transfer.digests import DIGEST, digest_of
from streamconsole.engines.transfer.names import unsafe
from streamconsole.engines.transfer.settings import Layout
from streamconsole.engines.transfer.sizes import LARGEST

FORMAT: Final = "streamconsole-manifest"
VERSION: Final = 1

MOST_BYTES: Final = 256 * 2**20
"""Bytes of a manifest that are read, at most."""

Digest = Annotated[str, Field(pattern=DIGEST)]
ChunkEntry = tuple[Digest, Annotated[int, Field(ge=1, le=LARGEST)], Annotated[int, Field(ge=1, le=LARGEST)]]
"""Digest, bytes it stands for, bytes in the store when it was uploaded."""


class EntryType(StrEnum):
    """What an entry is."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"


class Entry(BaseModel):
    """A file, folder or symbolic link.

    Args:
        path: relative to the top, parts separated by `/`.
        type: what it is.
        mode: permission bits.
        mtime_ns: when it was changed, nanoseconds since the epoch.
        size: bytes of a file.
        sha256: digest of a whole file.
        chunks: of a file, in order. For `stream` they stand for parts of the compressed stream.
        target: where a symbolic link leads.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    path: Annotated[str, Field(min_length=1, max_length=4096)]
    type: EntryType
    mode: Annotated[int, Field(ge=0, le=0o7777)]
    mtime_ns: int
    size: Annotated[int, Field(ge=0)] = 0
    sha256: Digest | None = None
    chunks: tuple[ChunkEntry, ...] = ()
    target: str | None = None


class Manifest(BaseModel):
    """What was uploaded.

    Args:
        kind: one file, or a folder with all that is in it.
        name: of the file or folder.
        level: of compression.
        library: what compressed it; digests of `stream` chunks hang on it.
        chunk_size: bytes in a chunk, at most.
        mode: permission bits of a folder itself; of a file its entry has them.
        mtime_ns: when the folder itself was changed.
        entries: what it holds; of a file just that one.
        digest: SHA-256 of all the rest, as JSON with sorted keys and no blanks.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: Literal["streamconsole-manifest"] = FORMAT
    version: Literal[1] = VERSION
    created_at: str
    kind: Literal["file", "directory"]
    name: Annotated[str, Field(min_length=1, max_length=255)]
    layout: Layout
    level: int
    library: str
    chunk_size: Annotated[int, Field(ge=1, le=LARGEST)]
    mode: Annotated[int, Field(ge=0, le=0o7777)] | None = None
    mtime_ns: int | None = None
    entries: tuple[Entry, ...]
    digest: str = ""

    @property
    def files(self) -> list[Entry]:
        """The files among the entries."""
        return [entry for entry in self.entries if entry.type is EntryType.FILE]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.entries)


def dump(manifest: Manifest) -> bytes:
    """A manifest as it is written, with its digest."""
    data = manifest.model_dump(mode="json", exclude={"digest"}, exclude_none=True)
    return orjson.dumps(data | {"digest": _digest(data)}, option=orjson.OPT_APPEND_NEWLINE)


def parse(text: bytes, where: str) -> Manifest:
    """Read a manifest, strictly.

    Args:
        text: what was read.
        where: names it in errors.

    Raises:
        Refused: it is cut off, changed, from a newer program, or does not hang together.
    """
    data = _object(text, where)
    _refuse_foreign(data, where)
    said = data.pop("digest", None)
    if said != _digest(data):
        raise Refused(f"manifest {where} has been changed or damaged since it was written: its digest does not fit")
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        raise Refused(f"manifest {where}: {clean(place)}: {problem['msg']}") from None
    _refuse_inconsistent(manifest, where)
    return manifest


def read(path: Path) -> Manifest:
    """Read a manifest from a file.

    Raises:
        Refused: it cannot be read, or is not a manifest that can be used.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise Refused(f"manifest {path} is larger than {MOST_BYTES // 2**20} MiB: that is no manifest")
        return parse(path.read_bytes(), str(path))
    except OSError as error:
        raise Refused(f"manifest {path} cannot be read: {error.strerror}") from None


def _object(text: bytes, where: str) -> dict[str, Any]:
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Refused(f"manifest {where} is cut off or no JSON ({error})") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise Refused(f"{where} is not a manifest of streamconsole")
    return data


def _refuse_foreign(data: dict[str, Any], where: str) -> None:
    version = data.get("version")
    if type(version) is int and version > VERSION:
        raise Refused(
            f"manifest {where} has version {version}, this program knows {VERSION}: it was made by a newer "
            "streamconsole, upgrade this one"
        )


def _digest(data: dict[str, Any]) -> str:
    return digest_of(orjson.dumps(data, option=orjson.OPT_SORT_KEYS))


def _refuse_inconsistent(manifest: Manifest, where: str) -> None:
    types: dict[str, EntryType] = {}
    for entry in manifest.entries:
        shown = clean(entry.path, limit=100)
        why = unsafe(entry.path)
        if why is not None:
            raise Refused(f"manifest {where}: the name {shown!r} is not used: {why}")
        if entry.path in types:
            raise Refused(f"manifest {where}: {shown!r} stands twice")
        types[entry.path] = entry.type
        _refuse_odd_entry(manifest, entry, f"manifest {where}: {shown!r}")
    for path in types:
        parts = path.split("/")
        for end in range(1, len(parts)):
            parent = "/".join(parts[:end])
            # A file below a link would be written wherever the link leads.
            if types.get(parent, EntryType.DIRECTORY) is not EntryType.DIRECTORY:
                raise Refused(f"manifest {where}: {clean(path, limit=100)!r} lies in what is no folder")
    if unsafe(manifest.name) is not None or "/" in manifest.name:
        raise Refused(f"manifest {where}: the name {clean(manifest.name, limit=100)!r} is not used")
    if manifest.kind == "file" and [entry.type for entry in manifest.entries] != [EntryType.FILE]:
        raise Refused(f"manifest {where} says that it is of one file, but holds something else")


def _refuse_odd_entry(manifest: Manifest, entry: Entry, where: str) -> None:
    if entry.type is not EntryType.FILE:
        if entry.chunks or entry.size or entry.sha256 or (entry.type is EntryType.SYMLINK) != bool(entry.target):
            raise Refused(f"{where} is a {entry.type} with the marks of something else")
        return
    if entry.sha256 is None or entry.target is not None:
        raise Refused(f"{where} has no digest, or leads somewhere")
    if any(size > manifest.chunk_size or stored > size for _, size, stored in entry.chunks):
        raise Refused(f"{where} has a chunk larger than the manifest allows")
    held = sum(size for _, size, _ in entry.chunks)
    if manifest.layout is Layout.FRAMED and held != entry.size:
        raise Refused(f"{where}: its chunks hold {held:,} bytes, it has {entry.size:,}")
    if (entry.size > 0) != bool(entry.chunks):
        raise Refused(f"{where} has a size without chunks, or chunks without a size")
