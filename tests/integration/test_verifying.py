"""Verification over every kind of source and target: what was moved is equal, and every kind of damage is named."""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import zstandard

from streamconsole.engines.states import RunState
from streamconsole.engines.supervisor import Ended
from streamconsole.engines.workspace.runs import Run
from tests.acceptance.test_bad_rows import peak_memory
from tests.integration.running import House, house, inject, write_lines
from tests.integration.test_formats import ROWS
from tests.program import run as run_program

HOSTILE: list[dict[str, Any]] = [
    *ROWS,
    {
        "id": 6,
        "text": "  blanks around ",
        "n": 2**63 - 1,
        "f": -0.0,
        "flag": None,
        "when": {"$date": "2024-02-29T12:00:00Z"},
    },
    {"id": 7, "text": "\\N", "n": -(2**63), "f": 5e-324, "price": {"$numberDecimal": "12.50"}, "q": '"'},
    {"id": 8, "text": "line\r\nbreak", "bytes": {"$binary": {"base64": "AP8=", "subType": "00"}}, "q": '""'},
    {
        "id": 9,
        "text": ",;|\t",
        "when": {"$date": "1969-12-31T23:59:59.999Z"},
        "price": {"$numberDecimal": "0.10"},
        "q": "",
    },
    {"id": 10, "text": None, 'odd key, "quoted"': "x", "deep": {"a": [{"b": None}], "ü": "🙂"}, "q": "'"},
    {"id": 11, "text": "true", "n": 1, "flag": True, "f": 1.0, "deep": {"z": 1, "a": 2}, "q": " "},
    {"id": 12, "text": "1e5", "n": 0, "flag": False, "f": 0.1, "deep": [], "q": "\u2028"},
]

FILES = [f"{form}{packed}" for form in ("ndjson", "json", "csv") for packed in ("", ".gz", ".zst")] + ["tsv"]
TABLES = ["own", "own-bare", "any", "any-bare"]
TARGETS = [*FILES, *TABLES]
SOURCES = [
    "ndjson",
    "ndjson.gz",
    "json",
    "object.json",
    "json.zst",
    "csv",
    "csv.gz",
    "own",
    "own-bare",
    "any",
    "generate",
]


def place(folder: Path, kind: str, name: str) -> str:
    """A source or target of some kind."""
    scheme = {"own": "sqlite", "any": "sqlite+pysqlite"}.get(kind.removesuffix("-bare"))
    return f"{scheme}:///{folder / name}-{kind}.db#t" if scheme else str(folder / f"{name}.{kind}")


def bare(kind: str) -> bool:
    """Whether rows have no key there."""
    return kind.endswith("-bare")


async def moved(home: House, source: str, kind: str, target: str, **settings: Any) -> Run:
    """A migration; into tables that are bare without a key."""
    if bare(kind):
        make_bare(target)
    return await home.migrate(source, target, **{"window_rows": 3, "writers": 0, **settings})


def make_bare(target: str) -> None:
    with closing(sqlite3.connect(path_of(target))) as connection:
        connection.execute("CREATE TABLE t (id INTEGER)")


def path_of(place: str) -> Path:
    """The file of a source or target."""
    return Path(place.partition("#")[0].partition(":///")[2] or place)


async def verified(home: House, run: Run, **settings: Any) -> tuple[Run, list[dict[str, Any]], int]:
    """A verification, the differences named, and how many there are."""
    created = await home.engine.verify(run.id, **settings)
    assert await home.work(created) == Ended(created.id, RunState.COMPLETED)
    totals = await home.totals(created)
    assert totals.failed == 0
    return await home.run(created), await home.rejects(created), totals.rejects


async def source_of_kind(home: House, folder: Path, kind: str) -> str:
    """The hostile rows in some form."""
    if kind == "generate":
        return "generate://users?count=40&seed=5"
    lines = write_lines(folder / "rows.ndjson", [json.dumps(row).encode() for row in HOSTILE])
    if kind == "object.json":
        named = {f"key {row['id']}": row for row in HOSTILE}
        (folder / "source.object.json").write_text(json.dumps(named))
        return str(folder / "source.object.json")
    where = place(folder, kind, "source")
    await moved(home, str(lines), kind, where)
    return where


