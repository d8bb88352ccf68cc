"""What all screens of the console have in common."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, cast

from sqlalchemy.exc import SQLAlchemyError
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import Screen

from streamconsole.engines.control import Verb
from streamconsole.engines.errors import StreamConsoleError
from streamconsole.engines.rate import NO_LIMIT
from streamconsole.screens.ask import Ask
from streamconsole.screens.confirm import Confirm
from streamconsole.screens.model import Changes, Model
from streamconsole.screens.steering import (
    RATE_HINT,
    Desk,
    command_for,
    keys_for,
    no_use,
    pause_or_resume,
    wrong_rate,
)
from streamconsole.screens.views import RunView
from streamconsole.screens.widgets.key_line import KeyLine, Keys
from streamconsole.screens.widgets.status_line import StatusLine
from streamconsole.screens.widgets.title_line import TitleLine

READ_ONLY = "read-only: nothing is changed (L unlocks)"


class ConsoleScreen(Screen[None]):
    """A screen with a title line, a status line, and the verbs for the run that is chosen on it."""

    TITLE: ClassVar[str] = ""

    DEFAULT_CSS = """
    ConsoleScreen #bottom { dock: bottom; height: auto; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pause_or_resume", "Pause/resume", id="run.pause"),
        Binding("r", "steer('resume')", "Start, resume", id="run.resume"),
        Binding("s", "start_all", "Start all", id="run.start-all"),
        Binding("a", "steer('retry')", "Retry failed", id="run.retry-all"),
        Binding("plus,equals_sign", "workers(1)", "Workers +", id="run.more"),
        Binding("minus", "workers(-1)", "Workers −", id="run.fewer"),
        Binding("m", "limit", "Limit", id="run.limit"),
        Binding("C", "cancel", "Cancel", id="run.cancel"),
    ]

    composed = False
    """Whether its widgets are there: it may be on the stack, and asked to paint, before they are."""

    def on_mount(self) -> None:
        self.composed = True

    @property
    def desk(self) -> Desk:
        """The application."""
        return cast("Desk", self.app)

    @property
    def model(self) -> Model:
        """What there is to show."""
        return self.desk.model

    def compose(self) -> ComposeResult:
        yield TitleLine()
        yield from self.body()
        with Vertical(id="bottom"):
            yield StatusLine()
            yield KeyLine()

    def body(self) -> ComposeResult:
        """The screen's own widgets."""
        yield from ()

    def chosen(self) -> RunView | None:
        """The run that verbs are for."""
        return None

    def show(self, changes: Changes) -> None:
        """Paint what changed."""

    def show_all(self) -> None:
        """Paint everything: the screen has just come up."""

    def beat(self) -> None:
        """Once a second: rates and times."""

    def keys(self) -> Keys:
        """The keys that matter now, the most important first."""
        yield from keys_for(self.chosen(), len(self.model.planned))
        yield from self.more_keys()
        yield "?", "Help"
        yield "q", "Quit"

    def more_keys(self) -> Keys:
        """Those of the screen itself."""
        yield from ()

    def show_keys(self) -> None:
        """Name the keys that matter now."""
        self.query_one(KeyLine).show(self.keys())

    def on_screen_resume(self) -> None:
        if not self.composed:
            return
        self.name_it()
        text, bad = self.desk.told
        self.query_one(StatusLine).tell(text, bad=bad)
        self.show_all()
        self.show_keys()

    def name_it(self) -> None:
        """Say in the title line where the operator is."""
        self.query_one(TitleLine).show(self.TITLE, str(self.model.workspace), read_only=self.desk.read_only)

    def soon(self, act: Callable[[], Coroutine[Any, Any, None]], group: str) -> None:
        """Do something in a task of its own, instead of an earlier one of the same group."""

        async def guarded() -> None:
            try:
                await act()
            except (StreamConsoleError, SQLAlchemyError, OSError) as error:
                self.desk.tell(f"the workspace cannot be read now: {error}", bad=True)

        self.run_worker(guarded, group=group, exclusive=True)  # type: ignore[arg-type]

    # Verbs -----------------------------------------------------------------------------------------

    def action_pause_or_resume(self) -> None:
        view = self.chosen()
        self.action_steer(pause_or_resume(running=self.model.is_running(view)) if view else Verb.PAUSE)

    def action_steer(self, verb: str, unit: str | None = None) -> None:
        view = self._chosen_for(Verb(verb))
        if view is not None:
            self.desk.send(command_for(view, Verb(verb), unit))

    def action_start_all(self) -> None:
        planned = self.model.planned
        if not planned:
            self.desk.tell("no run is planned: all have been started")
        for view in planned:
            self.desk.send(command_for(view, Verb.RESUME))

    def action_workers(self, by: int) -> None:
        view = self._chosen_for(Verb.WORKERS)
        if view is not None:
            # So many more, not so many: who has the run counts, and the key can be pressed several times in a row.
            self.desk.send(command_for(view, Verb.WORKERS, by=by))

    def action_limit(self) -> None:
        view = self._chosen_for(Verb.RATE)
        if view is None:
            return

        def answered(text: str | None) -> None:
            if text is not None:
                self.desk.send(command_for(view, Verb.RATE, rate=text))

        question = f"How fast may {view.run.id} go, at most?"
        self.app.push_screen(Ask(question, RATE_HINT, view.rate or NO_LIMIT, wrong_rate), answered)

    def action_cancel(self) -> None:
        view = self._chosen_for(Verb.CANCEL)
        if view is None:
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self.desk.send(command_for(view, Verb.CANCEL))

        question = f"Cancel run {view.run.id}?\n\n{self.cancelled_means(view)} It cannot be resumed."
        self.app.push_screen(Confirm(question, f"Cancel {view.run.id}"), answered)

    def cancelled_means(self, view: RunView) -> str:
        """What becomes of a run's units when it is cancelled."""
        left = view.totals.pending + view.totals.running
        return (
            f"Active windows finish, {view.totals.completed:,} committed ones stay, "
            f"{left:,} known ones and all that follow are not done."
        )

    def _chosen_for(self, verb: Verb) -> RunView | None:
        """The run a verb is for; None, and told why, when there is no use in it."""
        view = self.chosen()
        if view is None:
            self.desk.tell("no run is chosen", bad=True)
            return None
        if self.desk.read_only:
            self.desk.tell(READ_ONLY, bad=True)
            return None
        reason = no_use(view, verb)
        if reason is not None:
            self.desk.tell(reason, bad=True)
        return None if reason else view
