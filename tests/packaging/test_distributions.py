"""What lands in site-packages is `streamconsole`, whole, and it runs there."""

import ast
import stat
import sys
import tarfile
from email.parser import HeaderParser
from importlib.metadata import packages_distributions
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from streamconsole import __version__
from tests.packaging.tools import ROOT, Built, run

LINKED = ("engines", "screens", "themes")
# SQLAlchemy's asyncio side needs it, and asks for it on some machines only.
NOT_IMPORTED_HERE = {"greenlet", "tzdata"}


def own_files() -> set[str]:
    """Every file of the application, named as in the package."""
    found = set()
    for folder, prefix in [("streamconsole", ""), *((name, "streamconsole/") for name in LINKED)]:
        for path in (ROOT / folder).rglob("*"):
            inside = path.relative_to(ROOT)
            if path.is_file() and "__pycache__" not in inside.parts:
                found.add(f"{prefix}{inside}")
    return found


def requirements(wheel: Path, *, extras: bool) -> set[str]:
    """The distributions that the wheel says it needs, always or with all extras."""
    with ZipFile(wheel) as archive:
        [name] = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
        metadata = HeaderParser().parsestr(archive.read(name).decode())
    needs = [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]
    return {canonicalize_name(need.name) for need in needs if extras or "extra" not in str(need.marker)}


def imported(wheel: Path) -> set[str]:
    """The distributions of other people whose modules the wheel's modules import."""
    names: set[str] = set()
    with ZipFile(wheel) as archive:
        for member in archive.namelist():
            if not member.endswith(".py"):
                continue
            for node in ast.walk(ast.parse(archive.read(member))):
                if isinstance(node, ast.Import):
                    names.update(alias.name.partition(".")[0] for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    names.add(node.module.partition(".")[0])
    owners = packages_distributions()
    others = names - sys.stdlib_module_names - {"streamconsole"}
    return {canonicalize_name(owners[name][0]) if name in owners else f"{name}?" for name in others}


@pytest.mark.parametrize("name", LINKED)
def test_the_rooms_are_relative_links(name: str) -> None:
    link = ROOT / "streamconsole" / name
    assert link.is_symlink(), f"{link} is no link: clone with core.symlinks=true"
    assert str(link.readlink()) == f"../{name}"


def test_the_wheel_brings_one_name(wheel_names: set[str]) -> None:
    info = f"streamconsole-{__version__}.dist-info"
    assert {name.partition("/")[0] for name in wheel_names} == {"streamconsole", info}


def test_the_wheel_has_every_file(wheel_names: set[str]) -> None:
    assert {name for name in wheel_names if ".dist-info/" not in name} == own_files()


def test_the_wheel_has_real_files(built: Built) -> None:
    with ZipFile(built.wheel) as archive:
        modes = {info.filename: info.external_attr >> 16 for info in archive.infolist()}
    assert not [name for name, mode in modes.items() if stat.S_ISLNK(mode)]


def test_the_wheel_has_the_migrations(wheel_names: set[str]) -> None:
    folder = "streamconsole/engines/workspace/migrations"
    assert f"{folder}/env.py" in wheel_names
    assert [name for name in wheel_names if name.startswith(f"{folder}/versions/0001_")]


def test_the_sdist_has_every_file(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        members = archive.getmembers()
    names = {member.name.partition("/")[2] for member in members}
    assert own_files() <= names
    assert {"README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml"} <= names
    assert not [member.name for member in members if member.issym() or member.islnk()]


def test_both_ways_lead_to_the_same_wheel(built: Built) -> None:
    with ZipFile(built.wheel) as ours, ZipFile(built.wheel_of_sdist) as again:
        assert {i.filename: i.CRC for i in ours.infolist()} == {i.filename: i.CRC for i in again.infolist()}


def test_every_import_is_required(built: Built) -> None:
    assert imported(built.wheel) <= requirements(built.wheel, extras=True)


def test_every_requirement_is_imported(built: Built) -> None:
    assert requirements(built.wheel, extras=False) - imported(built.wheel) <= NOT_IMPORTED_HERE


def test_the_installed_command_runs(clean_venv: Path, tmp_path: Path) -> None:
    said = run(clean_venv / "bin" / "streamconsole", "--version", cwd=tmp_path).stdout
    assert __version__ in said


def test_the_installed_package_is_the_wheel(clean_venv: Path, tmp_path: Path) -> None:
    code = "import streamconsole.engines as e, streamconsole.screens as s; print(e.__file__, s.__file__)"
    places = run(clean_venv / "bin" / "python", "-c", code, cwd=tmp_path).stdout.split()
    assert all(Path(place).is_relative_to(clean_venv) for place in places), places


def test_the_package_runs_from_the_repository() -> None:
    assert __version__ in run(sys.executable, "-m", "streamconsole", "--version").stdout


def test_one_version_everywhere(built: Built) -> None:
    assert built.wheel.name.startswith(f"streamconsole-{__version__}-")
