"""A worker process that does what it is told, a line at a time: `python -m tests.crash.queue_child WORKSPACE`."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from streamconsole.engines.queue import claiming, finishing
from streamconsole.engines.queue.finishing import End, Outcome
from streamconsole.engines.workspace import Workspace
from streamconsole.engines.workspace.nodes import Presence

QUEUE = "model"


async def main(url: str) -> None:
    workspace = await Workspace.open(url)
    presence = Presence(workspace)
    await presence.start()
    print(json.dumps(presence.node.id), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(await obey(workspace, presence.node.id, json.loads(line))), flush=True)
    await presence.stop()
    await workspace.close()


async def obey(workspace: Workspace, node: str, order: dict[str, Any]) -> Any:
    if "claim" in order:
        claimed = await workspace.write(claiming.claim, QUEUE, node, order["claim"])
        return [[row.seq, row.epoch, row.priority] for row in claimed.jobs]
    outcome = Outcome(order["seq"], order["epoch"], order["priority"], End(order["end"]), "null", pause=order["pause"])
    return sorted(await workspace.write(finishing.finish, QUEUE, [outcome], "child"))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
