"""The queues of a runbook: who does their jobs, how they are treated, what the clock adds."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from streamconsole.engines.errors import Refused
from streamconsole.engines.queue import Queue, QueueSettings
from streamconsole.engines.queue.options import checked
from streamconsole.engines.queue.payloads import to_text
from streamconsole.engines.queue.processors.resolve import processor_of
from streamconsole.engines.queue.schedulers import Schedule
from streamconsole.engines.workspace import Workspace
from streamconsole.queue_work import QueueWork


class NamedQueue(BaseModel):
    """A queue of a runbook.

    Args:
        name: the queue's.
        processor: `module:function` (looked for in the runbook's folder, too) or `exec:COMMAND`.
        concurrency: jobs at once of this process.
        processes: each call in a process of its own.
        settings: how the queue is treated, by all workers of all processes.
        schedule: jobs made by the clock; each has an `id`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=200)]
    processor: Annotated[str, Field(min_length=1)]
    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 1
    processes: bool = False
    settings: QueueSettings | None = None
    schedule: tuple[dict[str, Any], ...] = ()

    def work(self) -> QueueWork:
        """What a worker needs to know of it."""
        return QueueWork(self.name, self.processor, self.concurrency, self.processes)

    def schedules(self) -> dict[str, Schedule]:
        """Its schedules by id.

        Raises:
            Refused: one of them is wrong.
        """
        return dict(self._schedule(number, dict(given)) for number, given in enumerate(self.schedule))

    def _schedule(self, number: int, given: dict[str, Any]) -> tuple[str, Schedule]:
        where = f"queue {self.name}: schedule[{number}]"
        named = given.pop("id", None)
        if not isinstance(named, str) or not named:
            raise Refused(f"{where}.id is missing")
        if "payload" in given:
            given["payload"] = to_text(given["payload"], f"payload of schedule {named}")
        return named, checked(Schedule, given, where)


def check(queues: tuple[NamedQueue, ...], folder: Path) -> None:
    """Look whether everything in them can be had; the runbook's folder is importable from now on.

    Raises:
        Refused: a processor cannot be found, or a schedule is wrong.
    """
    if queues and str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    for queue in queues:
        queue.schedules()
        processor_of(queue.processor, concurrency=1, workspace="", processes=queue.processes)


async def set_up(workspace: Workspace, queues: tuple[NamedQueue, ...]) -> None:
    """Set the queues up as the runbook says; what it does not say stays as it is."""
    for each in queues:
        queue = Queue(workspace, each.name)
        if each.settings is not None:
            await queue.configure(each.settings)
        for named, schedule in each.schedules().items():
            await queue.upsert_scheduler(named, schedule)
