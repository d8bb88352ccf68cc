"""The distributions that a user would install, built once from this tree."""

import sys
import sysconfig
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.packaging.tools import ROOT, Built, build_wheel, run


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Build everything that would be published."""
    base = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", base / "sdist")
    [sdist] = (base / "sdist").glob("*.tar.gz")
    return Built(sdist, build_wheel(ROOT, base / "wheel"), build_wheel(sdist, base / "again"))


@pytest.fixture(scope="session")
def clean_venv(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel in an environment that has the dependencies but not this tree.

    The dependencies are lent by a path file: path files of a lent folder are not read, so the
    editable install of this tree stays out.
    """
    venv = tmp_path_factory.mktemp("clean") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", venv)
    python = venv / "bin" / "python"
    [site] = (venv / "lib").glob("python3.*/site-packages")
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    run(
        *(sys.executable, "-m", "pip", "--python", python, "install"),
        *("--quiet", "--no-index", "--no-deps", built.wheel),
    )
    return venv


@pytest.fixture(scope="session")
def wheel_names(built: Built) -> set[str]:
    """Every file of the wheel."""
    return set(ZipFile(built.wheel).namelist())
