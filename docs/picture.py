"""Draws the README's picture: the real console, with a real migration in its middle.

`python docs/picture.py` writes docs/console.svg and docs/console.png. Rates differ from one machine to
the next; everything else is the same each time.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path
from unittest.mock import patch

import resvg_py

from streamconsole.app import ConsoleApp
from streamconsole.console_settings import ConsoleSettings
from streamconsole.engines.migration.planning import plan
from streamconsole.engines.migration.settings import MigrationSettings
from streamconsole.headless import Work
from streamconsole.screens.views import RunView
from streamconsole.session import Session, open_session

FAILING = {21: 3, 77: 3, 250: 2}
"""Windows that fail, and how often: the first two for good, the last one is being retried in the picture."""

HERE = Path(__file__).absolute().parent
FOLDER = Path(tempfile.gettempdir()) / "nightly"
SIZE = (112, 32)
ROWS = 450_000
FONT = "DejaVu Sans Mono"
FONTS = "/usr/share/fonts/truetype/dejavu"


def write_source(path: Path) -> None:
    """Customers, some of whom no program can read."""
    with path.open("w") as file:
        for number in range(ROWS):
            customer = {"_id": number, "name": f"Customer {number}", "active": number % 3 > 0, "note": "x" * 150}
            line = json.dumps(customer)
            file.write(line[:40] + "\n" if number % 23_000 == 4_711 else line + "\n")


async def planned(session: Session, name: str, source: str, target: str, **options: object) -> str:
    """A new run; gives its id."""
    settings = MigrationSettings.model_validate({"source": source, "target": target, **options})
    return (await session.migration.create(plan(settings, name))).id


async def drawn() -> str:
    """The console's screen as SVG."""
    write_source(FOLDER / "customers.ndjson")
    retry = {"attempts": 3, "delay": 1.5, "backoff": "fixed", "jitter": 0}
    async with open_session(".streamconsole/workspace.db") as session:
        users = await planned(session, "users", "generate://users?count=20000", "users.ndjson")
        await (await session.supervisor.start(users))
        await planned(session, "orders", "generate://orders?count=50000", "sqlite:///shop.db#orders")
        target = "sqlite:///shop.db#customers"
        run = await planned(session, "customers", "customers.ndjson", target, window_rows=1000, retry=retry)
        app = ConsoleApp(session, ConsoleSettings(theme="console-dark"), [Work(run)], start=True)
        async with app.run_test(size=SIZE) as pilot:
            async with asyncio.timeout(60):
                while not worth_a_picture(app.model.runs.get(run)):
                    await pilot.pause(0.02)
            await pilot.pause(0.2)
            picture = app.export_screenshot(title="streamconsole nightly.toml")
            await session.supervisor.drain(30)
            await session.supervisor.wait()
        app.model.close()
    return picture


def worth_a_picture(view: RunView | None) -> bool:
    """Whether there are windows in every state."""
    states = [window.state for window in (view.ledger or {}).values()] if view else []
    return states.count("failed") == 2 and {"pending", "running", "retrying", "completed"} <= set(states)


def main() -> None:
    """Draw, and write both files."""
    if "STREAMCONSOLE_FAULTS" not in os.environ:
        # The engine reads it once, when it is imported.
        os.environ["STREAMCONSOLE_FAULTS"] = ";".join(
            f"fail@window.start:{at}*{times}" for at, times in FAILING.items()
        )
        os.execv(sys.executable, [sys.executable, __file__])
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    os.chdir(FOLDER)
    try:
        # Ids of runs are random; in a picture they had better stay.
        with patch("secrets.choice", random.Random(5).choice):
            svg = asyncio.run(drawn())
    finally:
        os.chdir(HERE)
        shutil.rmtree(FOLDER, ignore_errors=True)
    start, end = svg.index("@font-face"), svg.rindex("@font-face")
    end = svg.index("}", end) + 1
    svg = (svg[:start] + svg[end:]).replace("Fira Code", FONT)
    (HERE / "console.svg").write_text(svg)
    (HERE / "console.png").write_bytes(bytes(resvg_py.svg_to_bytes(svg_string=svg, font_dirs=[FONTS])))


if __name__ == "__main__":
    main()
