"""A worker: does one range at a time, and notifies how it went."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable

from streamconsole.engines import faults
from streamconsole.engines.errors import SideLost, StaleEpoch
from streamconsole.engines.migration.cluster import Cluster
from streamconsole.engines.migration.history import History
from streamconsole.engines.migration.moving import Task
from streamconsole.engines.migration.notifications import Kind, Notification
from streamconsole.engines.migration.targets.target import SchemaMoved, Written
from streamconsole.engines.retry import RetryPolicy
from streamconsole.engines.secrets import mask
from streamconsole.engines.units import Window

PASSING = (OSError, sqlite3.OperationalError)
"""Errors worth another try: something was busy, cut off or killed."""


class Worker:
    """Has ranges read, fitted and written.

    Args:
        task: what is to be done with a range, at its n-th attempt.
        cluster: where ranges are moved.
        history: where every attempt is kept.
        policy: how often a range is tried.
        widen: widens the target's schema, one caller at a time.
    """

    def __init__(
        self,
        task: Callable[[Window, int], Awaitable[Task]],
        cluster: Cluster,
        history: History,
        policy: RetryPolicy,
        widen: Callable[..., Awaitable[None]],
    ) -> None:
        self._task = task
        self._cluster = cluster
        self._history = history
        self._policy = policy
        self._widen = widen

    async def work(self, number: int, window: Window) -> Notification:
        """Do one range as worker `number`, trying again by the policy."""
        try:
            return await self._try(number, window)
        except (SideLost, StaleEpoch) as error:
            return Notification(Kind.FAILURE, number, window, message=mask(str(error)), error=error)

    async def _try(self, number: int, window: Window) -> Notification:
        attempt = 0

        async def once() -> Written:
            nonlocal attempt
            attempt = await self._history.start(window, number)
            faults.reach("window.start", window.number)
            return await self._move(window, attempt)

        async def before_retry(_: int, error: BaseException, pause: float) -> None:
            await self._history.retry(window, number, attempt, mask(str(error)), pause)

        try:
            written = await self._policy.run(once, transient=_is_passing, before_retry=before_retry)
            faults.reach("window.before_ledger", window.number)
            await self._history.complete(window, number, written)
        except (OSError, sqlite3.Error) as error:
            # Kept here, where a workspace that is lost meanwhile is still a lost side.
            message = mask(str(error))
            await self._history.fail(window, number, attempt, message)
            return Notification(Kind.ERROR, number, window, message=message)
        faults.reach("window.after_ledger", window.number)
        return Notification(Kind.COMPLETED, number, window, written)

    async def _move(self, window: Window, attempt: int) -> Written:
        while True:
            try:
                moved = await self._cluster.move(await self._task(window, attempt))
            except SchemaMoved:
                continue
            if isinstance(moved, Written):
                return moved
            await self._widen(moved.columns)


def _is_passing(error: BaseException) -> bool:
    return isinstance(error, PASSING)
