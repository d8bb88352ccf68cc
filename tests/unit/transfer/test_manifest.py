from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamconsole.engines.errors import Refused
from streamconsole.engines.transfer import manifest as manifests
from streamconsole.engines.transfer.manifest import Entry, EntryType, Manifest
from streamconsole.engines.transfer.settings import Layout

DIGEST = "ab" * 32


def file(path: str, size: int = 10) -> Entry:
    return Entry(
        path=path, type=EntryType.FILE, mode=0o644, mtime_ns=1, size=size, sha256=DIGEST, chunks=((DIGEST, size, 5),)
    )


def made(*entries: Entry, **changed: Any) -> Manifest:
    about: dict[str, Any] = {
        "created_at": "2026-01-01T00:00:00Z",
        "kind": "directory",
        "name": "shop",
        "layout": Layout.FRAMED,
        "level": 3,
        "library": "zstd",
        "chunk_size": 4096,
        "entries": entries,
    }
    return Manifest(**(about | changed))


def resealed(data: dict[str, Any]) -> bytes:
    data.pop("digest", None)
    return orjson.dumps(data | {"digest": manifests._digest(data)})


def test_what_is_written_is_read_again() -> None:
    tree = made(
        Entry(path="a", type=EntryType.DIRECTORY, mode=0o755, mtime_ns=5),
        file("a/b ü"),
        Entry(path="l", type=EntryType.SYMLINK, mode=0o777, mtime_ns=5, target="../../etc/passwd"),
    )
    again = manifests.parse(manifests.dump(tree), "x")
    assert again.model_dump(exclude={"digest"}) == tree.model_dump(exclude={"digest"})
    assert len(again.digest) == 64


@given(st.data())
def test_a_manifest_cut_off_or_changed_anywhere_is_refused(data: st.DataObject) -> None:
    text = manifests.dump(made(file("a"), file("b")))
    at = data.draw(st.integers(0, len(text) - 2))
    with pytest.raises(Refused, match=r"cut off|changed|no manifest|not a manifest"):
        manifests.parse(text[:at], "x")
    changed = bytearray(text)
    changed[at] = changed[at] ^ data.draw(st.sampled_from([1, 2, 4, 64]))
    with pytest.raises(Refused):
        manifests.parse(bytes(changed), "x")


def test_one_of_a_newer_program_says_so() -> None:
    data = orjson.loads(manifests.dump(made(file("a"))))
    with pytest.raises(Refused, match=r"version 2.*newer"):
        manifests.parse(resealed(data | {"version": 2, "unheard_of": True}), "x")


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/passwd", "a//b", "./a", "a/.", "x\0y", ".."])
def test_a_name_that_leads_out_is_refused(path: str) -> None:
    data = orjson.loads(manifests.dump(made(file("a"))))
    data["entries"][0]["path"] = path
    with pytest.raises(Refused, match="is not used"):
        manifests.parse(resealed(data), "x")


@pytest.mark.parametrize("name", ["..", "a/b", "/x", "."])
def test_so_is_a_name_of_the_whole(name: str) -> None:
    data = orjson.loads(manifests.dump(made(file("a"))))
    with pytest.raises(Refused, match="is not used"):
        manifests.parse(resealed(data | {"name": name}), "x")


@pytest.mark.parametrize("digest", ["../" + "a" * 61, "AB" * 32, "ab" * 31, "zz" * 32, ""])
def test_a_digest_that_is_none_is_refused(digest: str) -> None:
    data = orjson.loads(manifests.dump(made(file("a"))))
    data["entries"][0]["chunks"][0][0] = digest
    with pytest.raises(Refused, match="chunks"):
        manifests.parse(resealed(data), "x")


def test_nothing_lies_below_a_link_or_stands_twice() -> None:
    link = Entry(path="d", type=EntryType.SYMLINK, mode=0o777, mtime_ns=1, target="/etc")
    with pytest.raises(Refused, match="no folder"):
        manifests.parse(manifests.dump(made(link, file("d/passwd"))), "x")
    with pytest.raises(Refused, match="twice"):
        manifests.parse(manifests.dump(made(file("a"), file("a"))), "x")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"size": 11}, "hold 10 bytes"),
        ({"size": 0}, "hold 10 bytes"),
        ({"sha256": None}, "no digest"),
        ({"chunks": []}, "hold 0 bytes"),
        ({"chunks": [[DIGEST, 10, 11]]}, "larger than"),
        ({"chunks": [[DIGEST, 5000, 10]], "size": 5000}, "larger than"),
        ({"mode": -1}, "mode"),
        ({"unknown": 1}, "unknown"),
        ({"size": "10"}, "size"),
    ],
)
def test_what_does_not_hang_together_is_refused(change: dict[str, Any], why: str) -> None:
    data = orjson.loads(manifests.dump(made(file("a"))))
    data["entries"][0].update(change)
    with pytest.raises(Refused, match=why):
        manifests.parse(resealed(data), "x")


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="cannot be read: No such file"):
        manifests.read(tmp_path / "none")
    (tmp_path / "x").write_text('{"a": 1}')
    with pytest.raises(Refused, match="not a manifest"):
        manifests.read(tmp_path / "x")
