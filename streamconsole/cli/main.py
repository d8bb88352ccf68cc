"""`streamconsole`: finds the verb, and turns every error into one clear line and an exit status."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from streamconsole import __version__, exit_codes
from streamconsole.cli.options import common
from streamconsole.engines.errors import Refused, StreamConsoleError
from streamconsole.engines.secrets import mask
from streamconsole.engines.text import clean

COMMANDS = {
    "open": ("open:open_console", "Open the console on a RUNBOOK, or on the workspace alone."),
    "demo": ("demo:demo", "Show the program at work on made-up rows; nothing stays behind."),
    "migrate": ("migrate:migrate", "Move rows from SOURCE to TARGET."),
    "verify": ("verify:verify", "Compare what a run moved with what its target holds."),
    "upload": ("upload:upload", "Upload a FILE or folder as compressed, verified chunks."),
    "download": ("download:download", "Download what a MANIFEST names, verified."),
    "transfer": ("transfer:transfer_group", "Look into stores and manifests; verify them; tune transfers."),
    "queue": ("queue:queue_group", "Add jobs, look at them, steer them, do them."),
    "runs": ("runs:runs_group", "List, show and steer runs."),
    "workspace": ("workspace:workspace_group", "Look after the durable state."),
    "doctor": ("doctor:doctor", "Check a RUNBOOK, both its sides, the workspace and the terminal."),
}
"""Verb → where it is, and what it does. It is imported when it is asked for: `--help` would wait for all of them."""


class Verbs(click.Group):
    """The verbs, with a runbook in the place of one meaning `open`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All verbs, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a verb."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(f"streamconsole.cli.{module}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """What each verb does, without a look at it."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, does) for name, (_, does) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb, or `open` when a runbook stands in its place."""
        word = args[0]
        if word in COMMANDS:
            return super().resolve_command(ctx, args)
        if word.endswith(".toml") or os.sep in word or Path(word).exists():
            return "open", self.get_command(ctx, "open"), args
        close = difflib.get_close_matches(word, COMMANDS, 1)
        hint = f"did you mean {close[0]}?" if close else "`streamconsole --help` lists what there is"
        raise click.UsageError(f"{word!r} is neither a command nor a runbook: {hint}", ctx)


@click.group(
    cls=Verbs,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    options_metavar="[OPTIONS] [RUNBOOK]",
    subcommand_metavar="| COMMAND [ARGS]…",
)
@click.version_option(__version__, prog_name="streamconsole")
@common
@click.pass_context
def main(context: click.Context) -> None:
    """Operate work that moves data: migrations, jobs, transfers and processes in one console.

    With a RUNBOOK (default: streamconsole.toml here) the console opens on it; with --no-ui
    everything in it is run to the end.
    """
    if context.invoked_subcommand is None:
        command = main.get_command(context, "open")
        assert command is not None
        context.exit(context.invoke(command))


def run(arguments: Sequence[str]) -> int:
    """Run the command line; gives the exit status. No traceback gets past this."""
    os.umask(os.umask(0) | 0o007)
    try:
        with main.make_context("streamconsole", list(arguments)) as context:
            return _status(main.invoke(context))
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.Abort:
        return exit_codes.stopped_by(2)
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)  # noqa: T201
        return exit_codes.REFUSED
    except click.ClickException as error:
        return _say(error.format_message(), exit_codes.REFUSED)
    except Refused as error:
        return _say(str(error), exit_codes.REFUSED)
    except StreamConsoleError as error:
        return _say(str(error), exit_codes.FAILURE)
    except BrokenPipeError:
        # The reader of our output went away: what is left to say has no listener.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exit_codes.stopped_by(13)
    except KeyboardInterrupt:
        return exit_codes.stopped_by(2)
    except Exception as error:
        return _say(_report(error), exit_codes.FAILURE)


def _report(error: Exception) -> str:
    """Keep what a developer needs to know in a file; gives what the operator needs to know."""
    text = mask("".join(traceback.format_exception(error)))
    with tempfile.NamedTemporaryFile("w", prefix="streamconsole-error-", suffix=".log", delete=False) as file:
        file.write(text)
    return f"stopped by an error of this program ({type(error).__name__}): details in {file.name}, please report it"


def _status(result: Any) -> int:
    return result if isinstance(result, int) else exit_codes.DONE


def _say(text: str, status: int) -> int:
    print(f"streamconsole: {clean(mask(text), limit=2000)}", file=sys.stderr)  # noqa: T201
    return status
