"""Imports point one way, by one name, and work without a screen loads no Textual."""

import subprocess
import sys
from pathlib import Path

import click
import grimp
import pytest

from streamconsole.cli.main import COMMANDS, main
from tests.packaging.tools import ROOT, run

ROOMS = ("engines", "screens", "themes")

WALK = """
import importlib, pkgutil, sys
import streamconsole.engines as engines
for name in {modules!r}:
    importlib.import_module(name)
for found in pkgutil.walk_packages(engines.__path__, "streamconsole.engines."):
    if ".migrations." not in found.name:  # Alembic's env.py runs when imported
        importlib.import_module(found.name)
print(*sorted(set({forbidden!r}) & set(sys.modules)))
"""


def loaded(modules: list[str], forbidden: list[str]) -> list[str]:
    """The forbidden packages that a fresh interpreter has after importing the engines and modules."""
    return run(sys.executable, "-c", WALK.format(modules=modules, forbidden=forbidden)).stdout.split()


def test_engines_load_nothing_of_a_terminal() -> None:
    assert loaded([], ["click", "rich", "textual", "streamconsole.screens", "streamconsole.app"]) == []


def test_headless_work_loads_no_textual() -> None:
    assert loaded(["streamconsole.cli", "streamconsole.headless"], ["textual", "streamconsole.app"]) == []


def test_help_waits_for_no_verb() -> None:
    script = (
        "import sys\nfrom streamconsole.cli.main import run\n"
        "assert run(['--help']) == 0\nprint(*sorted({'sqlalchemy', 'textual', 'rich'} & set(sys.modules)), sep='|')"
    )
    assert run(sys.executable, "-c", script).stdout.splitlines()[-1] == ""


@pytest.mark.parametrize("verb", COMMANDS)
def test_help_says_of_a_verb_what_the_verb_says_of_itself(verb: str) -> None:
    command = main.get_command(click.Context(main), verb)
    assert command is not None
    assert COMMANDS[verb][1] == command.get_short_help_str(100)


def test_dependencies_point_one_way() -> None:
    """Whatever module the application gains, screens and engines may not look up to it."""
    graph = grimp.build_graph("streamconsole", cache_dir=None)
    rooms = {f"streamconsole.{room}" for room in ROOMS}
    assert rooms <= graph.modules
    below = {"engines": {"engines"}, "screens": {"engines", "screens", "themes"}, "themes": {"themes"}}
    wrong = [
        f"{module} imports {target}"
        for room, allowed in below.items()
        for module in graph.find_descendants(f"streamconsole.{room}") | {f"streamconsole.{room}"}
        for target in graph.find_modules_directly_imported_by(module)
        if target != "streamconsole" and target.split(".")[1] not in allowed
    ]
    assert wrong == []


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("form", ["import {0}", "import {0}.x", "from {0} import x", "from {0}.x import y"])
@pytest.mark.parametrize("place", ["streamconsole/app.py", "engines/bus.py", "tests/unit/test_x.py"])
def test_a_bare_import_is_refused(room: str, form: str, place: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--select", "TID", "--stdin-filename", place, "-"],
        cwd=ROOT,
        input=form.format(room) + "\n",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert f"TID251 `{room}" in done.stdout.replace("[*] ", "")
    assert f"Import streamconsole.{room} instead" in done.stdout


def test_a_migration_waits_for_no_engine_that_it_does_not_use() -> None:
    script = "import sys\nimport streamconsole.cli.working\nprint(*sorted(sys.modules))"
    loaded = run(sys.executable, "-c", script).stdout.split()
    assert [name for name in loaded if "engines.queue." in name] == []


def test_a_migration_loads_no_database_that_it_does_not_use(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom streamconsole.cli.main import run\n"
        "assert run(['migrate', 'generate://users?count=1', 'sqlite:///t.db#t', '--no-ui']) == 0\n"
        "unused = ('alembic', 'sqlalchemy.dialects.postgresql', 'psycopg', 'pymysql', 'bson', 'textual')\n"
        "print(*sorted(set(unused) & set(sys.modules)), sep='|')"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, [""]), done
