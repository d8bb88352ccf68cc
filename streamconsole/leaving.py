"""How the console ends: by key, by signal, by a lost terminal; drained first, or at once."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from streamconsole.engines.control import Snapshot
from streamconsole.screens.quit import QuitScreen

if TYPE_CHECKING:
    from streamconsole.app import ConsoleApp

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Leaving:
    """Brings the application to its end; twice asked, at once.

    Args:
        app: what is to end.
        on_hangup: what a lost terminal does: `continue` or `drain`.
        within: seconds that active units get.
    """

    def __init__(self, app: ConsoleApp, on_hangup: str, within: float) -> None:
        self.signal: int | None = None
        self.terminal_lost = False
        self.at_once = False
        self._app = app
        self._on_hangup = on_hangup
        self._within = within
        self._draining: asyncio.Task[None] | None = None

    @property
    def under_way(self) -> bool:
        """Whether it is ending: nothing is begun any more."""
        return self._draining is not None

    def listen(self) -> None:
        """Handle signals from now on; the loop lets go of them when it closes."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._received, number)

    def _received(self, number: int) -> None:
        if number == signal.SIGHUP:
            self.lose_terminal()
            return
        self.signal = self.signal or number
        self.leave()

    def lose_terminal(self) -> None:
        """Nobody looks any more: go on without a screen, or end, as the operator chose."""
        if self.terminal_lost:
            return
        self.terminal_lost = True
        self._app.queues.finish_soon()
        if self._on_hangup == "drain" and self._draining is None:
            self.signal = signal.SIGHUP
            self.leave()

    def leave(self) -> None:
        """Let active units finish, then end; at once when asked again."""
        if self._draining is None:
            self._draining = asyncio.create_task(self._drain())
        else:
            self.leave_at_once()

    def leave_at_once(self) -> None:
        """End now; committed windows are safe, the rest is done again."""
        self.at_once = True
        self._app.exit()

    def leave_when_idle(self) -> None:
        """Without a screen there is no reason to stay once nothing is active, and nobody to resume it."""
        supervisor = self._app.session.supervisor
        snapshots = [supervisor.snapshot(run_id) for run_id in supervisor.owned]
        if (
            not self.under_way
            and not self._app.settling
            and not self._app.queues.at_work
            and all(each and each.state == "paused" and not each.active for each in snapshots)
        ):
            self.leave()

    async def _drain(self) -> None:
        supervisor, queues = self._app.session.supervisor, self._app.queues
        if supervisor.owned or queues.at_work:
            if not self.terminal_lost:
                self._app.push_screen(QuitScreen(self.left()))
            await asyncio.gather(supervisor.drain(self._within), queues.close(self._within))
            await supervisor.wait()
        self._app.exit()

    def left(self) -> str:
        """What still has to finish."""
        supervisor = self._app.session.supervisor
        lines = [_line(run_id, supervisor.snapshot(run_id)) for run_id in supervisor.owned]
        return "\n".join([*lines, *self._app.queues.left()]) or "closing"


def _line(run_id: str, snapshot: Snapshot | None) -> str:
    active = snapshot.active if snapshot else 0
    return f"{run_id}: {active} window{'s' if active != 1 else ''} to finish" if active else f"{run_id}: saving"
