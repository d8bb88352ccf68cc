"""The target of a replay: that of the run whose refused rows are written, which nobody else works on meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from typing import Any

from sqlalchemy import Connection

from streamconsole.engines import faults
from streamconsole.engines.errors import Refused, StaleEpoch, StreamConsoleError
from streamconsole.engines.migration.columns import ColumnType
from streamconsole.engines.migration.targets.target import Owned, Reopening, Settled, Target, WindowWriter
from streamconsole.engines.states import WindowState
from streamconsole.engines.workspace import Workspace, nodes, replays, runs, windows
from streamconsole.engines.workspace.runs import Run


class ReplayedTarget:
    """Stands where the target of a run stands.

    Args:
        workspace: has the lists of refused rows.
        replay: the run that writes them, as claimed.
        of: id of the run that refused them.
        target: of both.
    """

    def __init__(self, workspace: Workspace, replay: Run, of: str, target: Target) -> None:
        self._workspace = workspace
        self._replay = replay
        self._of = of
        self._target = target
        self._owned: Run | None = None

    def inspect(self, needs: Mapping[str, ColumnType], key: tuple[str, ...]) -> dict[str, Any]:
        """Nothing is planned here."""
        return {}

    def use(self, schema: Mapping[str, Any]) -> None:
        """The schema is the one that the run has left."""

    async def open(self, run: str, epoch: int) -> list[Settled]:
        """Own the run whose rows are written, too.

        Raises:
            Held: a living process works on it.
        """
        self._owned = await self._workspace.write(self._claim)
        assert isinstance(self._target, Reopening)
        return await self._target.reopen(Owned(self._of, self._owned.epoch), Owned(run, epoch))

    def writer(self) -> WindowWriter:
        """Writes refused rows."""
        return self._target.writer()

    def turn(self, writer: WindowWriter) -> AbstractContextManager[None]:
        """The target for one window."""
        return self._target.turn(writer)

    async def widen(self, needs: Mapping[str, ColumnType]) -> None:
        """Make the schema hold what is needed."""
        await self._target.widen(needs)

    async def finish(self, *, whole: bool) -> None:
        """Make the rows durable; only then do they leave the list of those that are refused."""
        failed = await self._workspace.read(windows.listing, self._of, [WindowState.FAILED])
        await self._target.finish(whole=whole and not failed)
        faults.reach("replay.before_hand_over")
        while await self._workspace.write(replays.hand_over, self._replay, self._of):
            faults.reach("replay.handed_over")

    def forget_parts(self) -> None:
        """Remove what was kept to go on with."""
        self._target.forget_parts()

    async def close(self) -> None:
        """Let go of everything, the run too. Safe to call twice."""
        await self._target.close()
        if self._owned is not None:
            owned, self._owned = self._owned, None
            with suppress(StreamConsoleError):
                await self._workspace.write(runs.release, owned)

    def _claim(self, connection: Connection) -> Run:
        node = nodes.get(connection, self._replay.owner) if self._replay.owner else None
        if node is None:
            raise StaleEpoch(f"run {self._replay.id} has been taken over by another process")
        run = runs.get(connection, self._of)
        if run.id != self._of:
            raise Refused(f"run {self._of} is not kept any more: its refused rows cannot be told")
        return runs.claim(connection, self._of, node, self._workspace.locks)
