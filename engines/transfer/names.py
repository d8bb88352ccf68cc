"""Names: of chunks and manifests in a store, and of files in a manifest."""

from __future__ import annotations

from streamconsole.engines.transfer.settings import Layout

MANIFESTS = "manifests/"


def chunk_name(layout: Layout, digest: str) -> str:
    """Where a chunk is in a store.

    The layouts stand apart: the same digest names what a chunk holds in the one, what is stored in the other.
    """
    return f"{layout}/{digest[:2]}/{digest}"


def manifest_name(name: str, digest: str) -> str:
    """Where a manifest is in a store."""
    safe = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "-" for letter in name)
    return f"{MANIFESTS}{safe.strip('.-')[:80] or 'manifest'}-{digest[:12]}.json"


def unsafe(path: str) -> str | None:
    """Why a path of a manifest must not be used; None when it may be."""
    if not path or path.startswith("/") or "\0" in path:
        return "it is empty, absolute or holds a null character"
    if any(part in ("", ".", "..") for part in path.split("/")):
        return "it leads out of its folder"
    return None
