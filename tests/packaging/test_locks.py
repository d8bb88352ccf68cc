"""The locks pin everything by hash and say nothing of where they were made."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.packaging.tools import ROOT

LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
PIN = re.compile(
    r"^([a-z0-9._-]+)==([^ ;\\]+)(?: ; [^\\]+)? \\\n((?:    --hash=sha256:[0-9a-f]{64}[^\n]*\n)+)",
    re.MULTILINE,
)


def pins(name: str) -> dict[str, Version]:
    """What a lock pins: name → version."""
    text = (ROOT / "requirements" / f"{name}.lock").read_text()
    return {canonicalize_name(found[1]): Version(found[2]) for found in PIN.finditer(text)}


def wanted(*, extras: bool = False, group: str = "") -> list[Requirement]:
    """What pyproject.toml asks for, by itself, with all extras, or in a group."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lines: list[str] = []
    if group:
        lines = [line for line in project["dependency-groups"][group] if isinstance(line, str)]
    elif extras:
        lines = [line for more in project["project"]["optional-dependencies"].values() for line in more]
    else:
        lines = project["project"]["dependencies"]
    return [Requirement(line) for line in lines]


def test_there_are_three() -> None:
    assert [lock.stem for lock in LOCKS] == ["build", "dev", "runtime"]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_no_host_and_no_path(lock: Path) -> None:
    telling = r".*(?:(?<![\w.-])/|//|@|http|--index|--find-links|--trusted|file:).*"
    assert re.findall(telling, lock.read_text()) == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_every_pin_has_a_hash(lock: Path) -> None:
    named = re.findall(r"^([a-z0-9._-]+)", lock.read_text(), re.MULTILINE)
    assert [canonicalize_name(name) for name in named] == list(pins(lock.stem))


@pytest.mark.parametrize(
    ("lock", "asked"),
    [
        ("runtime", wanted()),
        ("build", wanted(group="build")),
        ("dev", [*wanted(), *wanted(extras=True), *wanted(group="build"), *wanted(group="dev")]),
    ],
    ids=["runtime", "build", "dev"],
)
def test_everything_asked_for_is_pinned(lock: str, asked: list[Requirement]) -> None:
    have = pins(lock)
    missing = [str(r) for r in asked if canonicalize_name(r.name) not in have]
    assert missing == []
    assert [str(r) for r in asked if have[canonicalize_name(r.name)] not in r.specifier] == []


@pytest.mark.parametrize("lock", ["runtime", "build"])
def test_tests_run_what_users_run(lock: str) -> None:
    dev = pins("dev")
    assert {name: dev.get(name) for name in pins(lock)} == pins(lock)
