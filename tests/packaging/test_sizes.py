"""Small files and small functions, held by counting; and what must not be called."""

import ast
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

from tests.packaging.tools import ROOT

SOURCES = sorted(
    path
    for room in ("streamconsole", "engines", "screens", "themes")
    for path in (ROOT / room).rglob("*.py")
    if not any(parent.is_symlink() for parent in path.parents)
)


def lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def function_lengths() -> Iterator[int]:
    """The lines of every function's body, its docstring not counted."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
                yield (body[-1].end_lineno or 0) - body[0].lineno + 1


def test_the_application_class_stays_small() -> None:
    assert lines(ROOT / "streamconsole" / "app.py") < 300


def test_a_long_file_is_split() -> None:
    assert {str(p.relative_to(ROOT)): lines(p) for p in SOURCES if lines(p) > 420} == {}


def test_functions_are_short() -> None:
    lengths = list(function_lengths())
    assert median(lengths) <= 10
    assert quantiles(lengths, n=20)[-1] <= 45


def test_no_cancellation_is_lost() -> None:
    """On Python 3.11 `asyncio.wait_for` swallows a cancellation that comes as what it waits for ends."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and ast.unparse(node) == "asyncio.wait_for":
                raise AssertionError(f"{path}:{node.lineno}: use asyncio.timeout")
