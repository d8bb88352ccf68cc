"""`queue work`: this process as a worker."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import click

from streamconsole.cli.options import Common, given
from streamconsole.engines.bus import Bus
from streamconsole.engines.queue import registry
from streamconsole.engines.workspace import Workspace
from streamconsole.headless import reporting_bus
from streamconsole.queue_work import QueueWork, QueueWorkers
from streamconsole.reporting import Reporter, reporter_for
from streamconsole.summary import Summary


def work_on_queue(
    context: click.Context,
    folder: Path,
    queue: str,
    processor: str,
    *,
    concurrency: int,
    until_empty: bool,
    processes: bool,
) -> int:
    """Work on a queue until it is empty, or until a signal; gives the exit status."""
    asked = given(context)
    todo = QueueWork(registry.name_of(queue), processor, concurrency, processes)
    return asyncio.run(_work(asked, asked.workspace_beside(folder), todo, until_empty))


async def _work(asked: Common, url: str, todo: QueueWork, until_empty: bool) -> int:
    reporter: Reporter = reporter_for(json=asked.json)
    workspace = await Workspace.open(url)
    try:
        bus = Bus()
        workers = QueueWorkers(
            workspace,
            bus,
            reporter.say,
            within=30.0 if asked.drain_timeout is None else asked.drain_timeout,
            on_hangup=asked.on_hangup or "continue",
        )
        async with reporting_bus(bus, reporter, listen=asked.json):
            done = await workers.work([todo], until_empty=until_empty)
        summary = Summary(queues=done, stopped_by=workers.signal)
        reporter.summary(summary)
        sys.stdout.flush()
        if workers.left_behind:
            # A thread that does not stop would keep the program from ending; its job is another's by now.
            os._exit(summary.exit_code())
        return summary.exit_code()
    finally:
        await workspace.close()
