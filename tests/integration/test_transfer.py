"""Whole transfers, as the engine does them: both layouts, resumed, verified, refused."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from streamconsole.engines.control import Command, Verb
from streamconsole.engines.errors import Refused, SideLost
from streamconsole.engines.states import RunState
from streamconsole.engines.supervisor import Ended
from streamconsole.engines.transfer import manifest as manifests
from streamconsole.engines.transfer.planning import plan
from streamconsole.engines.transfer.reading import Reader
from streamconsole.engines.transfer.settings import ChunkRetry, TransferSettings
from streamconsole.engines.workspace import chunks
from streamconsole.engines.workspace.chunks import TransferTotals
from streamconsole.session import Session, open_session

KIB = 1024
FAST = ChunkRetry(attempts=2, delay=0)
LAYOUTS = pytest.mark.parametrize("layout", ["framed", "stream"])


@pytest.fixture
async def session(tmp_path: Path) -> AsyncIterator[Session]:
    async with open_session(str(tmp_path / "workspace.db")) as opened:
        yield opened


class Transfers:
    """Does transfers between a folder of files and a store."""

    def __init__(self, session: Session, folder: Path) -> None:
        self.session = session
        self.folder = folder
        self.store = folder / "store"

    async def run(self, settings: TransferSettings) -> tuple[Ended, TransferTotals]:
        run = await self.session.transfer.create(await plan(settings))
        return await self.again(run.id)

    async def again(self, run: str, *, retry_failed: bool = False) -> tuple[Ended, TransferTotals]:
        ended = await (await self.session.supervisor.start(run, retry_failed=retry_failed))
        return ended, (await self.session.workspace.read(chunks.totals, [run]))[run]

    async def up(self, path: Path, **options: Any) -> tuple[Ended, TransferTotals]:
        options = {"retry": FAST, "store": str(self.store), **options}
        return await self.run(TransferSettings(upload=str(path), **options))

    async def down(self, manifest: Path | str, out: Path, **options: Any) -> tuple[Ended, TransferTotals]:
        options = {"retry": FAST, "store": str(self.store), **options}
        return await self.run(TransferSettings(download=str(manifest), out=str(out), **options))


@pytest.fixture
def transfers(session: Session, tmp_path: Path) -> Transfers:
    return Transfers(session, tmp_path)


def text(size: int) -> bytes:
    line = b'{"id": %d, "name": "customer", "city": "Porto", "note": "%x"}\n'
    out = bytearray()
    number = 0
    while len(out) < size:
        out += line % (number, hash((number, 7)) & 0xFFFFFF)
        number += 1
    return bytes(out[:size])


def beside(path: Path) -> Path:
    return path.with_name(path.name + ".manifest.json")


def stored(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and "manifests" not in path.parts)


SIZES = [0, 1, 4 * KIB - 1, 4 * KIB, 4 * KIB + 1, 512 * KIB - 1, 512 * KIB, 512 * KIB + 1, 9_000_001]


@LAYOUTS
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["text", "random"])
async def test_a_file_comes_back_byte_for_byte(
    transfers: Transfers, tmp_path: Path, layout: str, size: int, kind: str
) -> None:
    file, out = tmp_path / "file", tmp_path / "out"
    file.write_bytes(text(size) if kind == "text" else os.urandom(size))
    file.chmod(0o640)
    ended, totals = await transfers.up(file, layout=layout)
    assert ended.state is RunState.COMPLETED, ended.error
    assert (totals.files_done, totals.failed, totals.bytes_done) == (1, 0, size)
    ended, _ = await transfers.down(beside(file), out)
    assert ended.state is RunState.COMPLETED, ended.error
    assert out.read_bytes() == file.read_bytes()
    assert (out.stat().st_mtime_ns, stat.S_IMODE(out.stat().st_mode)) == (file.stat().st_mtime_ns, 0o640)
    assert {path.name for path in tmp_path.iterdir()} - {"workspace.db-wal", "workspace.db-shm"} == {
        "file",
        "file.manifest.json",
        "out",
        "store",
        "workspace.db",
        "workspace.db.locks",
    }


@LAYOUTS
async def test_a_tree_comes_back_with_modes_times_and_links(transfers: Transfers, tmp_path: Path, layout: str) -> None:
    tree, out = tmp_path / "tree", tmp_path / "out"
    (tree / "a" / "deep").mkdir(parents=True)
    (tree / "nothing").mkdir()
    (tree / "a" / "deep" / "big").write_bytes(text(5_000_000))
    for number in range(30):
        (tree / "a" / f"small {number} ü").write_bytes(os.urandom(number * 100))
    (tree / "link").symlink_to("/etc/passwd")
    (tree / "a" / "up").symlink_to("../nothing")
    os.mkfifo(tree / "pipe")
    (tree / "a" / "deep").chmod(0o500)
    os.utime(tree / "nothing", ns=(1, 1_000_000_007))
    ended, totals = await transfers.up(tree, layout=layout)
    assert ended.state is RunState.COMPLETED, ended.error
    assert totals.files_done == 31
    ended, _ = await transfers.down(beside(tree), out)
    assert ended.state is RunState.COMPLETED, ended.error
    (tree / "pipe").unlink()
    assert described(out) == described(tree) | {"": described(out)[""]}
    assert (out / "link").readlink() == Path("/etc/passwd")


def described(top: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in [top, *top.rglob("*")]:
        about = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(about.st_mode) else b""
        where = str(path.readlink()) if path.is_symlink() else ""
        found["" if path == top else str(path.relative_to(top))] = (about.st_mode, about.st_mtime_ns, content, where)
    return found


@LAYOUTS
async def test_what_is_there_already_is_not_sent_again(transfers: Transfers, tmp_path: Path, layout: str) -> None:
    file = tmp_path / "file"
    file.write_bytes(text(6_000_000))
    _, first = await transfers.up(file, layout=layout)
    before = {path: path.stat().st_ino for path in stored(transfers.store)}
    _, second = await transfers.up(file, layout=layout)
    assert (second.stored, second.bytes_sent) == (0, 0)
    assert second.present == first.stored + first.present
    assert {path: path.stat().st_ino for path in stored(transfers.store)} == before


async def test_equal_pieces_are_stored_once(transfers: Transfers, tmp_path: Path) -> None:
    file = tmp_path / "file"
    piece = os.urandom(512 * KIB)
    file.write_bytes(piece * 20)
    await transfers.up(file)
    assert len(stored(transfers.store)) == 1


@LAYOUTS
async def test_stopped_and_resumed_no_settled_byte_is_read_again(
    transfers: Transfers, tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_bytes(os.urandom(40_000_000))
    settings = TransferSettings(upload=str(file), store=str(transfers.store), layout=layout, workers=2, bandwidth=10**7)
    run = await transfers.session.transfer.create(await plan(settings))
    journal = transfers.session.bus.journal()
    working = await transfers.session.supervisor.start(run.id)
    settled = 0
    async for event in journal:
        settled += getattr(event, "state", "") == "stored"
        if settled == 20:
            break
    outcome = await transfers.session.supervisor.command(Command(run.id, Verb.STOP))
    assert outcome.done, outcome
    assert (await working).state is RunState.PAUSED
    records = await transfers.session.workspace.read(chunks.chunks_of, run.id, 1)
    (known,) = await transfers.session.workspace.read(chunks.files_of, run.id)
    assert 0 < known.hashed < 40_000_000

    read: list[tuple[int, int]] = []
    honest = Reader.read

    def watched(self: Reader, lo: int, size: int) -> memoryview:
        read.append((lo, lo + size))
        return honest(self, lo, size)

    monkeypatch.setattr(Reader, "read", watched)
    monkeypatch.setattr("streamconsole.engines.transfer.tuning.Tuning.line", nothing)
    ended, totals = await transfers.again(run.id)
    assert ended.state is RunState.COMPLETED, ended.error
    if layout == "framed":
        assert not [(each.lo, at) for each in records for at in read if each.lo < at[1] and at[0] < each.lo + each.size]
    else:
        assert min(lo for lo, _ in read) == known.hashed
    assert totals.failed == 0
    monkeypatch.undo()
    ended, _ = await transfers.down(beside(file), tmp_path / "out")
    assert ended.state is RunState.COMPLETED, ended.error
    assert (tmp_path / "out").read_bytes() == file.read_bytes()


async def nothing(*_: object) -> None:
    return None


@LAYOUTS
async def test_a_file_that_changed_since_is_done_anew(transfers: Transfers, tmp_path: Path, layout: str) -> None:
    file = tmp_path / "file"
    file.write_bytes(text(3_000_000))
    settings = TransferSettings(upload=str(file), store=str(transfers.store), layout=layout, bandwidth=200_000)
    run = await transfers.session.transfer.create(await plan(settings))
    working = await transfers.session.supervisor.start(run.id)
    journal = transfers.session.bus.journal()
    async for event in journal:
        if getattr(event, "state", "") == "stored":
            break
    await transfers.session.supervisor.command(Command(run.id, Verb.STOP))
    assert (await working).state is RunState.PAUSED
    file.write_bytes(text(2_000_000) + b"changed")
    journal = transfers.session.bus.journal()
    ended, _ = await transfers.again(run.id)
    assert ended.state is RunState.COMPLETED, ended.error
    assert "FileChanged" in [event.name for event in journal.drain()]
    await transfers.down(beside(file), tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == file.read_bytes()


async def test_a_file_that_changes_while_it_is_read_fails_and_leaves_no_manifest(
    transfers: Transfers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_bytes(text(6_000_000))
    honest = Reader.read

    def changing(self: Reader, lo: int, size: int) -> memoryview:
        with file.open("r+b") as opened:
            opened.write(b"new")
        os.utime(file, ns=(5, 5))
        return honest(self, lo, size)

    monkeypatch.setattr(Reader, "read", changing)
    journal = transfers.session.bus.journal()
    ended, totals = await transfers.up(file)
    assert ended.state is RunState.COMPLETED
    assert totals.files_failed == 1
    (failed,) = [event for event in journal.drain() if event.name == "FileFailed"]
    assert "changed while it was read" in failed.data()["message"]
    assert not beside(file).exists()
    monkeypatch.undo()
    ended, totals = await transfers.again(ended.run, retry_failed=True)
    assert (ended.state, totals.files_failed, totals.files_done) == (RunState.COMPLETED, 0, 1)
    assert beside(file).exists()


async def test_of_a_tree_what_cannot_be_read_is_named_and_the_rest_goes_on(
    transfers: Transfers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("a", "b", "c"):
        (tree / name).write_bytes(text(10_000))
    (tree / os.fsdecode(b"bad\xff")).write_bytes(b"x")
    honest = Reader.open

    def vanished(self: Reader) -> Reader:
        (tree / "b").unlink(missing_ok=True)
        return honest(self)

    monkeypatch.setattr(Reader, "open", vanished)
    journal = transfers.session.bus.journal()
    _, totals = await transfers.up(tree)
    assert totals.files_failed == 2
    messages = " ".join(event.data()["message"] for event in journal.drain() if event.name == "FileFailed")
    assert "No such file" in messages
    assert "not UTF-8" in messages
    assert not beside(tree).exists()


@LAYOUTS
@pytest.mark.parametrize("damage", ["missing", "changed", "cut", "swapped", "empty"])
async def test_a_wrong_chunk_is_named_and_nothing_is_left_under_the_name(
    transfers: Transfers, tmp_path: Path, layout: str, damage: str
) -> None:
    file, out = tmp_path / "file", tmp_path / "out"
    file.write_bytes(os.urandom(2_000_000))
    await transfers.up(file, layout=layout)
    manifest = manifests.read(beside(file))
    digest = manifest.files[0].chunks[1][0]
    (wrong,) = [path for path in stored(transfers.store) if path.name == digest]
    other = next(path for path in stored(transfers.store) if path.name != digest and path.stat().st_size > 400_000)
    whole = wrong.read_bytes()
    if damage == "missing":
        wrong.unlink()
    else:
        wrong.write_bytes(
            {
                "changed": whole[:-1] + bytes([whole[-1] ^ 1]),
                "cut": whole[:1000],
                "swapped": other.read_bytes(),
                "empty": b"",
            }[damage]
        )
    journal = transfers.session.bus.journal()
    ended, totals = await transfers.down(beside(file), out)
    assert ended.state is RunState.COMPLETED
    assert (totals.files_failed, totals.failed) == (1, 1)
    (failed,) = [event for event in journal.drain() if event.name == "FileFailed"]
    assert "chunk 2" in str(failed.data()["failures"])
    assert not out.exists()
    wrong.write_bytes(whole)
    ended, totals = await transfers.again(ended.run, retry_failed=True)
    assert (ended.state, totals.files_failed) == (RunState.COMPLETED, 0)
    assert out.read_bytes() == file.read_bytes()
    if layout == "framed":
        assert totals.present == len(manifest.files[0].chunks) - 1


@LAYOUTS
async def test_a_download_stopped_and_resumed_keeps_what_is_right_on_disk(
    transfers: Transfers, tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamconsole.engines.transfer.downloading.KEPT_EVERY", 1)
    file, out = tmp_path / "file", tmp_path / "out"
    file.write_bytes(os.urandom(30_000_000))
    await transfers.up(file, layout=layout)
    settings = TransferSettings(
        download=str(beside(file)), out=str(out), store=str(transfers.store), look_ahead=2, bandwidth=10**7
    )
    run = await transfers.session.transfer.create(await plan(settings))
    working = await transfers.session.supervisor.start(run.id)
    journal, settled = transfers.session.bus.journal(), 0
    async for event in journal:
        settled += getattr(event, "state", "") == "stored"
        if settled == 20:
            break
    await transfers.session.supervisor.command(Command(run.id, Verb.STOP))
    assert (await working).state is RunState.PAUSED
    assert not out.exists()
    if layout == "framed":
        # What was damaged on the disk meanwhile is not kept.
        part = next(tmp_path.glob(".out*part"))
        with part.open("r+b") as opened:
            opened.seek(600_000)
            opened.write(b"damage")
    monkeypatch.setattr("streamconsole.engines.transfer.tuning.Tuning.line", nothing)
    ended, totals = await transfers.again(run.id)
    assert ended.state is RunState.COMPLETED, ended.error
    assert out.read_bytes() == file.read_bytes()
    assert totals.present >= 8


async def test_a_store_that_is_full_or_gone_stops_the_run_and_it_resumes(
    transfers: Transfers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    from streamconsole.engines.transfer.stores.directory import DirectoryStore

    file = tmp_path / "file"
    file.write_bytes(os.urandom(4_000_000))
    honest, count = DirectoryStore._put, 0

    def full(self: DirectoryStore, path: Path, data: bytes) -> bool:
        nonlocal count
        count += 1
        if count > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return honest(self, path, data)

    monkeypatch.setattr(DirectoryStore, "_put", full)
    ended, _ = await transfers.up(file)
    assert ended.state is RunState.FAILURE
    assert isinstance(ended.error, SideLost)
    assert "free some space" in str(ended.error)
    monkeypatch.undo()
    ended, totals = await transfers.again(ended.run)
    assert (ended.state, totals.files_done) == (RunState.COMPLETED, 1)
    assert beside(file).exists()


async def test_what_cannot_begin_is_refused_before_anything_is_written(transfers: Transfers, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    with pytest.raises(Refused, match="No such file"):
        await transfers.up(tmp_path / "none")
    with pytest.raises(Refused, match="no folder"):
        await transfers.up(file, manifest=str(tmp_path / "none" / "m.json"))
    await transfers.up(file)
    (tmp_path / "there").write_bytes(b"mine")
    with pytest.raises(Refused, match="there already"):
        await transfers.down(beside(file), tmp_path / "there")
    assert (tmp_path / "there").read_bytes() == b"mine"
    ended, _ = await transfers.up(file, store=str(tmp_path / "none" / "store"))
    assert isinstance(ended.error, Refused)
    assert "mount it" in str(ended.error)


async def test_a_manifest_in_the_store_serves_as_well(transfers: Transfers, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(text(100_000))
    await transfers.up(file)
    (kept,) = (transfers.store / "manifests").iterdir()
    beside(file).unlink()
    ended, _ = await transfers.down(f"manifests/{kept.name}", tmp_path / "out")
    assert ended.state is RunState.COMPLETED, ended.error
    assert (tmp_path / "out").read_bytes() == file.read_bytes()


async def test_paused_no_chunk_begins_and_resumed_they_do(transfers: Transfers, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(os.urandom(20_000_000))
    settings = TransferSettings(upload=str(file), store=str(transfers.store), workers=2, bandwidth=10**7)
    run = await transfers.session.transfer.create(await plan(settings))
    journal = transfers.session.bus.journal()
    working = await transfers.session.supervisor.start(run.id)
    async for event in journal:
        if getattr(event, "state", "") == "stored":
            break
    supervisor = transfers.session.supervisor
    assert (await supervisor.command(Command(run.id, Verb.PAUSE))).done
    snapshot = supervisor.snapshot(run.id)
    while snapshot is not None and snapshot.active:
        async for event in journal:
            if getattr(event, "state", "") == "stored":
                break
        snapshot = supervisor.snapshot(run.id)
    journal.drain()
    assert (await supervisor.command(Command(run.id, Verb.WORKERS, args={"count": 5, "bandwidth": 0}))).done
    assert not [event for event in journal.drain() if event.name == "ChunkMoved" and event.data()["state"] == "sending"]
    refused = await supervisor.command(Command(run.id, Verb.WORKERS, args={"count": 500}))
    assert not refused.done
    limited = await supervisor.command(Command(run.id, Verb.RATE, args={"rate": "20MB/s"}))
    assert limited.text.endswith("20,971,520 bytes/s")
    assert not (await supervisor.command(Command(run.id, Verb.RATE, args={"rate": "5 rows/s"}))).done
    assert (await supervisor.command(Command(run.id, Verb.RESUME))).done
    assert (await working).state is RunState.COMPLETED
