"""`make` says what it can do, and every target it names can be asked for."""

import shutil

import pytest

from tests.packaging.tools import run

TARGETS = ["demo", "run", "test", "lint", "types", "crash", "bench", "services", "docs", "clean"]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def test_make_alone_lists_the_targets() -> None:
    lines = [line.split(None, 1) for line in run("make").stdout.splitlines() if line.startswith("  ")]
    named = {words[0]: words[1] for words in lines}
    assert set(TARGETS) <= named.keys()
    assert all(len(line) < 100 for line in named.values())


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_can_be_asked_for(target: str) -> None:
    assert run("make", "--dry-run", target).stdout


def test_crash_takes_a_count() -> None:
    assert "CRASH_N=200" in run("make", "--dry-run", "crash", "N=200").stdout


def test_services_says_what_it_does() -> None:
    assert run("make", "services").stdout.strip()
