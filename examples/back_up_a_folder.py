"""Upload a folder into a store, and say what became of every file.

python -m examples.back_up_a_folder photos store
"""

from __future__ import annotations

import asyncio
import sys

from streamconsole.engines.transfer.planning import plan
from streamconsole.engines.transfer.settings import TransferSettings
from streamconsole.engines.workspace import chunks
from streamconsole.session import open_session


async def main(folder: str, store: str) -> None:
    async with open_session(f"{folder}.workspace") as session:
        planned = await plan(TransferSettings(upload=folder, store=store, level=6))
        run = await session.transfer.create(planned)
        ended = await (await session.supervisor.start(run.id))
        print(ended.state)
        for file in await session.workspace.read(chunks.files_of, run.id):
            print(file.path, file.state, file.size)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
