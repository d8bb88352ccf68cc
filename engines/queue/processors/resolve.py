"""From what a user writes to a processor."""

from __future__ import annotations

import importlib
import inspect
import os
import shlex
import sys
import traceback
from collections.abc import Callable
from typing import Any, Protocol

from streamconsole.engines.errors import Refused
from streamconsole.engines.queue.job import Job
from streamconsole.engines.queue.processors.command import InCommand
from streamconsole.engines.queue.processors.processes import InProcesses
from streamconsole.engines.queue.processors.threads import InThreads
from streamconsole.engines.secrets import mask

EXEC = "exec:"


class CloseableProcessor(Protocol):
    """A processor with something to close."""

    async def __call__(self, job: Job) -> Any:
        """Do a job."""
        ...

    async def close(self) -> None:
        """Let go of threads and processes."""
        ...


class InLoop:
    """Calls a coroutine function in the event loop."""

    def __init__(self, function: Callable[[Job], Any]) -> None:
        self.function = function

    async def __call__(self, job: Job) -> Any:
        """Do a job."""
        return await self.function(job)

    async def close(self) -> None:
        """Nothing to close."""


def processor_of(given: Any, *, concurrency: int, workspace: str, processes: bool = True) -> CloseableProcessor:
    """A processor from a coroutine function, a plain one, `module:function`, `exec:COMMAND` or a list (a command).

    Args:
        given: what the user wrote.
        concurrency: calls at once.
        workspace: URL of the workspace.
        processes: whether `module:function` means processes; else it is imported here.

    Raises:
        Refused: it is none of these, or cannot be found.
    """
    if isinstance(given, str) and given.startswith(EXEC):
        return InCommand(shlex.split(given.removeprefix(EXEC)))
    if isinstance(given, list | tuple):
        return InCommand([str(word) for word in given])
    if isinstance(given, str):
        function = function_at(given)
        if processes:
            return InProcesses(given, workspace)
        given = function
    if not callable(given):
        raise Refused(f"{given!r} is no processor: give a function, module:function, or exec:COMMAND")
    if inspect.iscoroutinefunction(given) or inspect.iscoroutinefunction(getattr(given, "__call__", None)):  # noqa: B004
        return InLoop(given)
    return InThreads(given, concurrency)


def function_at(place: str) -> Callable[[Job], Any]:
    """The function that `module:function` names; the present folder is importable.

    Raises:
        Refused: it cannot be imported, or is no function.
    """
    module_name, colon, name = place.partition(":")
    if not colon or not module_name or not name:
        raise Refused(f"processor {place!r}: write module:function, or exec:COMMAND")
    folder = os.getcwd()  # noqa: PTH109
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        hint = f" (it is looked for in {folder}, too)" if error.name == module_name.partition(".")[0] else ""
        raise Refused(f"processor {place!r}: there is no module {error.name}{hint}") from None
    except Exception as error:
        line = traceback.extract_tb(error.__traceback__)[-1].lineno
        text = f"{mask(str(error))} (line {line})"
        raise Refused(f"processor {place!r}: module {module_name} cannot be loaded: {text}") from None
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise Refused(f"processor {place!r}: module {module_name} has no function {name}")
    function: Callable[[Job], Any] = found
    return function
