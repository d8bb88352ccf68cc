"""What a transfer will do, worked out before anything is written."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from streamconsole.engines.errors import Refused, SideLost
from streamconsole.engines.transfer import manifest as manifests
from streamconsole.engines.transfer.manifest import MOST_BYTES, Manifest
from streamconsole.engines.transfer.messages import manifest_beside
from streamconsole.engines.transfer.names import MANIFESTS
from streamconsole.engines.transfer.settings import TransferSettings
from streamconsole.engines.transfer.stores.locations import absolute as absolute_store
from streamconsole.engines.transfer.stores.locations import store_of
from streamconsole.engines.transfer.stores.store import Store, StoreError, Trouble
from streamconsole.engines.transfer.tree import look

S = TypeVar("S", bound=TransferSettings)


@dataclass(frozen=True, slots=True)
class TransferPlan:
    """What was found out.

    Args:
        name: what the run is called.
        settings: what was asked for.
        data: kept with the run: bytes and files.
    """

    name: str
    settings: TransferSettings
    data: dict[str, Any]


async def plan(settings: TransferSettings, name: str | None = None) -> TransferPlan:
    """Look at what is to be moved; writes nothing.

    Raises:
        Refused: it cannot be done.
    """
    store = store_of(settings.store, settings.timeout)
    try:
        if settings.upload is not None:
            found = await asyncio.to_thread(look, Path(settings.upload))
            target = manifest_path(settings)
            await asyncio.to_thread(_refuse_unwritable, target)
            data = {"size": found.size, "files": len(found.files), "kind": found.kind}
            return TransferPlan(name or found.name, settings, data)
        manifest = await manifest_of(settings, store)
        await asyncio.to_thread(_refuse_existing, Path(settings.out or ""))
        data = {"size": manifest.size, "files": len(manifest.files), "kind": manifest.kind, "digest": manifest.digest}
        return TransferPlan(name or manifest.name, settings, data)
    finally:
        await store.close()


def absolute(settings: S, folder: Path) -> S:
    """With every path absolute, so that a run can be resumed from anywhere."""

    def path(value: str | None) -> str | None:
        return None if value is None else os.path.normpath(folder / Path(value).expanduser())

    in_store = settings.download is not None and settings.download.startswith(MANIFESTS)
    return settings.model_copy(
        update={
            "upload": path(settings.upload),
            "download": settings.download if in_store else path(settings.download),
            "manifest": path(settings.manifest),
            "out": path(settings.out),
            "store": absolute_store(settings.store, folder),
        }
    )


def manifest_path(settings: TransferSettings) -> Path:
    """Where an upload's manifest is written."""
    return Path(settings.manifest) if settings.manifest else manifest_beside(Path(settings.upload or "").resolve())


async def manifest_of(settings: TransferSettings, store: Store) -> Manifest:
    """The manifest of a download, from a file or from the store.

    Raises:
        Refused: it cannot be read or used.
    """
    name = settings.download or ""
    if not name.startswith(MANIFESTS):
        return await asyncio.to_thread(manifests.read, Path(name))
    try:
        return manifests.parse(bytes(await store.get(name, MOST_BYTES)), f"{name} in {store.place}")
    except StoreError as error:
        raise Refused(f"manifest {name} cannot be had: {error}") from None


async def check(store: Store, *, begun: bool) -> None:
    """Make sure that a store can be written to.

    Raises:
        SideLost: it is gone, and the transfer had begun.
        Refused: it cannot be used.
    """
    try:
        await store.check()
    except StoreError as error:
        if begun and error.trouble in (Trouble.GONE, Trouble.UNREACHABLE):
            raise SideLost("store", str(error)) from None
        raise Refused(f"store {store.place} cannot be used: {error}") from None


def _refuse_unwritable(path: Path) -> None:
    if path.is_dir():
        raise Refused(f"manifest {path} is a folder: name a file")
    if not path.parent.is_dir():
        raise Refused(f"manifest {path} cannot be written: there is no folder {path.parent}")


def _refuse_existing(path: Path) -> None:
    if path.exists() or path.is_symlink():
        raise Refused(f"{path} is there already: name another place, or remove it")
    if not path.parent.is_dir():
        raise Refused(f"{path} cannot be written: there is no folder {path.parent}")