@pytest.mark.parametrize("kind", SOURCES)
async def test_what_was_moved_is_equal_everywhere(tmp_path: Path, kind: str) -> None:
    async with house(tmp_path / "w.db") as home:
        source = await source_of_kind(home, tmp_path, kind)
        for target in TARGETS:
            run = await moved(home, source, target, place(tmp_path, target, "target"))
            assert await home.rejects(run) == []
            found, differences, count = await verified(home, run)
            assert (target, differences, count) == (target, [], 0)
            assert (await home.totals(found)).rows_read == (await home.totals(run)).rows_written


# Damage ---------------------------------------------------------------------------------------------

PLAIN = [{"id": n, "a": f"v{n}"} for n in range(1, 11)]

CHANGED = ("UPDATE t SET a = 'other' WHERE id = 3", lambda rows: [*rows[:2], rows[2].replace("v3", "other"), *rows[3:]])
LOST = ("DELETE FROM t WHERE id = 4", lambda rows: [*rows[:3], *rows[4:]])
DOUBLED = ("INSERT INTO t SELECT * FROM t WHERE id = 5", lambda rows: [*rows, rows[4]])
ADDED = (
    "INSERT INTO t (id, a) VALUES (99, 'more')",
    lambda rows: [*rows[:5], rows[5].replace("6", "99").replace("v99", "more"), *rows[5:]],
)
DAMAGES = {"changed": CHANGED, "lost": LOST, "doubled": DOUBLED, "added": ADDED}


def unpacked(path: Path) -> str:
    data = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(data).decode()
    if path.suffix == ".zst":
        return zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read().decode()
    return data.decode()


def pack(path: Path, text: str) -> None:
    data = text.encode()
    packed = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}.get(path.suffix)
    path.write_bytes(packed(data) if packed else data)


def edit(path: Path, kind: str, change: Callable[[list[str]], list[str]]) -> None:
    """Change the rows of a file, and nothing else about it."""
    text = unpacked(path)
    if kind.startswith("json"):
        rows = text.removeprefix("[\n").removesuffix("\n]\n").split(",\n")
        pack(path, "[\n" + ",\n".join(change(rows)) + "\n]\n")
        return
    head, *rows = text.splitlines() if kind.startswith(("csv", "tsv")) else ["", *text.splitlines()]
    pack(path, "".join(f"{line}\n" for line in [*([head] if head else []), *change(rows)]))


def damage(target: str, kind: str, what: str) -> None:
    statement, change = DAMAGES[what]
    if kind not in TABLES:
        edit(path_of(target), kind, change)
        return
    with closing(sqlite3.connect(path_of(target))) as connection:
        connection.execute(statement)
        connection.commit()


@pytest.mark.parametrize("what", DAMAGES)
async def test_every_damage_is_found_and_named(tmp_path: Path, what: str) -> None:
    source = str(write_lines(tmp_path / "rows.ndjson", PLAIN))
    async with house(tmp_path / "w.db") as home:
        for kind in TARGETS:
            if what == "doubled" and kind in ("own", "any"):
                # A table does not take a key twice.
                continue
            target = place(tmp_path, kind, "target")
            run = await moved(home, source, kind, target, key=() if bare(kind) else ("id",))
            damage(target, kind, what)
            _, differences, count = await verified(home, run)
            assert (kind, count, len(differences)) == (kind, 1, 1)
            (found,) = differences
            assert named(found, what), (kind, found)


def named(found: dict[str, Any], what: str) -> bool:
    """Whether a difference says which row it is, and what is wrong with it."""
    reason = found["reason"]
    match what:
        case "changed":
            return found["column"] == "a" and "source a='v3', target a='other'" in reason
        case "lost":
            return "missing in the target" in reason and ("line 4" in reason or found["line"] == 4)
        case "doubled":
            return "only in the target" in reason and any(
                x in reason for x in ("11", "id='5', a='v5'", "a='v5', id='5'")
            )
        case _:
            return "only in the target" in reason and any(x in reason for x in ("6", "id='99'"))


@pytest.mark.parametrize("kind", FILES)
async def test_rows_in_another_order_and_spelling_are_equal(tmp_path: Path, kind: str) -> None:
    source = str(write_lines(tmp_path / "rows.ndjson", PLAIN))
    async with house(tmp_path / "w.db") as home:
        target = place(tmp_path, kind, "target")
        run = await moved(home, source, kind, target)
        edit(path_of(target), kind, lambda rows: [respelled(row, kind) for row in reversed(rows)])
        assert (await verified(home, run))[1:] == ([], 0)


