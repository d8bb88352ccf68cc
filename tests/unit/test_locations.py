"""From URLs to files: what stands in a folder's or a file's name never leads rows anywhere else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from streamconsole.engines.errors import Refused
from streamconsole.engines.migration.locations import absolute, name_of, source_of, target_of
from streamconsole.engines.migration.settings import MigrationSettings
from streamconsole.engines.migration.targets.files import FileTarget
from streamconsole.engines.migration.targets.sqlite import SqliteTarget
from streamconsole.engines.workspace.workspace import path_of

FOLDERS = ["plain", "with blank", "with#mark", "50%25 off", "why?", "#", "ä"]


def settings(folder: Path, target: str, source: str = "generate://users?count=5") -> MigrationSettings:
    return MigrationSettings(source=absolute(source, folder), target=absolute(target, folder))


@pytest.mark.parametrize("name", FOLDERS)
def test_a_table_stays_in_the_folder_it_was_asked_for_in(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    asked = settings(folder, "sqlite:///my%20shop.db#big%20customers")
    target = target_of(asked)
    assert isinstance(target, SqliteTarget)
    assert (target.path, target.name) == (folder / "my shop.db", "big customers")
    assert name_of(asked) == "big customers"


@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize("file", ["out.ndjson", "out#2.ndjson"])
def test_a_file_stays_in_the_folder_it_was_asked_for_in(name: str, file: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    asked = settings(folder, file)
    target = target_of(asked)
    assert isinstance(target, FileTarget)
    assert target.path == folder / file
    assert name_of(asked) == file.removesuffix(".ndjson")


@pytest.mark.parametrize("name", FOLDERS)
def test_a_workspace_stays_in_the_folder_of_its_runbook(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    for url in ("state/w.db", "sqlite:///state/w.db"):
        assert path_of(absolute(url, folder)) == folder / "state" / "w.db"


def test_a_fragment_after_a_file_means_nothing(tmp_path: Path) -> None:
    target = target_of(settings(tmp_path, "out.ndjson#part"))
    assert isinstance(target, FileTarget)
    assert target.path == tmp_path / "out.ndjson"


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        ("generate://users", "generate://users", "SOURCE comes before TARGET"),
        ("generate://users", "sqlite:///shop.db?mode=ro#t", "?mode=ro is not known"),
        ("generate://users", "shop.db", "sqlite:///"),
    ],
)
def test_mistakes_are_named(source: str, target: str, words: str, tmp_path: Path) -> None:
    asked = settings(tmp_path, target, source)
    with pytest.raises(Refused, match=re.escape(words)):
        assert not (source_of(asked), target_of(asked))
