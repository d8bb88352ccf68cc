"""A real mongoexport into SQLite, compared with an independent reading of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bson import json_util

from streamconsole.engines.states import WindowState
from tests.integration.running import DATA, House, rows_of

OPTIONS = json_util.JSONOptions(tz_aware=True, tzinfo=UTC)


def plain(value: Any) -> Any:
    """A nested value of bson's as the JSON column keeps it."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if isinstance(value, datetime):
        return {"$date": moment(value)}
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value


def moment(value: datetime) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"


def expected(name: str) -> list[dict[str, Any]]:
    lines = (DATA / name).read_text().splitlines()
    return sorted((json_util.loads(line, json_options=OPTIONS) for line in lines), key=lambda row: str(row["_id"]))


async def move(here: House, name: str, folder: Path) -> list[dict[str, Any]]:
    target = f"sqlite:///{folder}/shop.db#t"
    run = await here.migrate(DATA / name, target, workers=4, window_rows=100)
    records = await here.windows(run)
    assert {record.worker for record in records} == {1, 2, 3, 4}
    assert {record.state for record in records} == {WindowState.COMPLETED}
    assert [record.window.lo for record in records[1:]] == [record.window.hi for record in records[:-1]]
    assert (records[0].window.lo, records[-1].window.hi) == (0, (DATA / name).stat().st_size)
    rows = rows_of(folder / "shop.db", order='"_id"')
    assert (await here.totals(run)).rows_written == len(rows)
    return rows


async def test_customers(here: House, tmp_path: Path) -> None:
    rows, wanted = await move(here, "customers.json", tmp_path), expected("customers.json")
    assert len(rows) == len(wanted) == 500
    early = 0
    for row, want in zip(rows, wanted, strict=True):
        assert row["_id"] == str(want["_id"])
        assert row["username"] == want["username"]
        assert row["address"] == want["address"]
        assert row["birthdate"] == moment(want["birthdate"])
        assert json.loads(row["accounts"]) == plain(want["accounts"])
        assert json.loads(row["tier_and_details"]) == plain(want["tier_and_details"])
        assert row["active"] == want.get("active")
        early += want["birthdate"].year < 1970
    assert early, "the file is to hold dates before 1970"


async def test_accounts(here: House, tmp_path: Path) -> None:
    rows, wanted = await move(here, "accounts.json", tmp_path), expected("accounts.json")
    assert len(rows) == len(wanted) == 1746
    for row, want in zip(rows, wanted, strict=True):
        assert row["_id"] == str(want["_id"])
        assert row["account_id"] == want["account_id"]
        assert row["limit"] == want["limit"]
        assert json.loads(row["products"]) == want["products"]


@pytest.mark.parametrize("name", ["customers.json", "accounts.json"])
async def test_to_lines_and_back_nothing_is_lost(here: House, tmp_path: Path, name: str) -> None:
    lines = tmp_path / "copy.ndjson"
    await here.migrate(DATA / name, lines, workers=4, window_rows=64)
    read = [json_util.loads(line, json_options=OPTIONS) for line in lines.read_text().splitlines()]
    wanted = [json_util.loads(line, json_options=OPTIONS) for line in (DATA / name).read_text().splitlines()]
    for row, want in zip(read, wanted, strict=True):
        assert row == {**want, "_id": str(want["_id"])}
    assert not list(tmp_path.glob("copy.ndjson.*"))
