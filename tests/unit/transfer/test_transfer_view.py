from __future__ import annotations

from typing import Any

from streamconsole.engines.states import ChunkState, EngineKind
from streamconsole.engines.transfer.events import ChunkMoved, FileFailed, FileStarted, FileUploaded, TransferStarted
from streamconsole.screens.transfer_view import TransferView

ABOUT: dict[str, Any] = {"engine": EngineKind.TRANSFER, "run": "r"}


def started(layout: str) -> TransferView:
    view = TransferView()
    more: dict[str, Any] = {"direction": "upload", "what": "f", "store": "s", "files": 1, "workers": 8}
    view.take(
        TransferStarted(**ABOUT, name_of_run="f", layout=layout, size=1000, look_ahead=16, bandwidth=None, **more)
    )
    return view


def chunk(state: ChunkState, size: int = 400, stored: int = 100) -> ChunkMoved:
    return ChunkMoved(**ABOUT, file=1, chunk=1, state=state, size=size, stored=stored)


def test_what_is_settled_counts_once_and_what_was_begun_before_with_it() -> None:
    view = started("framed")
    view.take(FileStarted(**ABOUT, file=1, path="f", size=1000, begun=200))
    for state in ChunkState:
        view.take(chunk(state))
    assert (view.done, view.moved, view.retries) == (1000, 100, 1)
    assert view.text().startswith("100 % of 0 MB")


def test_of_a_stream_files_count() -> None:
    view = started("stream")
    view.take(chunk(ChunkState.STORED))
    assert (view.done, view.moved) == (0, 100)
    view.take(FileUploaded(**ABOUT, file=1, path="f", size=1000, digest=""))
    assert view.done == 1000


def test_what_failed_is_told_and_a_new_beginning_forgets_it() -> None:
    view = started("framed")
    view.take(FileFailed(**ABOUT, file=1, path="f", message="no"))
    assert view.text().endswith("1 failed")
    view.take(
        started_again := TransferStarted(
            **ABOUT,
            name_of_run="f",
            direction="upload",
            what="f",
            store="s",
            layout="framed",
            files=1,
            size=10,
            workers=1,
            look_ahead=1,
            bandwidth=None,
        )
    )
    assert started_again.size == view.size
    assert view.failed == 0
