from __future__ import annotations

import hashlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamconsole.engines.transfer import digests
from streamconsole.engines.transfer.digests import RunningDigest


@given(st.lists(st.binary(max_size=5000), max_size=8))
def test_a_digest_kept_in_the_middle_goes_on_where_it_was(parts: list[bytes]) -> None:
    digest = RunningDigest()
    for part in parts:
        state = digest.state()
        assert state is not None
        digest = RunningDigest(state)
        digest.update(bytearray(part))
    assert digest.hexdigest() == hashlib.sha256(b"".join(parts)).hexdigest()
    assert digest.hexdigest() == digest.hexdigest()


def test_every_kind_of_buffer_is_taken() -> None:
    data = os.urandom(100_000)
    for kind in (bytes, bytearray, memoryview, lambda each: memoryview(bytearray(each))[:]):
        digest = RunningDigest()
        digest.update(kind(data))
        digest.update(b"")
        assert digest.hexdigest() == hashlib.sha256(data).hexdigest()


def test_without_openssl_the_digest_is_right_and_cannot_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "_openssl", lambda: None)
    digest = RunningDigest("openssl-sha256-1:" + "0" * 224)
    digest.update(b"abc")
    assert digest.state() is None
    assert digest.hexdigest() == hashlib.sha256(b"abc").hexdigest()


def test_what_is_no_state_is_not_taken_for_one() -> None:
    state = RunningDigest().state()
    assert state is not None
    assert digests.is_state(state)
    for wrong in ("", "x" * len(state), state[:-1], state + "0", state.replace("1:", "2:")):
        assert not digests.is_state(wrong)
