from __future__ import annotations

import json
import random
from collections import Counter
from functools import reduce
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streamconsole.engines.migration.verifying.canonical import json_line, table_rows
from streamconsole.engines.migration.verifying.digest import NO_ROWS, Digest, digest_of, hashes_of

ROWS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["", "a", "ab", None])), max_size=12)


def digest(rows: list[tuple[Any, ...]]) -> Digest:
    columns = [list(column) for column in zip(*rows, strict=True)] or [[], []]
    return digest_of(hashes_of(table_rows(columns)))


@given(ROWS, ROWS)
def test_digests_are_equal_just_when_the_rows_are(one: list[tuple[Any, ...]], other: list[tuple[Any, ...]]) -> None:
    assert (digest(one) == digest(other)) == (Counter(one) == Counter(other))


@given(ROWS, st.randoms(use_true_random=False), st.integers(1, 5))
def test_neither_order_nor_windows_matter(rows: list[tuple[Any, ...]], chance: random.Random, size: int) -> None:
    mixed = list(rows)
    chance.shuffle(mixed)
    parts = [digest(mixed[at : at + size]) for at in range(0, len(mixed), size)]
    assert reduce(Digest.__add__, parts, NO_ROWS) == digest(rows)


@given(ROWS.filter(bool))
def test_a_doubled_row_shows(rows: list[tuple[Any, ...]]) -> None:
    assert digest([*rows, rows[0]]) != digest(rows)


@given(ROWS)
def test_a_digest_is_read_as_it_was_written(rows: list[tuple[Any, ...]]) -> None:
    found = digest(rows)
    assert Digest.read(found.rows, found.text) == found


def test_types_do_not_matter_but_values_do() -> None:
    assert table_rows([[True, 5.0, -0.0]]) == table_rows([[1, 5, 0]])
    assert table_rows([[0.5]]) != table_rows([[1]])
    assert table_rows([["1"]]) != table_rows([[1]])
    assert table_rows([[b"a"]]) != table_rows([["a"]])


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def turned(value: Any) -> Any:
    """The same with the keys of every object in another order."""
    if isinstance(value, dict):
        return {key: turned(value[key]) for key in reversed(value)}
    return list(map(turned, value)) if isinstance(value, list) else value


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_the_order_of_keys_in_a_line_does_not_matter(row: dict[str, Any]) -> None:
    text = json.dumps(row)
    if "\\ud" in text:
        return
    assert json_line(text.encode()) == json_line(json.dumps(turned(row), indent=1).encode())


def test_integers_beyond_64_bits_keep_every_digit() -> None:
    assert json_line(b'{"n":123456789012345678901234567890}') != json_line(b'{"n":123456789012345678901234567891}')
