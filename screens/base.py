"""What all screens of the console have in common."""

from __future__ import annotations

from typing import ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import Screen
from textual.widgets import Footer

from streamconsole.engines.control import Verb
from streamconsole.screens.confirm import Confirm
from streamconsole.screens.model import Changes, Model, RunView
from streamconsole.screens.steering import Desk, command_for, pause_or_resume, worker_count
from streamconsole.screens.widgets.status_line import StatusLine
from streamconsole.screens.widgets.title_line import TitleLine


class ConsoleScreen(Screen[None]):
    """A screen with a title line, a status line, and the verbs for the run that is chosen on it."""

    TITLE: ClassVar[str] = ""

    DEFAULT_CSS = """
    ConsoleScreen #bottom { dock: bottom; height: 2; }
    ConsoleScreen #bottom Footer { dock: none; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pause_or_resume", "Pause/resume", id="run.pause"),
        Binding("r", "resume", "Resume", show=False, id="run.resume"),
        Binding("a", "retry_all", "Retry failed", id="run.retry-all"),
        Binding("plus,equals_sign", "workers(1)", "Workers +", show=False, id="run.more"),
        Binding("minus", "workers(-1)", "Workers −", show=False, id="run.fewer"),
        Binding("C", "cancel", "Cancel", show=False, id="run.cancel"),
    ]

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
            yield Footer(show_command_palette=False, compact=True)

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

    def on_screen_resume(self) -> None:
        self.name_it()
        self.show_all()

    def name_it(self) -> None:
        """Say in the title line where the operator is."""
        self.query_one(TitleLine).show(self.TITLE, str(self.model.workspace.path), read_only=self.desk.read_only)

    def action_pause_or_resume(self) -> None:
        view = self._chosen_or_told()
        if view is not None:
            self.desk.send(command_for(view, pause_or_resume(view)))

    def action_resume(self) -> None:
        view = self._chosen_or_told()
        if view is not None:
            self.desk.send(command_for(view, Verb.RESUME))

    def action_retry_all(self) -> None:
        view = self._chosen_or_told()
        if view is not None:
            self.desk.send(command_for(view, Verb.RETRY))

    def action_workers(self, by: int) -> None:
        view = self._chosen_or_told()
        if view is not None:
            self.desk.send(command_for(view, Verb.WORKERS, None, **worker_count(view, by)))

    def action_cancel(self) -> None:
        view = self._chosen_or_told()
        if view is None:
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self.desk.send(command_for(view, Verb.CANCEL))

        left = view.totals.pending + view.totals.running
        question = (
            f"Cancel run {view.run.id}?\n\n"
            f"Active windows finish, {view.totals.completed:,} committed ones stay, "
            f"{left:,} known ones and all that follow are not done. It cannot be resumed."
        )
        self.app.push_screen(Confirm(question, f"Cancel {view.run.id}"), answered)

    def _chosen_or_told(self) -> RunView | None:
        view = self.chosen()
        if view is None:
            self.desk.tell("no run is chosen", bad=True)
        return view
