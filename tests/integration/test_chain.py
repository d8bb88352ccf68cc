"""A run that stands for the tables of a database gives way to them once, whoever asks."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from streamconsole.chain import Before, Place, held_back, spread
from streamconsole.engines.errors import Held, Refused
from streamconsole.engines.migration.planning import plan_later
from streamconsole.engines.migration.settings import MigrationSettings
from streamconsole.engines.states import RunState
from streamconsole.engines.workspace import runs
from streamconsole.engines.workspace.runs import Run
from tests.integration.running import House, house, inject, rows_of

WHOLE = Place("shop", whole=True, after=(Before("raw", "raw"),))


async def standing(here: House, tmp_path: Path, **settings: object) -> Run:
    asked = {"source": f"sqlite:///{tmp_path}/a.db", "target": f"sqlite:///{tmp_path}/b.db", "tables": "all"}
    return await here.engine.create(plan_later(MigrationSettings.model_validate(asked | settings), "shop"))


async def make(here: House, tmp_path: Path, *tables: str) -> None:
    for table in tables:
        await here.migrate("generate://orders?count=20", f"sqlite:///{tmp_path}/a.db#{table}")


async def names(here: House) -> list[str]:
    return sorted(run.name for run in await here.workspace.read(runs.listing))


async def test_tables_take_the_place_of_the_one_that_stood_for_them(here: House, tmp_path: Path) -> None:
    run = await standing(here, tmp_path)
    ended = await here.work(run)
    assert "stands for the tables of a database" in str(ended.error)
    with pytest.raises(Refused, match="does not exist"):
        await spread(here.workspace, here.engine, run.id, WHOLE)
    await make(here, tmp_path, "one", "two")
    found = await spread(here.workspace, here.engine, run.id, WHOLE)
    assert [place for _, place in found] == [Place("shop", table, after=WHOLE.after) for table in ("one", "two")]
    assert await names(here) == ["one", "shop.one", "shop.two", "two"]
    for run_id, _ in found:
        assert (await here.work(await here.workspace.read(runs.get, run_id))).state is RunState.COMPLETED
    assert len(rows_of(tmp_path / "b.db", "two")) == 20


async def test_two_processes_at_once_make_them_once(here: House, tmp_path: Path) -> None:
    await make(here, tmp_path, "one", "two")
    run = await standing(here, tmp_path)
    async with house(here.workspace.path) as other:
        done = await asyncio.gather(
            *(spread(each.workspace, each.engine, run.id, WHOLE) for each in (here, other)), return_exceptions=True
        )
    assert sorted(isinstance(each, Held) for each in done) == [False, True]
    assert await names(here) == ["one", "shop.one", "shop.two", "two"]


async def test_a_table_that_cannot_be_moved_leaves_all_as_it_was(here: House, tmp_path: Path) -> None:
    await make(here, tmp_path, "one", "two")
    await here.migrate("generate://orders?count=20", f"sqlite:///{tmp_path}/b.db#two")
    run = await standing(here, tmp_path)
    with pytest.raises(Refused, match="holds rows already"):
        await spread(here.workspace, here.engine, run.id, WHOLE)
    assert await names(here) == ["one", "shop", "two", "two"]


async def test_what_is_waited_for(here: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place("last", after=(Before("shop.one", "shop", "one"),))
    asked = {"window_rows": 10, "retry": {"attempts": 1}}
    run = await here.create("generate://orders?count=20", f"sqlite:///{tmp_path}/a.db#t", **asked)

    async def why(*chain: tuple[str, Place]) -> str | None:
        return await held_back(here.workspace, place, chain)

    assert await held_back(here.workspace, None, []) is await held_back(here.workspace, Place("x"), []) is None
    assert await why() == "waits for shop.one, which is not there"
    assert await why((run.id, Place("shop", "two"))) == "waits for shop.one, which is not there"
    assert await why((run.id, Place("shop", whole=True))) == "waits for shop.one"
    assert await why((run.id, Place("shop", "one"))) == "waits for shop.one"
    inject(monkeypatch, "fail@window.start:2")
    await here.work(run)
    failed = f"waits for shop.one: {run.id} has 1 failed window (`streamconsole runs retry {run.id}`)"
    assert await why((run.id, Place("shop", "one"))) == failed
    await here.work(await here.run(run), retry_failed=True)
    assert await why((run.id, Place("shop", "one"))) is None
    assert await why(("gone", Place("shop", "one"))) == "waits for shop.one, and run gone is not there any more"