def respelled(row: str, kind: str) -> str:
    if "json" in kind:
        return json.dumps(dict(reversed(json.loads(row).items())), indent=None, separators=(" , ", " : "))
    between = "\t" if kind == "tsv" else ","
    return between.join(f'"{text}"' for text in row.split(between)) + "\r"


@pytest.mark.parametrize(
    ("kind", "text", "found"),
    [
        ("json", lambda text: text.removesuffix("]\n"), 2),
        ("json", lambda text: text + "{}", 1),
        ("json", lambda text: text.replace("},\n", "}\n", 1), 3),
        ("json", lambda text: "", 10),
        ("json", lambda text: "[]", 10),
        ("ndjson", lambda text: text[:-8], 2),
        ("ndjson", lambda text: "", 10),
        ("csv", lambda text: text.replace("v3", '"v3', 1), 1 + 8),
        ("csv", lambda text: text.split("\n")[0], 10),
        ("csv", lambda text: "", 10 + 2),
        ("csv", lambda text: text.replace("a", "b", 1), 10 + 1),
    ],
)
async def test_a_file_that_is_no_more_what_it_was(
    tmp_path: Path, kind: str, text: Callable[[str], str], found: int
) -> None:
    source = str(write_lines(tmp_path / "rows.ndjson", PLAIN))
    async with house(tmp_path / "w.db") as home:
        target = place(tmp_path, kind, "target")
        run = await moved(home, source, kind, target, key=("id",))
        path_of(target).write_text(text(path_of(target).read_text()))
        _, differences, count = await verified(home, run)
        assert count == found, differences


