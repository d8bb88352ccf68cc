"""The console: a Textual application over an open session."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import App
from textual.binding import Binding, BindingType
from textual.geometry import Size

from streamconsole import exit_codes, themes
from streamconsole.console_settings import ConsoleSettings
from streamconsole.dependants import Dependants
from streamconsole.driver import ConsoleDriver, TerminalLost
from streamconsole.engines import faults
from streamconsole.engines.control import Command, Outcome
from streamconsole.engines.errors import StreamConsoleError
from streamconsole.engines.secrets import mask
from streamconsole.engines.states import EngineKind
from streamconsole.engines.supervisor import Ended
from streamconsole.headless import Work
from streamconsole.leaving import Leaving
from streamconsole.own_faults import kept
from streamconsole.queue_desk import QueueDesk
from streamconsole.replaying import replay_and_tell
from streamconsole.screens.base import READ_ONLY, ConsoleScreen
from streamconsole.screens.help import HelpScreen
from streamconsole.screens.migration import MigrationScreen
from streamconsole.screens.model import Model
from streamconsole.screens.overview import OverviewScreen
from streamconsole.screens.queue import QueueScreen
from streamconsole.screens.quit import QuitScreen
from streamconsole.screens.too_small import LEAST_HEIGHT, LEAST_WIDTH, TooSmall
from streamconsole.screens.transfers import TransferScreen
from streamconsole.screens.welcome import WelcomeScreen
from streamconsole.screens.widgets.status_line import StatusLine
from streamconsole.sending import send_and_tell, words_for
from streamconsole.session import Session
from streamconsole.slow_line import SlowLine
from streamconsole.verifying import Verifications

if TYPE_CHECKING:
    from streamconsole.queue_book import NamedQueue

BEAT = 0.1
"""Seconds between two paintings while the line keeps up; slower when it does not."""


class ConsoleApp(App[None]):
    """Screens over engines that run in the same loop.

    Args:
        session: the open workspace.
        settings: of the console.
        work: runs to show first.
        start: whether to start them at once.
        problems: what to tell the operator first.
        queues: to work on from the beginning.
    """

    TITLE = "Stream Console"
    ENABLE_COMMAND_PALETTE = False
    MODES: ClassVar = {
        "overview": OverviewScreen,
        "migrations": MigrationScreen,
        "queues": QueueScreen,
        "transfers": TransferScreen,
        "welcome": WelcomeScreen,
    }
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (80, "-normal"), (110, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-low"), (22, "-middle"), (36, "-tall")]  # noqa: RUF012

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "go('overview')", "Overview", id="go.overview"),
        Binding("2", "go('migrations')", "Migrations", id="go.migrations"),
        Binding("3", "go('queues')", "Queues", id="go.queues"),
        Binding("4", "go('transfers')", "Transfers", id="go.transfers"),
        Binding("question_mark", "help", "Help", id="help"),
        Binding("q", "leave", "Quit", id="quit"),
        # Also from within a dialog: whoever types these wants to get out.
        Binding("ctrl+c,ctrl+q", "leave", "Quit", priority=True),
        Binding("L", "lock", "Lock", id="lock"),
        Binding("ctrl+l", "repaint", "Repaint", id="repaint"),
    ]

    def __init__(
        self,
        session: Session,
        settings: ConsoleSettings,
        work: Sequence[Work],
        *,
        start: bool,
        problems: Sequence[str] = (),
        queues: Sequence[NamedQueue] = (),
    ) -> None:
        super().__init__(driver_class=ConsoleDriver)
        self.session = session
        self.settings = settings
        self.read_only = settings.read_only
        self.ended: dict[str, Ended] = {}
        self.failure: str | None = None
        self.told = ("; ".join(problems), bool(problems))
        self.leaving = Leaving(self, settings.on_hangup, settings.drain_timeout)
        self.verifications = Verifications(self)
        self.model = Model(session.workspace, session.supervisor, session.bus)
        self.queues = QueueDesk(session.workspace, queues, self.tell, self._handle_exception)
        self.model.queues.workers = self.queues.workers
        self.dependants = Dependants(self, work)
        self._work = list(work)
        self._start = start
        self._followed: set[str] = set()
        self._slow_line = SlowLine()
        themes.install(self, settings.theme or themes.choose(os.environ))

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return dict(themes.STATE_DEFAULTS)

    # Coming up -----------------------------------------------------------------------------------

    async def on_mount(self) -> None:
        self.leaving.listen()
        await asyncio.gather(self.model.reload(), self.model.queues.look())
        self.run_worker(self.queues.start(), name="queues")
        if self._start:
            self.run_worker(self._start_work(), name="start", exit_on_error=False)
        self.set_interval(BEAT, self._tick)
        self.set_interval(1.0, self._beat)
        # In a task of its own: a screen comes up only once the app's own messages are handled.
        self.run_worker(self._first_screen(), name="first-screen")

    async def _first_screen(self) -> None:
        if self._work:
            await self.action_open_run(self._work[0].run)
        else:
            await self.switch_mode(self.model.first_mode)
        self._mind_size(self.size)

    async def _start_work(self) -> None:
        """Start what was asked for; all of it at once, each run has its own workers."""
        for each in self._work:
            try:
                await self.session.supervisor.start(each.run, retry_failed=each.retry_failed)
                await self.follow(each.run)
            except StreamConsoleError as error:
                self.ended[each.run] = Ended(each.run, None, error)
                self.tell(str(error), bad=True)

    async def follow(self, run_id: str) -> None:
        """Tell how work on a run ends in this process."""
        if run_id in self.session.supervisor.owned and run_id not in self._followed:
            self._followed.add(run_id)
            task = await self.session.supervisor.start(run_id)
            task.add_done_callback(self._run_ended)

    def _run_ended(self, task: asyncio.Task[Ended]) -> None:
        if task.cancelled():
            return
        ended = task.result()
        self._followed.discard(ended.run)
        self.ended[ended.run] = ended
        if ended.error is not None:
            self.tell(str(ended.error), bad=True)
        self.verifications.ended(ended)
        self.dependants.look()

    @property
    def settling(self) -> bool:
        """Whether work has just ended here, and what may follow it is not begun yet."""
        waiting = self.dependants.busy or self.verifications.starting
        return waiting or not self._followed.issubset(self.session.supervisor.owned)

    # The beat --------------------------------------------------------------------------------------

    def _tick(self) -> None:
        faults.reach("console.tick")
        if self.leaving.terminal_lost:
            self.leaving.leave_when_idle()
            return
        if self._slow_line.skips(self._backlog):
            return
        changes = self.model.tick()
        self.dependants.notice()
        trouble = self.model.trouble or self.model.queues.trouble
        if trouble and self.told[0] != trouble:
            self.tell(trouble, bad=True)
        if isinstance(self.screen, QuitScreen):
            self.screen.tell(self.leaving.left())
        for shown in self.screen_stack if changes else ():
            if isinstance(shown, ConsoleScreen) and shown.composed:
                shown.show(changes)

    def _beat(self) -> None:
        self.model.sample()
        if self.leaving.terminal_lost or self._backlog:
            return
        if isinstance(self.screen, ConsoleScreen) and self.screen.composed:
            self.screen.beat()

    @property
    def _backlog(self) -> int:
        return self._driver.backlog if isinstance(self._driver, ConsoleDriver) else 0

    def on_terminal_lost(self, _: TerminalLost) -> None:
        self.leaving.lose_terminal()

    def on_resize(self, event: events.Resize) -> None:
        self._mind_size(event.size)

    def _mind_size(self, size: Size) -> None:
        small = size.width < LEAST_WIDTH or size.height < LEAST_HEIGHT
        if small and not isinstance(self.screen, TooSmall):
            self.push_screen(TooSmall())
        elif not small and isinstance(self.screen, TooSmall):
            self.pop_screen()

    # What operators do -----------------------------------------------------------------------------

    def send(self, command: Command) -> None:
        """Send a command; its outcome appears in the status line."""
        if self.read_only:
            self.tell(READ_ONLY, bad=True)
            return
        self.tell(f"{words_for(command)}: requested…")
        self.run_worker(self._send(command), group="commands", exit_on_error=False)

    async def _send(self, command: Command) -> None:
        if await send_and_tell(command, self._obey, self.tell):
            await self.follow(command.run)

    async def _obey(self, command: Command) -> Outcome:
        return await self.dependants.instead(command) or await self.session.supervisor.command(command)

    def verify(self, run_id: str) -> None:
        """Verify a run, or go on with its verification, and show it."""
        self.verifications.asked(run_id)

    def replay(self, run_id: str) -> None:
        """Replay a run's refused rows; how it ends appears in the status line."""
        if self.read_only:
            self.tell(READ_ONLY, bad=True)
            return
        self.tell(f"{run_id}: its refused rows are read again…")
        self.run_worker(replay_and_tell(self.session, run_id, self.follow, self.tell), exit_on_error=False)

    def tell(self, text: str, *, bad: bool = False) -> None:
        """Show a line to the operator; it stays until the next."""
        self.told = (mask(text), bad)
        for screen in self.screen_stack:
            for line in screen.query(StatusLine):
                line.tell(mask(text), bad=bad)

    async def action_open_run(self, run_id: str) -> None:
        """Show a run in full."""
        view = self.model.runs.get(run_id)
        transfer = view is not None and view.run.engine is EngineKind.TRANSFER
        if not transfer:
            self.model.watched = run_id
        await self.switch_mode("transfers" if transfer else "migrations")
        if isinstance(self.screen, MigrationScreen | TransferScreen) and self.screen.composed:
            await self.screen.choose(run_id)

    async def action_go(self, mode: str) -> None:
        await self.switch_mode(mode)

    async def action_help(self) -> None:
        await self.push_screen(HelpScreen())

    def action_leave(self) -> None:
        self.leaving.leave()

    def action_lock(self) -> None:
        if self.settings.read_only:
            self.tell("opened with --read-only: it stays locked", bad=True)
            return
        self.read_only = not self.read_only
        for screen in self.screen_stack:
            if isinstance(screen, ConsoleScreen):
                screen.name_it()
        self.tell("locked: look, change nothing (L unlocks)" if self.read_only else "unlocked")

    def action_repaint(self) -> None:
        self.refresh(layout=True)

    # A fault of the program itself -------------------------------------------------------------------

    def _handle_exception(self, error: Exception) -> None:
        # Textual would print a traceback with the values of local variables, passwords among them.
        if self.failure is None:
            self.failure = kept(error, self.session.workspace.path.with_name("error-console.log"))
        if self._exception is None:
            self._exception = error
            self._exception_event.set()
        self.exit(return_code=exit_codes.FAILURE)
