"""Stores by URL."""

from __future__ import annotations

import os
from pathlib import Path

from streamconsole.engines.errors import Refused
from streamconsole.engines.secrets import mask
from streamconsole.engines.transfer.stores.directory import DirectoryStore
from streamconsole.engines.transfer.stores.store import Store

SCHEMES = ("s3", "gs", "az")


def store_of(url: str, timeout: float = 60.0) -> Store:
    """The store that a URL or path names; not looked at yet.

    Args:
        url: a folder, `file://…`, `s3://bucket/prefix`, `gs://…` or `az://…`.
        timeout: seconds that one request may take.

    Raises:
        Refused: there is no such kind of store.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return DirectoryStore(Path(url).expanduser().absolute())
    if scheme == "file":
        return DirectoryStore(Path(rest).absolute())
    if scheme not in SCHEMES:
        raise Refused(f"store {mask(url)}: there is no {scheme}://; name a folder, s3://, gs:// or az://")
    # Imported when it is asked for: it costs a tenth of a second, and not everyone needs it.
    from streamconsole.engines.transfer.stores.objects import ObjectStore

    return ObjectStore(url, timeout)


def absolute(url: str, folder: Path) -> str:
    """A store's URL with a path taken from `folder`, so that it means the same anywhere."""
    return url if "://" in url else os.path.normpath(folder / Path(url).expanduser())
