"""NDJSON as a target: a part per window is the ledger, joined in the source's order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamconsole.engines import faults
from streamconsole.engines.errors import Refused, SideLost, StaleEpoch
from streamconsole.engines.migration.batch import Batch, Misfit
from streamconsole.engines.migration.settings import Mode
from streamconsole.engines.migration.sources.ndjson import NdjsonReader
from streamconsole.engines.migration.targets.files import FileTarget
from streamconsole.engines.migration.targets.json_rows import JsonRows, dump
from streamconsole.engines.migration.targets.target import Settled, Written
from streamconsole.engines.units import Reject, Window
from tests.unit.loading import write as write_batch

READER = NdjsonReader(Path("/nowhere"))


def nothing(_: Sequence[Reject]) -> None:
    return None


async def write(target: FileTarget, number: int, *lines: str) -> Written:
    window = Window(number, number * 10, number * 10 + 10, 0, len(lines))
    batch = Batch("".join(f"{line}\n" for line in lines).encode(), list(range(len(lines))), len(lines) + 1)
    return write_batch(target, window, batch, READER, nothing)


async def opened(path: Path, epoch: int = 1) -> FileTarget:
    target = FileTarget(path)
    await target.open("run-1", epoch)
    return target


async def test_parts_are_joined_in_the_order_of_the_source(tmp_path: Path) -> None:
    path = tmp_path / "out.ndjson"
    target = await opened(path)
    for number in (100, 3, 20):
        assert await write(target, number, f"{number}a", f"{number}b") == Written(3, 2, 0)
    await write(target, 7)
    assert not path.exists()
    await target.finish(whole=True)
    assert path.read_text().split() == ["3a", "3b", "20a", "20b", "100a", "100b"]
    target.forget_parts()
    assert list(tmp_path.iterdir()) == [path]


async def test_a_part_is_the_proof_that_a_window_is_done(tmp_path: Path) -> None:
    target = await opened(tmp_path / "out.ndjson")
    first = await write(target, 1, "one", "two")
    assert await write(target, 1, "something else") == first
    again = FileTarget(tmp_path / "out.ndjson")
    assert await again.open("run-1", 2) == [Settled(10, 20, first)]
    assert await FileTarget(tmp_path / "out.ndjson").open("run-2", 1) == []
    names = [part.name for part in (tmp_path / "out.ndjson.parts-run-1").glob("*.part")]
    assert names == ["00000000000000000010-00000000000000000020-3-2-0-0.part"]


async def test_half_a_part_is_no_part(tmp_path: Path) -> None:
    await opened(tmp_path / "out.ndjson")
    parts = tmp_path / "out.ndjson.parts-run-1"
    half = parts / "00000000000000000010-00000000000000000020-3-2-0-0.part.1.tmp"
    half.write_text("ha")
    target = FileTarget(tmp_path / "out.ndjson")
    assert await target.open("run-1", 2) == []
    assert not half.exists()
    await target.finish(whole=True)
    assert (tmp_path / "out.ndjson").read_bytes() == b""


async def test_what_was_joined_is_known_however_often_joining_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.ndjson"
    path.write_text("before\n")

    async def joined(epoch: int, stop_at: str | None) -> None:
        def reach(point: str, unit: object = None) -> None:
            if point == stop_at:
                raise OSError(5, "cut off")

        monkeypatch.setattr(faults, "reach", reach)
        target = FileTarget(path, mode=Mode.APPEND)
        await target.open("run-1", epoch)
        if epoch == 1:
            await write(target, 1, "one")
        await target.finish(whole=True)

    for epoch, stop_at in enumerate(["target.after_join", *["target.before_join"] * 2, "target.after_join"], 1):
        with pytest.raises(SideLost, match="cut off"):
            await joined(epoch, stop_at)
        half = tmp_path / "out.ndjson.parts-run-1" / ".joined.1.tmp"
        half.touch()
    await joined(5, None)
    assert path.read_text() == "before\none\n"
    assert not half.exists()
    (tmp_path / "other").write_text("somebody else's\n")
    (tmp_path / "other").rename(path)
    with pytest.raises(SideLost, match="was replaced"):
        await joined(6, None)


@pytest.mark.parametrize("newer", [2, 3, 11])
async def test_a_late_owner_is_refused(tmp_path: Path, newer: int) -> None:
    late = await opened(tmp_path / "out.ndjson", 1)
    now = await opened(tmp_path / "out.ndjson", newer)
    with pytest.raises(StaleEpoch):
        await write(late, 1, "late")
    with pytest.raises(StaleEpoch):
        await FileTarget(tmp_path / "out.ndjson").open("run-1", newer - 1)
    assert await write(now, 1, "now") == Written(2, 1, 0)
    await now.finish(whole=True)
    assert (tmp_path / "out.ndjson").read_text() == "now\n"


async def test_an_error_before_the_rename_leaves_no_part(tmp_path: Path) -> None:
    target = await opened(tmp_path / "out.ndjson")

    def fail(_: Sequence[Reject]) -> None:
        raise SideLost("workspace", "gone")

    window = Window(1, 10, 20, 0, 1)
    with pytest.raises(SideLost, match="gone"):
        write_batch(target, window, Batch(b"x\n", [0], 1), READER, fail)
    assert list((tmp_path / "out.ndjson.parts-run-1").glob("*.part")) == []
    assert await write(target, 1, "x") == Written(2, 1, 0)


async def test_a_folder_taken_away_is_a_lost_target(tmp_path: Path) -> None:
    target = await opened(tmp_path / "out.ndjson")
    target.forget_parts()
    with pytest.raises((SideLost, StaleEpoch)):
        await write(target, 1, "x")


def test_what_cannot_be_the_target_is_refused(tmp_path: Path) -> None:
    full, empty = tmp_path / "full.ndjson", tmp_path / "empty.ndjson"
    full.write_text("{}\n")
    empty.touch()
    readonly = tmp_path / "readonly"
    readonly.mkdir(mode=0o555)
    FileTarget(empty).inspect({}, ())
    for path, reason in (
        (full, "holds something already"),
        (tmp_path, "is a folder"),
        (tmp_path / "none" / "x.ndjson", "does not exist"),
        (readonly / "x.ndjson", "read-only"),
    ):
        with pytest.raises(Refused, match=reason):
            FileTarget(path).inspect({}, ())


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(st.dictionaries(st.text(max_size=4), VALUES, max_size=4))
def test_a_line_says_what_the_row_said(row: dict[str, object]) -> None:
    normalizer = JsonRows()()
    normalizer.add(0, row)
    payload, indexes = normalizer.payload()
    assert payload.count(b"\n") == 1
    assert json.loads(payload) == row
    assert indexes == [0]


def test_what_json_has_no_form_for_is_extended_json() -> None:
    normalizer = JsonRows()()
    row = {
        "d": datetime(1969, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC),
        "n": Decimal("1.50"),
        "b": b"\x00\xff",
        "i": float("inf"),
        "m": float("-inf"),
        "x": float("nan"),
        "big": 2**70,
    }
    normalizer.add(0, row)
    assert json.loads(normalizer.payload()[0]) == {
        "d": {"$date": "1969-01-02T03:04:05.678Z"},
        "n": {"$numberDecimal": "1.50"},
        "b": {"$binary": {"base64": "AP8=", "subType": "00"}},
        "i": {"$numberDouble": "Infinity"},
        "m": {"$numberDouble": "-Infinity"},
        "x": {"$numberDouble": "NaN"},
        "big": 2**70,
    }
    with pytest.raises(Misfit, match="no JSON form"):
        dump({"a": object()})
