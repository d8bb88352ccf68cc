"""Commands of the console on their way: what is told while they are, and what came of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from streamconsole.engines.control import Command, Outcome
from streamconsole.engines.errors import StreamConsoleError


class Tell(Protocol):
    """Tells the operator a line."""

    def __call__(self, text: str, *, bad: bool = False) -> None:
        """Tell it; `bad` when it is bad news."""
        ...


def words_for(command: Command) -> str:
    """What a command does, to what."""
    return f"{command.verb} {command.run}" + (f", window {command.unit}" if command.unit else "")


async def send_and_tell(command: Command, act: Callable[[Command], Awaitable[Outcome]], tell: Tell) -> bool:
    """Have a command obeyed; whether anybody did."""
    try:
        outcome = await act(command)
    except StreamConsoleError as error:
        tell(f"{words_for(command)}: {error}", bad=True)
        return False
    tell(f"{words_for(command)}: {outcome.text}", bad=not outcome.done)
    return True
