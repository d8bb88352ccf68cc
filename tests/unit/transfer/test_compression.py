from __future__ import annotations

import os

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from streamconsole.engines.transfer.compression import Decompression, compress, pack, unpack


@given(st.binary(max_size=20_000), st.sampled_from([-5, 1, 3, 9]))
def test_a_chunk_comes_back_as_it_was(data: bytes, level: int) -> None:
    assert bytes(unpack(pack(data, level), len(data))) == data


def test_what_does_not_shrink_is_stored_as_it_is() -> None:
    data = os.urandom(8192)
    assert pack(data, 3) is data


@pytest.mark.parametrize("size", [0, 1, 999, 1001, 10**9])
def test_a_chunk_of_another_size_than_declared_is_refused(size: int) -> None:
    stored = pack(b"a" * 1000, 3)
    with pytest.raises(ValueError, match="as much as the manifest says"):
        unpack(stored, size)


def test_damage_and_what_follows_a_frame_are_refused() -> None:
    stored = bytes(pack(bytes(range(256)) * 40, 3))
    for wrong in (stored[:-1], stored + b"x", b"junk" + stored[4:], stored + stored):
        with pytest.raises(ValueError, match=r"cannot be|as much as"):
            unpack(wrong, 256 * 40)


@given(st.lists(st.binary(min_size=1, max_size=30_000), max_size=5), st.integers(1, 9000))
def test_frames_one_after_the_other_come_out_whatever_the_pieces(frames: list[bytes], step: int) -> None:
    stream = b"".join(compress(frame, 3) for frame in frames)
    decompression, out = Decompression(sum(map(len, frames))), b""
    ends, at = [], 0
    totals = [sum(map(len, frames[:count])) for count in range(len(frames) + 1)]
    for start in range(0, len(stream), step):
        pieces, boundary = decompression.feed(stream[start : start + step])
        out += b"".join(pieces)
        if boundary is not None:
            ends.append(start + boundary[1])
            assert len(out) - len(b"".join(pieces[boundary[0] :])) in totals
    assert out == b"".join(frames)
    assert decompression.between_frames
    for frame in frames:
        at += len(compress(frame, 3))
    assert not frames or ends[-1] == at


def test_a_stream_gives_no_more_than_was_declared() -> None:
    bomb = zstandard.ZstdCompressor(level=19).compress(bytes(64 * 2**20))
    decompression = Decompression(100_000)
    with pytest.raises(ValueError, match="100,000 bytes declared"):
        decompression.feed(bomb)
    with pytest.raises(ValueError, match="damaged"):
        Decompression(None).feed(b"no zstd at all")
