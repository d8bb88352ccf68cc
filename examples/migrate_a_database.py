"""Move every table of a SQLite database into another one, in order of foreign keys.

python -m examples.migrate_a_database shop.db copy.db
"""

from __future__ import annotations

import asyncio
import sys

from streamconsole.engines.migration.planning import plan
from streamconsole.engines.migration.settings import MigrationSettings
from streamconsole.engines.migration.whole import broken_references, expand
from streamconsole.session import open_session


async def main(source: str, target: str) -> None:
    asked = MigrationSettings(source=f"sqlite:///{source}", target=f"sqlite:///{target}", tables="all")
    tables = await asyncio.to_thread(expand, asked)
    async with open_session(f"{target}.workspace") as session:
        for name, settings in tables:
            run = await session.migration.create(await asyncio.to_thread(plan, settings, name))
            print(name, (await (await session.supervisor.start(run.id))).state)
    for line in broken_references(settings for _, settings in tables):
        print(line)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
