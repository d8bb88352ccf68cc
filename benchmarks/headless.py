"""A migration by the library, with a heartbeat beside it: `python -m benchmarks.headless SOURCE TARGET WORKSPACE`.

Prints the longest time, in milliseconds, for which the event loop answered nobody.
"""

from __future__ import annotations

import asyncio
import sys
from time import monotonic

from streamconsole.engines.bus import Bus
from streamconsole.engines.migration.engine import MigrationEngine
from streamconsole.engines.migration.planning import plan
from streamconsole.engines.migration.settings import MigrationSettings
from streamconsole.engines.states import RunState
from streamconsole.engines.supervisor import Supervisor
from streamconsole.engines.workspace import Workspace

BEAT = 0.05


class Heartbeat:
    """Beats in the event loop; `longest` is the largest gap beyond the beat, in seconds."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._task = asyncio.create_task(self._beat())

    async def _beat(self) -> None:
        while True:
            before = monotonic()
            await asyncio.sleep(BEAT)
            self.longest = max(self.longest, monotonic() - before - BEAT)

    def stop(self) -> None:
        self._task.cancel()


async def migrate(source: str, target: str, where: str) -> float:
    """Do the migration; gives the heartbeat's longest gap."""
    workspace, bus = await Workspace.open(where), Bus()
    engine = MigrationEngine(workspace, bus)
    async with Supervisor(workspace, bus, [engine]) as supervisor:
        heart = Heartbeat()
        planned = await asyncio.to_thread(plan, MigrationSettings(source=source, target=target))
        run = await engine.create(planned)
        ended = await (await supervisor.start(run.id))
        heart.stop()
    await workspace.close()
    if ended.state is not RunState.COMPLETED:
        raise SystemExit(f"the migration ended as {ended.state}: {ended.error}")
    return heart.longest


if __name__ == "__main__":
    print(round(asyncio.run(migrate(*sys.argv[1:4])) * 1000, 1))
