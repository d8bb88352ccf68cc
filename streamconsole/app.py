"""The console: a Textual application over an open session."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar

from textual import events
from textual.app import App
from textual.binding import Binding, BindingType

from streamconsole import exit_codes, themes
from streamconsole.driver import ConsoleDriver, TerminalLost
from streamconsole.engines.control import Command
from streamconsole.engines.errors import Refused, StreamConsoleError
from streamconsole.engines.secrets import mask
from streamconsole.engines.supervisor import Ended
from streamconsole.engines.text import clean
from streamconsole.headless import Work
from streamconsole.runbook import ConsoleSettings
from streamconsole.screens.base import ConsoleScreen
from streamconsole.screens.help import HelpScreen
from streamconsole.screens.migration import MigrationScreen
from streamconsole.screens.model import Model
from streamconsole.screens.overview import OverviewScreen
from streamconsole.screens.quit import QuitScreen
from streamconsole.screens.too_small import LEAST_HEIGHT, LEAST_WIDTH, TooSmall
from streamconsole.screens.welcome import WelcomeScreen
from streamconsole.screens.widgets.status_line import StatusLine
from streamconsole.session import Session, open_session
from streamconsole.summary import Summary, summarise

BEAT = 0.1
"""Seconds between two paintings while the line keeps up; slower when it does not."""

Prepare = Callable[[Session], Awaitable[tuple[Sequence[Work], Sequence[str]]]]
"""Gives the runs to show, and what to tell about those that could not be planned."""


class ConsoleApp(App[None]):
    """Screens over engines that run in the same loop.

    Args:
        session: the open workspace.
        settings: of the console.
        work: runs to show first.
        start: whether to start them at once.
    """

    TITLE = "Stream Console"
    ENABLE_COMMAND_PALETTE = False
    MODES: ClassVar = {"overview": OverviewScreen, "migrations": MigrationScreen, "welcome": WelcomeScreen}
    HORIZONTAL_BREAKPOINTS: ClassVar = [(0, "-narrow"), (80, "-normal"), (120, "-wide")]
    VERTICAL_BREAKPOINTS: ClassVar = [(0, "-low"), (36, "-tall")]

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "switch_mode('overview')", "Overview", show=False, id="go.overview"),
        Binding("2", "switch_mode('migrations')", "Migrations", show=False, id="go.migrations"),
        Binding("question_mark", "help", "Help", key_display="?", id="help"),
        Binding("q,ctrl+c,ctrl+q", "leave", "Quit", key_display="q", id="quit"),
        Binding("L", "lock", "Lock", show=False, id="lock"),
        Binding("ctrl+l", "repaint", "Repaint", show=False, id="repaint"),
    ]

    def __init__(self, session: Session, settings: ConsoleSettings, work: Sequence[Work], *, start: bool) -> None:
        super().__init__(driver_class=ConsoleDriver)
        self.session = session
        self.settings = settings
        self.read_only = settings.read_only
        self.ended: dict[str, Ended] = {}
        self.stopped_by: int | None = None
        self.failure: str | None = None
        self.problems: list[str] = []
        self._work = list(work)
        self._start = start
        self.terminal_lost = False
        self._leaving: asyncio.Task[None] | None = None
        self._skipped = 0
        self.model = Model(session.workspace, session.supervisor, session.bus)
        themes.install(self, settings.theme or themes.choose(os.environ))

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return dict(themes.STATE_DEFAULTS)

    # Coming and going ----------------------------------------------------------------------------

    async def on_mount(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._signalled, number)
        await self.model.reload()
        if self._start:
            self.run_worker(self._run_in_order(), name="runs", exit_on_error=False)
        self.set_interval(BEAT, self._tick)
        self.set_interval(1.0, self._beat)
        # In a task of its own: a screen comes up only once the app's own messages are handled.
        self.run_worker(self._first_screen(), name="first-screen")

    async def _first_screen(self) -> None:
        if self._work:
            await self.switch_mode("migrations")
            await self.action_open_run(self._work[0].run)
        else:
            await self.switch_mode("overview" if self.model.runs else "welcome")
        if self.problems:
            self.tell("; ".join(self.problems), bad=True)

    async def _run_in_order(self) -> None:
        """Start what was asked for; all of it at once, each run has its own workers."""
        for each in self._work:
            try:
                task = await self.session.supervisor.start(each.run, retry_failed=each.retry_failed)
                task.add_done_callback(self._run_ended)
            except StreamConsoleError as error:
                self.tell(str(error), bad=True)

    def _run_ended(self, task: asyncio.Task[Ended]) -> None:
        if task.cancelled():
            return
        ended = task.result()
        self.ended[ended.run] = ended
        if ended.error is not None:
            self.tell(str(ended.error), bad=True)

    def _signalled(self, number: int) -> None:
        if number == signal.SIGHUP:
            self._terminal_gone(number)
            return
        if self.stopped_by is not None:
            self.action_quit_now()
            return
        self.stopped_by = number
        self.action_leave()

    def on_terminal_lost(self, _: TerminalLost) -> None:
        self._terminal_gone(signal.SIGHUP)

    def _terminal_gone(self, number: int) -> None:
        """Nobody looks any more: go on without a screen, or end, as the operator chose."""
        if self.terminal_lost:
            return
        self.terminal_lost = True
        if self.settings.on_hangup == "drain":
            self.stopped_by = number
            self.action_leave()

    def action_leave(self) -> None:
        """Let active units finish, then end."""
        if self._leaving is None:
            self._leaving = asyncio.create_task(self._leave())
        else:
            self.action_quit_now()

    async def _leave(self) -> None:
        supervisor = self.session.supervisor
        if supervisor.owned:
            await self.push_screen(QuitScreen(self._left()))
            await supervisor.drain(self.settings.drain_timeout)
            await supervisor.wait()
        self.exit()

    def _left(self) -> str:
        lines = []
        for run_id in self.session.supervisor.owned:
            snapshot = self.session.supervisor.snapshot(run_id)
            if snapshot is not None:
                lines.append(f"{run_id}: {snapshot.active} windows finish")
        return "\n".join(lines) or "closing"

    def action_quit_now(self) -> None:
        """End at once; committed windows are safe, the rest is done again."""
        self.exit()

    # The beat --------------------------------------------------------------------------------------

    def _tick(self) -> None:
        if self.terminal_lost:
            self._end_when_idle()
            return
        if self._line_is_slow():
            return
        changes = self.model.tick()
        screen = self.screen
        if isinstance(screen, QuitScreen):
            screen.tell(self._left())
        for shown in self.screen_stack:
            if isinstance(shown, ConsoleScreen) and (changes.runs or changes.windows or changes.reloaded):
                shown.show(changes)

    def _beat(self) -> None:
        self.model.sample()
        if isinstance(self.screen, MigrationScreen) and not self.terminal_lost and not self._line_is_slow():
            self.screen.beat()

    def _line_is_slow(self) -> bool:
        """Whether to skip this painting: the terminal has not taken the last ones yet."""
        driver = self._driver
        backlog = driver.backlog if isinstance(driver, ConsoleDriver) else 0
        if backlog and self._skipped < (10 if backlog > 65_536 else 3):
            self._skipped += 1
            return True
        self._skipped = 0
        return False

    def _end_when_idle(self) -> None:
        supervisor = self.session.supervisor
        snapshots = [supervisor.snapshot(run_id) for run_id in supervisor.owned]
        if all(snapshot is not None and snapshot.state == "paused" and not snapshot.active for snapshot in snapshots):
            self.action_leave()

    def on_resize(self, event: events.Resize) -> None:
        small = event.size.width < LEAST_WIDTH or event.size.height < LEAST_HEIGHT
        if small and not isinstance(self.screen, TooSmall):
            self.push_screen(TooSmall())
        elif not small and isinstance(self.screen, TooSmall):
            self.pop_screen()

    # What operators do -----------------------------------------------------------------------------

    def send(self, command: Command) -> None:
        """Send a command; its outcome appears in the status line."""
        if self.read_only:
            self.tell("read-only: nothing is changed (L unlocks)", bad=True)
            return
        self.tell(f"{command.verb} {command.run}: requested…")
        self.run_worker(self._send(command), group="commands", exit_on_error=False)

    async def _send(self, command: Command) -> None:
        try:
            outcome = await self.session.supervisor.command(command)
        except StreamConsoleError as error:
            self.tell(str(error), bad=True)
            return
        self.tell(f"{command.verb} {command.run}: {outcome.text}", bad=not outcome.done)

    def tell(self, text: str, *, bad: bool = False) -> None:
        """Show a line to the operator."""
        for screen in self.screen_stack:
            for line in screen.query(StatusLine):
                line.tell(mask(text), bad=bad)

    async def action_open_run(self, run_id: str) -> None:
        """Show a run in full."""
        await self.switch_mode("migrations")
        screen = self.screen
        if isinstance(screen, MigrationScreen):
            await screen.choose(run_id)

    async def action_help(self) -> None:
        await self.push_screen(HelpScreen())

    def action_lock(self) -> None:
        if self.settings.read_only:
            self.tell("opened with --read-only: it stays locked", bad=True)
            return
        self.read_only = not self.read_only
        self._name_screens()
        self.tell("locked: look, change nothing (L unlocks)" if self.read_only else "unlocked")

    def action_repaint(self) -> None:
        self.refresh(layout=True)

    def _name_screens(self) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, ConsoleScreen):
                screen.name_it()

    # A fault of the program itself -------------------------------------------------------------------

    def _handle_exception(self, error: Exception) -> None:
        # Textual would print a traceback with the values of local variables, passwords among them.
        path = self.session.workspace.path.with_name("error-console.log")
        text = mask("".join(traceback.format_exception(error)))
        with open(os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600), "a") as file:
            file.write(text)
        self.failure = f"the console stopped by an error of this program ({type(error).__name__}): details in {path}"
        if self._exception is None:
            self._exception = error
            self._exception_event.set()
        self.exit(return_code=exit_codes.FAILURE)


def run_console(workspace: str, prepare: Prepare, settings: ConsoleSettings, *, start: bool, keep_events: int) -> int:
    """Open the console; gives the exit status.

    Args:
        workspace: path or URL.
        prepare: gives the runs to show, made where there is none yet; refusals come before the screen.
        settings: of the console.
        start: whether to start the runs at once.
        keep_events: rows of the event log that are kept.
    """
    if settings.theme is not None and settings.theme not in themes.THEMES:
        raise Refused(f"theme {settings.theme!r} is not known: there are {', '.join(themes.THEMES)}")
    if os.environ.get("TERM", "dumb") == "dumb":
        raise Refused("this terminal cannot draw (TERM=dumb): use --no-ui")
    return asyncio.run(_opened(workspace, prepare, settings, start, keep_events))


async def _opened(workspace: str, prepare: Prepare, settings: ConsoleSettings, start: bool, keep_events: int) -> int:
    async with open_session(workspace, keep_events) as session:
        work, problems = await prepare(session)
        app = ConsoleApp(session, settings, work, start=start)
        app.problems = list(problems)
        await app.run_async(mouse=False)
        summary = Summary(await summarise(session.workspace, [each.run for each in work], list(app.ended.values())))
        summary.stopped_by = app.stopped_by
    if app.failure is not None:
        print(f"streamconsole: {app.failure}", file=sys.stderr)  # noqa: T201
        return exit_codes.FAILURE
    if not app.terminal_lost:
        for each in summary.runs:
            print(clean(mask(each.sentence()), limit=2000))  # noqa: T201
    # Looking at a runbook and leaving is no failure; work that was asked for and is not done is one.
    return summary.exit_code() if start or app.stopped_by is not None else exit_codes.DONE
