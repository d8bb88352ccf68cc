"""Compressed sources: read forward, laid out window by window, and cleared away."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

import pytest
import zstandard

from streamconsole.engines.errors import Refused, SideLost
from streamconsole.engines.migration.compression import Compression
from streamconsole.engines.migration.locations import bare_source_of
from streamconsole.engines.migration.settings import MigrationSettings
from streamconsole.engines.migration.sources import packed
from streamconsole.engines.migration.sources.packed import PackedFile
from streamconsole.engines.units import Window

KINDS = [Compression.GZIP, Compression.ZSTD]


def source(path: Path, rows: int = 10) -> Any:
    return bare_source_of(MigrationSettings(source=str(path), target="/x.ndjson", window_rows=rows))


def lines(count: int) -> bytes:
    return b"".join(b'{"id":%d,"text":"%s"}\n' % (n, b"x" * 50) for n in range(count))


def pieces(kind: Compression, content: bytes, size: int) -> bytes:
    """A file of several members or frames."""
    return b"".join(kind.compress(content[at : at + size]) for at in range(0, len(content), size))


def rows_of(found: Any, window: Window) -> list[dict[str, Any]]:
    return [row for _, row in found.reader.rows(window, lambda *_: None)]


def windows_of(found: Any) -> list[Window]:
    windows: list[Window] = []
    lo = found.align(0)
    while (window := found.cut(len(windows) + 1, lo, 0)) is not None:
        windows.append(window)
        lo = window.hi
    return windows


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [37, 10**9])
def test_a_compressed_file_is_the_file_in_it(tmp_path: Path, kind: Compression, size: int) -> None:
    plain, packed_ = tmp_path / "f.ndjson", tmp_path / f"f.ndjson{kind}"
    plain.write_bytes(lines(95))
    packed_.write_bytes(pieces(kind, plain.read_bytes(), size))
    one, other = source(plain), source(packed_)
    # The sample of a plain file goes on with rows from places spread over it.
    assert other.inspect().sample == one.inspect().sample[:95]
    windows = windows_of(other)
    assert windows == windows_of(one)
    assert [row for each in windows for row in rows_of(other, each)] == one.inspect().sample[:95]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("f.csv", b"id,v\n1,a\n2,b\n"),
        ("f.json", b'[{"id":1,"v":"a"},{"id":2,"v":"b"}]'),
        ("f.tsv", b"id\tv\n1\ta\n2\tb\n"),
    ],
)
def test_every_form_may_be_compressed(tmp_path: Path, kind: Compression, name: str, content: bytes) -> None:
    path = tmp_path / f"{name}{kind}"
    path.write_bytes(kind.compress(content))
    found = source(path, rows=1)
    assert [row for each in windows_of(found) for row in rows_of(found, each)] == [
        {"id": 1, "v": "a"},
        {"id": 2, "v": "b"},
    ]


def test_windows_are_laid_out_privately_and_cleared(tmp_path: Path) -> None:
    path = tmp_path / "f.ndjson.gz"
    path.write_bytes(gzip.compress(lines(30)))
    found = source(path)
    first, second, third = windows_of(found)
    folder = found.file.content.folder
    assert folder.stat().st_mode & 0o077 == 0
    assert {int(each.name) for each in folder.iterdir()} == {first.lo, second.lo, third.lo}
    assert all(each.stat().st_mode & 0o077 == 0 for each in folder.iterdir())
    found.file.clear(second)
    with pytest.raises(SideLost):
        rows_of(found, second)
    # Done again: found by reading forward from the start.
    found.file.lay_out(second)
    assert [row["id"] for row in rows_of(found, second)] == list(range(10, 20))
    found.file.close()
    assert not folder.exists()


def test_windows_of_an_earlier_process_are_found_in_one_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f.ndjson.zst"
    path.write_bytes(zstandard.compress(lines(100)))
    windows = windows_of(source(path))
    again = source(path)
    opened: list[PackedFile] = []
    real = PackedFile._open

    def counted(file: PackedFile) -> IO[bytes]:
        opened.append(file)
        return real(file)

    monkeypatch.setattr(PackedFile, "_open", counted)
    for window in windows[3:]:
        again.file.lay_out(window)
        again.file.keep_from(window.hi)
    assert [row["id"] for each in windows[3:] for row in rows_of(again, each)] == list(range(30, 100))
    assert len(opened) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_off_gives_what_is_there_and_is_then_a_lost_side(tmp_path: Path, kind: Compression) -> None:
    content = b"".join(os.urandom(40).hex().encode().join([b'{"a":"', b'"}\n']) for _ in range(60_000))
    whole = kind.compress(content)
    path = tmp_path / f"f.ndjson{kind}"
    path.write_bytes(whole[: len(whole) * 3 // 4])
    found = source(path, rows=5000)
    windows: list[Window] = []

    def cut_all() -> None:
        while True:
            windows.append(found.cut(len(windows) + 1, windows[-1].hi if windows else 0, 0))

    with pytest.raises(SideLost, match=r"cut off|broken"):
        cut_all()
    assert len(windows) >= 3
    # The last of them holds what rows are whole before the break.
    assert [len(rows_of(found, each)) for each in windows] == [each.rows for each in windows]
    assert windows[0].rows == 5000


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_compressed_is_refused(tmp_path: Path, kind: Compression) -> None:
    path = tmp_path / f"f.ndjson{kind}"
    path.write_bytes(lines(3))
    with pytest.raises(Refused, match="is broken or cut off"):
        source(path).inspect()


def test_a_line_of_hundreds_of_megabytes_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "f.ndjson.zst"
    block = b"x" * 2**20
    with path.open("wb") as file, zstandard.ZstdCompressor(level=1).stream_writer(file) as out:
        out.write(b'{"a":1}\n{"a":"')
        for _ in range(200):
            out.write(block)
        out.write(b'"}\n{"a":3}\n')
    found = source(path)
    refused: list[str] = []
    windows = windows_of(found)
    assert sum(len(each) for _, each in found.file._blocks) <= packed.MOST_KEPT + 2**21
    rows = [
        row for each in windows for _, row in found.reader.rows(each, lambda _i, _c, reason: refused.append(reason))
    ]
    assert [row["a"] for row in rows] == [1, 3]
    assert len(refused) == 1


def test_what_killed_processes_left_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    left = tmp_path / f"{packed.FOLDER}{gone.stdout.strip()}-x"
    mine = tmp_path / f"{packed.FOLDER}{os.getpid()}-x"
    left.mkdir()
    mine.mkdir()
    packed.sweep()
    assert (left.exists(), mine.exists()) == (False, True)
