from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamconsole.engines.transfer.sizes import KIB, LARGEST, MOST_CHUNKS, ChunkSizes, chunk_size_for, next_chunk_size

MOST, LEAST = 512 * KIB, 4 * KIB


@pytest.mark.parametrize(
    ("buffered", "size", "at_end"),
    [
        (0, 0, 0),
        (1, 0, 1),
        (LEAST - 1, 0, LEAST - 1),
        (LEAST, LEAST, LEAST),
        (LEAST + 1, LEAST, LEAST),
        (300 * KIB, 256 * KIB, 256 * KIB),
        (MOST - 1, MOST // 2, MOST // 2),
        (MOST, MOST, MOST),
        (MOST + 1, MOST, MOST),
        (10 * MOST, MOST, MOST),
    ],
)
def test_what_is_buffered_says_how_big_the_next_chunk_is(buffered: int, size: int, at_end: int) -> None:
    assert next_chunk_size(buffered) == size
    assert next_chunk_size(buffered, ended=True) == at_end


@given(st.integers(0, 5 * MOST))
def test_a_chunk_is_the_largest_halving_that_fits(buffered: int) -> None:
    size = next_chunk_size(buffered)
    fitting = [MOST >> n for n in range(8) if MOST >> n <= buffered]
    assert size == (fitting[0] if fitting else 0)


@given(st.integers(0, 20 * MOST))
def test_at_the_end_everything_is_cut_and_nothing_is_empty(buffered: int) -> None:
    left, tail = buffered, []
    while size := next_chunk_size(left, ended=True):
        tail.append(size)
        left -= size
    assert left == 0
    assert sum(tail) == buffered
    assert all(0 < size <= MOST for size in tail)
    # Halving adds few small ones: one of each size, and the rest.
    assert sum(size < MOST for size in tail) <= 8


@given(st.integers(1, 1 << 20), st.integers(1, 1 << 22), st.integers(0, 1 << 23), st.booleans())
def test_bounds_hold_whatever_the_settings_are(least: int, most: int, buffered: int, ended: bool) -> None:
    sizes = ChunkSizes(max(most, least), least)
    size = next_chunk_size(buffered, ended=ended, sizes=sizes)
    assert size <= min(sizes.most, buffered)
    assert size >= least or (size == (buffered if ended else 0) and buffered < least)


def test_chunks_of_a_huge_file_are_larger() -> None:
    assert chunk_size_for(1 << 30, MOST) == MOST
    for size in (1 << 36, 1 << 38, 1 << 40):
        assert MOST < chunk_size_for(size, MOST) <= LARGEST
        assert size / chunk_size_for(size, MOST) <= MOST_CHUNKS
    assert chunk_size_for(1 << 50, MOST) == LARGEST
