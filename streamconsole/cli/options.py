"""Options that stand on every command, before or after the verb."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_WORKSPACE = ".streamconsole/workspace.db"


@dataclass(slots=True)
class Common:
    """What was asked for by options common to all commands.

    Args:
        workspace: path or URL of the workspace; None for the default place.
        no_ui: never open the console.
        json: print JSON Lines to stdout.
        on_hangup: what a lost terminal does to the work: `continue` or `drain`.
        drain_timeout: seconds that active units get to finish when the program is told to end.
        theme: theme of the console.
        read_only: the console shows, and changes nothing.
    """

    workspace: str | None = None
    no_ui: bool = False
    json: bool = False
    on_hangup: str | None = None
    drain_timeout: float | None = None
    theme: str | None = None
    read_only: bool = False

    @property
    def wants_console(self) -> bool:
        """Whether the console is to be opened: on a terminal, unless told otherwise."""
        return not (self.no_ui or self.json) and all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))

    def workspace_beside(self, folder: Path) -> str:
        """The workspace asked for, or the default one in a folder."""
        return self.workspace or str(folder / DEFAULT_WORKSPACE)


class Seconds(click.ParamType[float]):
    """A time span: `30`, `30s`, `2m`."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The span in seconds."""
        if isinstance(value, float | int):
            return float(value)
        text = str(value).strip()
        factor = {"s": 1, "m": 60, "h": 3600}.get(text[-1:], 0)
        try:
            span = float(text[:-1]) * factor if factor else float(text)
        except ValueError:
            self.fail(f"{value!r} is not a time span: write 30s or 2m", param, ctx)
        if not 0 <= span < 1e6:
            self.fail(f"{value!r} is out of range", param, ctx)
        return span


def common(command: F) -> F:
    """Give a command the options that stand on every command."""
    options = [
        click.option(
            "--workspace",
            metavar="URL",
            expose_value=False,
            callback=_keep("workspace"),
            help=f"Where the durable state is kept.  [default: {DEFAULT_WORKSPACE} beside the runbook]",
        ),
        click.option(
            "--no-ui", is_flag=True, expose_value=False, callback=_keep("no_ui"), help="No screen: for scripts."
        ),
        click.option(
            "--json",
            is_flag=True,
            expose_value=False,
            callback=_keep("json"),
            help="Print JSON Lines; implies --no-ui.",
        ),
        click.option(
            "--on-hangup",
            type=click.Choice(["continue", "drain"]),
            expose_value=False,
            callback=_keep("on_hangup"),
            help="When the terminal is lost: go on without it, or finish what is active and end.  [default: continue]",
        ),
        click.option(
            "--drain-timeout",
            type=Seconds(),
            expose_value=False,
            callback=_keep("drain_timeout"),
            help="How long active units may take to finish when the program is told to end.  [default: 30s]",
        ),
        click.option(
            "--theme",
            expose_value=False,
            callback=_keep("theme"),
            help="console-dark, console-light, terminal or contrast.",
        ),
        click.option(
            "--read-only", is_flag=True, expose_value=False, callback=_keep("read_only"), help="Show; change nothing."
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def given(context: click.Context) -> Common:
    """What the common options say so far."""
    return context.find_root().ensure_object(Common)


def _keep(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def keep(context: click.Context, _: click.Parameter, value: Any) -> None:
        # Not `in (None, False)`: that takes 0 for False, and --drain-timeout 0 for the default.
        if value is not None and value is not False:
            setattr(given(context), name, value)

    return keep