async def test_a_compressed_target_cut_off_stops_the_run_and_says_where(tmp_path: Path) -> None:
    source = str(write_lines(tmp_path / "rows.ndjson", [{"id": n, "a": f"{n * 7919**5:x}"} for n in range(20_000)]))
    async with house(tmp_path / "w.db") as home:
        for kind in ("ndjson.gz", "json.zst"):
            target = place(tmp_path, kind, "target")
            run = await moved(home, source, kind, target, window_rows=2_000)
            whole = path_of(target).read_bytes()
            path_of(target).write_bytes(whole[: len(whole) // 2])
            created = await home.engine.verify(run.id)
            ended = await home.work(created)
            assert ended.state is RunState.FAILURE
            assert "cut off" in str(ended.error)


BIG = 60_000


@pytest.mark.parametrize("kind", ["ndjson", "csv.gz", "any-bare"])
async def test_memory_is_bounded_whatever_differs(tmp_path: Path, kind: str) -> None:
    """Every row differs, so that all of them are sought on both sides."""
    text = "x" * 500
    write_lines(tmp_path / "rows.ndjson", ({"a": f"{n:x}", "text": text} for n in range(BIG)))
    target = place(tmp_path, kind, "target")
    if bare(kind):
        make_bare(target)
    options = ("--no-ui", "--workspace", str(tmp_path / "w.db"))
    assert (
        run_program("migrate", str(tmp_path / "rows.ndjson"), target, "--name", "big", *options, cwd=tmp_path).code == 0
    )
    if bare(kind):
        with closing(sqlite3.connect(path_of(target))) as connection:
            connection.execute("UPDATE t SET a = a || '-'")
            connection.commit()
    else:
        pack(path_of(target), unpacked(path_of(target)).replace('xxx"', 'xx"').replace("xxx\n", "xx\n"))
    code, peak = peak_memory("verify", "big", *options)
    assert code == 1
    assert peak < 250 * 2**20
    with closing(sqlite3.connect(tmp_path / "w.db")) as connection:
        (found,) = connection.execute("SELECT sum(rejects) FROM windows WHERE run LIKE 'verify-%'").fetchone()
    assert found == BIG


# Modes ----------------------------------------------------------------------------------------------

FIRST = [{"id": n, "a": "before"} for n in range(1, 6)]
SECOND = [{"id": n, "a": f"v{n}"} for n in range(6, 11)]


@pytest.mark.parametrize("kind", ["ndjson", "ndjson.gz", "csv", "csv.zst", *TABLES])
async def test_appended_rows_are_looked_for_among_others(tmp_path: Path, kind: str) -> None:
    first, second = (str(write_lines(tmp_path / f"{n}.ndjson", rows)) for n, rows in enumerate((FIRST, SECOND)))
    async with house(tmp_path / "w.db") as home:
        target = place(tmp_path, kind, "target")
        await moved(home, first, kind, target)
        run = await home.migrate(second, target, mode="append", writers=0)
        damage(target, kind, "changed")
        damage(target, kind, "added")
        assert (await verified(home, run))[1:] == ([], 0)
        lose(target, kind, "v8")
        _, differences, count = await verified(home, run)
        assert count == 1
        assert "missing in the target" in differences[0]["reason"]


def lose(target: str, kind: str, value: str) -> None:
    if kind not in TABLES:
        edit(path_of(target), kind, lambda rows: [row for row in rows if value not in row])
        return
    with closing(sqlite3.connect(path_of(target))) as connection:
        connection.execute("DELETE FROM t WHERE a = ?", (value,))
        connection.commit()


@pytest.mark.parametrize("kind", ["own", "any"])
async def test_overwritten_rows_are_compared_with_any_of_the_rows_of_their_key(tmp_path: Path, kind: str) -> None:
    rows = [{"id": n % 7, "a": f"v{n}", "b": n} for n in range(40)]
    source = str(write_lines(tmp_path / "rows.ndjson", rows))
    async with house(tmp_path / "w.db") as home:
        target = place(tmp_path, kind, "target")
        with closing(sqlite3.connect(path_of(target))) as connection:
            connection.execute("CREATE TABLE t (other TEXT DEFAULT 'd', id INT NOT NULL, a TEXT, b INT, UNIQUE (id))")
            connection.execute("INSERT INTO t VALUES ('kept', 3, 'old', 0), ('kept', 100, 'old', 0)")
            connection.commit()
        run = await moved(home, source, kind, target, mode="upsert", key=("id",))
        assert (await verified(home, run))[1:] == ([], 0)
        with closing(sqlite3.connect(path_of(target))) as connection:
            connection.execute("UPDATE t SET a = 'broken' WHERE id = 3")
            connection.execute("UPDATE t SET a = 'v1', b = 1 WHERE id = 1")
            connection.execute("DELETE FROM t WHERE id = 5")
            connection.commit()
        _, differences, count = await verified(home, run)
        assert count == 2
        reasons = sorted(each["reason"] for each in differences)
        assert reasons[0] == "missing in the target: id='5'"
        assert "target a='broken'" in reasons[1]


@pytest.mark.parametrize("kind", ["own", "any"])
async def test_columns_that_keep_a_number_and_not_its_digits(tmp_path: Path, kind: str) -> None:
    rows = [{"id": 1, "p": {"$numberDecimal": "12.50"}}, {"id": 2, "p": {"$numberDecimal": "7"}}]
    source = str(write_lines(tmp_path / "rows.ndjson", rows))
    async with house(tmp_path / "w.db") as home:
        target = place(tmp_path, kind, "target")
        with closing(sqlite3.connect(path_of(target))) as connection:
            connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, p NUMERIC)")
        run = await moved(home, source, kind, target)
        assert await home.rejects(run) == []
        assert (await verified(home, run))[1:] == ([], 0)
        with closing(sqlite3.connect(path_of(target))) as connection:
            connection.execute("UPDATE t SET p = 12.51 WHERE id = 1")
            connection.commit()
        assert (await verified(home, run))[2] == 1


@pytest.mark.parametrize("kind", TABLES)
async def test_text_that_is_not_utf_8_is_a_difference(tmp_path: Path, kind: str) -> None:
    source = str(write_lines(tmp_path / "rows.ndjson", PLAIN))
    async with house(tmp_path / "w.db") as home:
        target = place(tmp_path, kind, "target")
        run = await moved(home, source, kind, target, key=() if bare(kind) else ("id",))
        with closing(sqlite3.connect(path_of(target))) as connection:
            connection.execute("UPDATE t SET a = CAST(x'76ff' AS TEXT) WHERE id = 3")
            connection.commit()
        _, differences, _ = await verified(home, run)
        assert [each["line"] for each in differences if not bare(kind)] == ([] if bare(kind) else [3])
        assert differences


@pytest.mark.parametrize("kind", ["csv.gz", "json.zst", "any-bare"])
async def test_a_window_that_fails_is_compared_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    source = str(write_lines(tmp_path / "rows.ndjson", PLAIN))
    async with house(tmp_path / "w.db") as home:
        run = await moved(home, source, kind, place(tmp_path, kind, "target"))
        last = len(await home.windows(run)) + 1
        inject(monkeypatch, f"fail@verify.before_ledger:{last}")
        found, _, count = await verified(home, run)
        assert count == 0
        assert {each.window.number: each.attempt for each in await home.windows(found)}[last] == 2
