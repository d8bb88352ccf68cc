"""What holds a secret is kept sealed, opened with its key alone, and the same text always looks the same."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamconsole.engines.errors import Refused
from streamconsole.engines.sealing import CLOSED, VARIABLE, is_closed, seal, unseal
from streamconsole.engines.states import EngineKind
from streamconsole.engines.workspace import Workspace, runs
from streamconsole.engines.workspace.nodes import Node

URL = "postgresql://ann:s3cret@db/shop#t"
SPEC = {"source": URL, "target": "shop.db", "steps": [{"dsn": "host=h password=hidden1"}], "workers": 4, "none": None}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder without a key."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv(VARIABLE, raising=False)
    return tmp_path / "config"


def another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, base64.b64encode(os.urandom(64)).decode())


def test_what_holds_a_secret_is_sealed_and_nothing_else() -> None:
    kept = seal(SPEC)
    assert "s3cret" not in str(kept)
    assert "hidden1" not in str(kept)
    assert {name: kept[name] for name in ("target", "workers", "none")} == {
        "target": "shop.db",
        "workers": 4,
        "none": None,
    }
    assert unseal(kept) == SPEC
    assert seal(SPEC) == kept


@given(st.text())
def test_whatever_a_text_says_comes_back(text: str) -> None:
    for each in (text, f"sealed:1:{text}", f"x://u:{text}@h"):
        try:
            each.encode()
        except UnicodeEncodeError:
            continue
        assert unseal(seal({"a": [each]})) == {"a": [each]}


def test_the_key_is_the_users_alone(home: Path) -> None:
    seal(SPEC)
    key = home / "streamconsole" / "key"
    assert key.stat().st_mode & 0o077 == 0
    assert key.parent.stat().st_mode & 0o077 == 0
    assert [path.name for path in key.parent.iterdir()] == ["key"]


def test_without_secrets_no_key_is_made(home: Path) -> None:
    assert seal({"source": "a.csv"}) == {"source": "a.csv"}
    assert not home.exists()


def test_another_key_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = seal(SPEC)
    another_key(monkeypatch)
    opened = unseal(kept)
    assert opened["source"] == CLOSED
    assert is_closed(opened)
    assert not is_closed(SPEC)


@pytest.mark.parametrize("key", ["", "short", base64.b64encode(b"x" * 32).decode(), "ä" * 40])
def test_a_key_that_is_none_is_refused(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, key)
    with pytest.raises(Refused, match=VARIABLE):
        seal(SPEC)


def test_a_key_that_cannot_be_made_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    with pytest.raises(Refused, match="cannot be read or made"):
        seal(SPEC)


async def test_a_workspace_holds_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w.db"
    workspace = await Workspace.open(str(path))
    try:
        run = await workspace.write(runs.create, EngineKind.MIGRATION, "orders", SPEC, {"url": URL})
        assert (run.spec, run.plan) == (SPEC, {"url": URL})
        assert (await workspace.read(runs.newest_like, EngineKind.MIGRATION, "orders", SPEC)) == run
        another_key(monkeypatch)
        assert (await workspace.read(runs.get, run.id)).spec["source"] == CLOSED
        node = Node("n", "h", "b", 1, 0)
        with pytest.raises(Refused, match="sealed with another key"):
            await workspace.write(runs.claim, run.id, node, workspace.locks)
    finally:
        await workspace.close()
    for file in tmp_path.glob("w.db*"):
        if file.is_file():
            assert b"s3cret" not in file.read_bytes()
            assert b"hidden1" not in file.read_bytes()
