"""Move a file into SQLite, and say what became of every window.

python -m examples.migrate_a_file customers.json shop.db customers
"""

from __future__ import annotations

import asyncio
import sys

from streamconsole.engines.migration.planning import plan
from streamconsole.engines.migration.settings import MigrationSettings
from streamconsole.engines.workspace import windows
from streamconsole.session import open_session


async def main(source: str, database: str, table: str) -> None:
    async with open_session(f"{database}.workspace") as session:
        planned = await asyncio.to_thread(
            plan, MigrationSettings(source=source, target=f"sqlite:///{database}#{table}")
        )
        run = await session.migration.create(planned)
        ended = await (await session.supervisor.start(run.id))
        print(ended.state)
        for record in await session.workspace.read(windows.listing, run.id):
            print(record.window.number, record.state, record.rows_written, record.rejects)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
