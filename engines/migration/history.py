"""The history of a run: every range with its outcome, kept in the workspace and told on the bus."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Any

from sqlalchemy import Connection

from streamconsole.engines.bus import Bus, Event
from streamconsole.engines.migration.events import (
    WindowCompleted,
    WindowFailed,
    WindowPutBack,
    WindowRetried,
    WindowsPlanned,
    WindowStarted,
)
from streamconsole.engines.migration.targets.target import Settled, Written
from streamconsole.engines.migration.verifying.checked import Checked
from streamconsole.engines.states import EngineKind, WindowState
from streamconsole.engines.units import Reject, Window
from streamconsole.engines.workspace import Workspace, digests, events, rejects, windows
from streamconsole.engines.workspace.runs import Run
from streamconsole.engines.workspace.windows import WindowRecord


class History:
    """Records what happens to the windows of one run.

    Args:
        workspace: where it is kept.
        bus: told of each change once it is kept.
        run: the run, as claimed.
    """

    def __init__(self, workspace: Workspace, bus: Bus, run: Run) -> None:
        self._workspace = workspace
        self._bus = bus
        self._run = run
        self._begun: dict[int, float] = {}

    async def records(self) -> list[WindowRecord]:
        """Every window known."""
        return await self._workspace.read(windows.listing, self._run.id)

    async def plan(self, cut: list[Window]) -> None:
        """Keep ranges before they are handed out."""
        event = WindowsPlanned(**self._about(), first=cut[0].number, last=cut[-1].number, hi=cut[-1].hi)
        await self._keep(event, windows.plan, cut)

    async def start(self, window: Window, worker: int) -> int:
        """A worker has begun with a range; gives the attempt, counted from 1."""
        self._begun[window.number] = monotonic()
        attempt: int = await self._workspace.write(windows.start, self._run, window.number, worker)
        self._bus.publish(
            WindowStarted(
                **self._about(),
                window=window.number,
                worker=worker,
                lo=window.lo,
                hi=window.hi,
                attempt=attempt,
            )
        )
        return attempt

    async def complete(self, window: Window, worker: int, written: Written) -> None:
        """A range is committed in the target."""
        event = WindowCompleted(
            **self._about(),
            window=window.number,
            worker=worker,
            lo=window.lo,
            hi=window.hi,
            rows_read=written.rows_read,
            rows=written.rows_written,
            rejects=written.rejects,
            seconds=round(monotonic() - self._begun.pop(window.number, monotonic()), 4),
        )
        await self._keep(event, _complete, window.number, written)

    async def retry(self, window: Window, worker: int, attempt: int, message: str, pause: float) -> None:
        """An attempt failed; another follows after a pause (seconds)."""
        event = WindowRetried(
            **self._about(),
            window=window.number,
            worker=worker,
            attempt=attempt,
            message=message,
            pause=round(pause, 3),
        )
        await self._keep(event, windows.record_failure, window, worker, attempt, message)

    async def fail(self, window: Window, worker: int, attempt: int, message: str) -> None:
        """A range failed; the run goes on without it."""
        event = WindowFailed(**self._about(), window=window.number, worker=worker, attempt=attempt, message=message)
        await self._workspace.write(windows.record_failure, self._run, window, worker, attempt, message)
        await self._keep(event, windows.fail, window.number, message)

    async def put_back(self, window: Window, worker: int) -> None:
        """A range that was begun is pending again."""
        event = WindowPutBack(**self._about(), window=window.number, worker=worker)
        await self._keep(event, windows.hand_back, [WindowState.RUNNING, WindowState.FAILED], window.number)

    def keep_rejects(self, window: Window, refused: Sequence[Reject]) -> None:
        """Keep a window's rejects in the place of those of an earlier attempt; called in a thread."""
        self._workspace.writer.call(rejects.replace, self._run, window.number, refused)

    async def reconcile(self, settled: list[Settled], *, retry_failed: bool) -> None:
        """Bring the workspace's ledger in line with the target's, which is the truth.

        A crash may have come between the target's commit and ours, or have taken the target's
        last commits along. Windows left running are pending again; failed ones only when asked.
        """
        await self._workspace.write(_reconcile, self._run, settled, retry_failed)

    def _about(self) -> dict[str, Any]:
        return {"engine": EngineKind.MIGRATION, "run": self._run.id}

    async def _keep(self, event: Event, function: Any, *args: Any) -> None:
        await self._workspace.write(_with_event, self._run, event, function, args)
        self._bus.publish(event)


def _complete(connection: Connection, run: Run, number: int, written: Written) -> None:
    windows.complete(connection, run, number, written.rows_read, written.rows_written, written.rejects)
    if isinstance(written, Checked):
        digests.keep(connection, run, written.record(number))


def _with_event(connection: Connection, run: Run, event: Event, function: Any, args: tuple[Any, ...]) -> None:
    function(connection, run, *args)
    events.append(connection, [event])


def _reconcile(connection: Connection, run: Run, settled: list[Settled], retry_failed: bool) -> None:
    done = {each.lo: each for each in settled}
    again = {WindowState.RUNNING, WindowState.FAILED} if retry_failed else {WindowState.RUNNING}
    windows.hand_back(connection, run, again)
    for record in windows.listing(connection, run.id):
        each = done.get(record.window.lo)
        if each is not None and record.state is not WindowState.COMPLETED:
            _complete(connection, run, record.window.number, each.written)
        elif each is None and record.state is WindowState.COMPLETED:
            windows.hand_back(connection, run, [WindowState.COMPLETED], record.window.number)
