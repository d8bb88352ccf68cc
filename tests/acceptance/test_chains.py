"""Migrations of a runbook that wait for others: checked, planned when they can be, held back, gone on with."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from streamconsole.engines import faults
from tests.acceptance.calling import Call, assert_refused, rows
from tests.program import Result


def entry(name: str, source: str, target: str, *more: str) -> str:
    """A migration of a runbook."""
    lines = ("[[migration]]", f'name = "{name}"', f'source = "{source}"', f'target = "{target}"', *more)
    return "\n".join(lines) + "\n\n"


def made(name: str, target: str = "", *more: str, count: int = 20) -> str:
    """A migration whose source is there at any time."""
    return entry(name, f"generate://orders?count={count}", target or f"sqlite:///t.db#{name}", *more)


def after(*names: str) -> str:
    return f"after = {json.dumps(names)}"


def inject(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(faults, "_faults", faults._parse(text))


def write(*entries: str) -> None:
    Path("book.toml").write_text("".join(entries))


def done(call: Call, code: int = 0) -> dict[str, dict[str, object]]:
    """The runs of the runbook by name, when it has come to its end so."""
    result = call("book.toml", "--json")
    assert result.code == code, result
    return by_name(result)


def by_name(result: Result) -> dict[str, dict[str, object]]:
    return {each["name"]: each for each in result.summary["runs"]}


def states(runs: dict[str, dict[str, object]]) -> dict[str, object]:
    return {name: run["status"] for name, run in runs.items()}


def tables() -> set[str]:
    found = rows(statement="SELECT name FROM sqlite_master WHERE type = 'table'")
    return {str(name) for (name,) in found if not str(name).startswith("_")}


# As it is written ----------------------------------------------------------------------------------

WHOLE = entry("shop", "sqlite:///shop.db", "sqlite:///copy.db", 'tables = ["orders", "lines"]')

BAD: dict[str, tuple[list[str], list[str]]] = {
    "waits for nobody": ([made("orders"), made("users", "", after("order"))], ["migration[1].after[0]: there is no"]),
    "a hint": ([made("orders"), made("users", "", after("order"))], ["did you mean orders?"]),
    "waits for itself": ([made("orders", "", after("orders"))], ["migration[0].after[0]", "cannot wait for itself"]),
    "waits for its own table": ([WHOLE.rstrip() + "\n" + after("shop.lines")], ["after[0]", "cannot wait for itself"]),
    "wait for each other": (
        [made("a", "", after("c")), made("b", "", after("a")), made("c", "", after("b"))],
        ["migration[", ".after: these wait for each other: "],
    ),
    "no such table": ([WHOLE, made("b", "", after("shop.line"))], ["migration[1].after[0]", "'shop.line'"]),
    "a table of no whole database": ([made("a"), made("b", "", after("a.t"))], ["migration[1].after[0]", "'a.t'"]),
    "two meanings": (
        [WHOLE, made("shop.orders"), made("b", "", after("shop.lines", "shop.orders"))],
        ["migration[2].after[1]: 'shop.orders' is a migration's name and table 'orders' of 'shop'"],
    ),
    "two tables": (
        [
            entry("a", "sqlite:///a.db", "sqlite:///b.db", 'tables = "all"'),
            entry("a.b", "sqlite:///a.db", "sqlite:///b.db", 'tables = "all"'),
            made("c", "", after("a.b.c")),
        ],
        ["migration[2].after[0]: 'a.b.c' is table 'b.c' of 'a' and table 'c' of 'a.b'"],
    ),
    "no list": ([made("orders"), made("users", "", 'after = "orders"')], ["migration[1].after"]),
}


@pytest.mark.parametrize(("entries", "words"), BAD.values(), ids=BAD)
def test_an_order_that_cannot_be_is_refused_with_its_key(entries: list[str], words: list[str], call: Call) -> None:
    write(*entries)
    assert_refused(call("book.toml", "--no-ui"), *words)
    assert not Path("t.db").exists()


def test_a_name_with_a_dot_that_is_nobodys_table_is_a_name(call: Call) -> None:
    write(made("x.users", "sqlite:///t.db#u", after("x.orders")), made("x.orders", "sqlite:///t.db#o"))
    assert list(done(call)) == ["x.orders", "x.users"]


# In order, planned when it can be --------------------------------------------------------------------

CHAIN = (
    entry("tidy", "middle.ndjson", "sqlite:///t.db#tidy", after("dump")),
    entry("dump", "sqlite:///t.db#raw", "middle.ndjson", after("raw")),
    made("raw", "sqlite:///t.db#raw"),
)
"""Each reads what the one behind it makes."""


def test_a_chain_whose_sources_are_made_on_the_way(call: Call) -> None:
    write(*CHAIN)
    assert states(done(call)) == {"raw": "completed", "dump": "completed", "tidy": "completed"}
    assert len(rows(statement="SELECT * FROM tidy")) == 20


def test_a_source_that_is_there_and_made_anew_is_planned_when_it_is_made(call: Call) -> None:
    Path("middle.ndjson").write_text('{"old": 1}\n')
    write(CHAIN[0], CHAIN[1].rstrip() + '\nmode = "replace"\n\n', CHAIN[2])
    done(call)
    assert len(rows(statement="SELECT id FROM tidy")) == 20


def test_what_nobody_makes_is_refused_before_anything_is_written(call: Call) -> None:
    write(*CHAIN, entry("lost", "gone.ndjson", "sqlite:///t.db#lost", after("tidy")))
    assert_refused(call("book.toml", "--no-ui"), "gone.ndjson does not exist")
    assert not Path("t.db").exists()
    write(*CHAIN, entry("lost", "sqlite:///t.db#rows", "sqlite:///t.db#lost", after("tidy")))
    assert_refused(call("book.toml", "--no-ui"), "t.db does not exist")


def test_another_target_of_one_before_is_planned_when_that_is_done(call: Call) -> None:
    write(
        made("first", "sqlite:///t.db#both"), made("second", "sqlite:///t.db#both", after("first"), 'mode = "append"')
    )
    runs = done(call, 1)
    assert states(runs) == {"first": "completed", "second": "completed"}
    # Keys that are there already are refused.
    assert len(rows(statement="SELECT * FROM both")) == 20
    write(*CHAIN, entry("lost", "gone.ndjson", "sqlite:///t.db#tidy", after("tidy"), 'mode = "append"'))
    assert_refused(call("book.toml", "--no-ui"), "gone.ndjson does not exist")


def test_a_source_that_turns_out_wrong_is_that_runs_refusal(call: Call) -> None:
    write(
        *CHAIN, entry("odd", "middle.ndjson", "sqlite:///t.db#odd", after("dump"), 'key = ["no_such"]'), made("other")
    )
    runs = done(call, 2)
    assert states(runs) == {
        "raw": "completed",
        "dump": "completed",
        "tidy": "completed",
        "odd": "planned",
        "other": "completed",
    }
    assert "no_such" in str(runs["odd"]["reason"])


def test_a_dry_run_says_what_is_planned_later(call: Call) -> None:
    write(*CHAIN)
    result = call("book.toml", "--dry-run", "--no-ui")
    assert result.code == 0, result
    assert "made by dump: planned when that is done" in result.out + result.err
    told = call("book.toml", "--dry-run", "--json")
    found = {each["name"]: each for each in map(json.loads, told.out.splitlines()) if "name" in each}
    assert found["dump"]["planned_when_done"] == ["raw"]
    assert found["raw"]["windows"] == 1
    assert not Path("t.db").exists()
    doctor = call("doctor", "book.toml", "--no-ui")
    assert doctor.code == 0, doctor
    assert "migration tidy: can be looked at when dump is done" in doctor.out


# Whole databases -----------------------------------------------------------------------------------------


def shop(*more: str, tables: str = '"all"') -> str:
    return entry("shop", "sqlite:///t.db", "sqlite:///copy.db", f"tables = {tables}", *more)


def test_a_whole_database_that_is_made_on_the_way(call: Call) -> None:
    last = made("last", "sqlite:///last.db#t", after("shop"))
    one = made("one", "sqlite:///last.db#one", after("shop.users"))
    write(last, one, shop(after("orders", "users")), made("orders"), made("users"))
    result = call("book.toml", "--json")
    assert result.code == 0, result
    order = [each["name"] for each in result.summary["runs"]]
    assert order == ["orders", "users", "shop.orders", "shop.users", "last", "one"]
    listed = call("runs", "list", "--json")
    assert len(listed.out.splitlines()) == 6, "none stands for others any more"
    assert len(rows("copy.db", "SELECT * FROM users")) == 20


def test_who_waits_for_one_table_does_not_wait_for_the_others(call: Call) -> None:
    write(made("orders"), made("users"))
    done(call)
    Path("copy.db").touch()
    write(
        shop("window_rows = 5", "max_rejects = 0", tables='["orders", "users"]'),
        made("of_orders", "sqlite:///last.db#o", after("shop.orders")),
        made("of_users", "sqlite:///last.db#u", after("shop.users")),
        made("of_both", "sqlite:///last.db#b", after("shop")),
    )
    # A row that copy.db refuses stops the run of its table.
    with sqlite3.connect("copy.db") as connection:
        connection.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, CHECK (id < 0))")
    runs = done(call, 1)
    assert states(runs) == {
        "shop.orders": "completed",
        "shop.users": "paused",
        "of_orders": "completed",
        "of_users": "planned",
        "of_both": "planned",
    }
    assert f"waits for shop.users: {runs['shop.users']['run']} is paused" in str(runs["of_users"]["reason"])


def test_a_table_that_turns_out_missing_holds_back_who_waits_for_it(call: Call) -> None:
    write(shop(after("orders")), made("orders"), made("last", "sqlite:///last.db#t", after("shop.nothing")))
    runs = done(call, 1)
    assert states(runs) == {"orders": "completed", "shop.orders": "completed", "last": "planned"}
    assert "waits for shop.nothing, which is not there" in str(runs["last"]["reason"])


# Held back, and gone on with -------------------------------------------------------------------------------

LIMITED = ("max_rejects = 0", "workers = 1", "window_rows = 1")


def test_what_is_not_done_holds_back_all_that_wait_for_it_and_nothing_else(call: Call) -> None:
    Path("rows.ndjson").write_text("not JSON\n" + '{"id": 1}\n' * 50)
    odd = entry("odd", "rows.ndjson", "sqlite:///t.db#odd", *LIMITED)
    write(made("rest", "", after("users")), made("users", "", after("odd")), odd, made("orders"))
    for _ in range(2):
        runs = done(call, 1)
        assert states(runs) == {"odd": "paused", "users": "planned", "rest": "planned", "orders": "completed"}
        assert f"not begun, it waits for odd: {runs['odd']['run']} is paused" == runs["users"]["reason"]
        assert runs["rest"]["reason"] == "not begun, it waits for users"
        assert tables() == {"odd", "orders"}


def test_refused_rows_hold_nothing_back(call: Call) -> None:
    Path("rows.ndjson").write_text('{"id": 1}\nnot JSON\n')
    write(made("users", "", after("odd")), entry("odd", "rows.ndjson", "sqlite:///t.db#odd"))
    assert states(done(call, 1)) == {"odd": "completed", "users": "completed"}
    assert len(rows(statement="SELECT * FROM users")) == 20


def test_failed_windows_hold_back_and_the_runbook_goes_on_when_they_are_retried(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = made("raw", "sqlite:///t.db#raw", "window_rows = 5", "retry = { attempts = 1 }")
    copied = entry("copied", "sqlite:///t.db#raw", "sqlite:///t.db#copied", after("raw"))
    write(copied, raw, shop(after("copied"), tables='["raw", "copied"]'))
    inject(monkeypatch, "fail@window.start:2")
    runs = done(call, 1)
    assert states(runs) == {"raw": "completed", "copied": "planned", "shop": "planned"}
    failed = str(runs["raw"]["run"])
    assert f"{failed} has 1 failed window (`streamconsole runs retry {failed}`)" in str(runs["copied"]["reason"])
    inject(monkeypatch, "")
    again = done(call, 1)
    assert again["copied"]["status"] == "planned"
    assert call("runs", "retry", failed, "--no-ui").code == 0
    runs = done(call)
    assert states(runs) == dict.fromkeys(("raw", "copied", "shop.raw", "shop.copied"), "completed")
    assert runs["raw"]["run"] == failed
    assert len(rows(statement="SELECT * FROM copied")) == len(rows("copy.db", "SELECT * FROM copied")) == 20


def test_a_lost_side_is_the_exit_status_of_who_waits_for_it(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    write(*CHAIN)
    inject(monkeypatch, "lost@window.after_claim:1")
    assert states(done(call, 3)) == {"raw": "failure", "dump": "planned", "tidy": "planned"}
    inject(monkeypatch, "")
    assert set(states(done(call)).values()) == {"completed"}


def test_a_run_that_is_begun_by_hand_is_planned_then(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    write(*CHAIN, shop(after("tidy")))
    inject(monkeypatch, "lost@window.after_claim:1")
    runs = done(call, 3)
    inject(monkeypatch, "")
    refused = call("runs", "resume", str(runs["tidy"]["run"]), "--no-ui")
    assert refused.code == 2, refused
    assert "middle.ndjson does not exist" in refused.err
    refused = call("runs", "resume", str(runs["shop"]["run"]), "--no-ui")
    assert refused.code == 2
    assert "stands for the tables of a database" in refused.err
    for name in ("raw", "dump", "tidy"):
        assert call("runs", "resume", str(runs[name]["run"]), "--no-ui").code == 0
    assert len(rows(statement="SELECT * FROM tidy")) == 20


def test_what_is_to_be_verified_holds_back_until_it_is_equal(call: Call) -> None:
    with sqlite3.connect("t.db") as connection:
        connection.executescript(
            "CREATE TABLE raw (id INTEGER NOT NULL PRIMARY KEY, total TEXT);"
            "CREATE TRIGGER spoil AFTER INSERT ON raw WHEN new.id = 7"
            " BEGIN UPDATE raw SET total = '0' WHERE id = 7; END"
        )
    write(made("raw", "sqlite:///t.db#raw", "verify = true"), made("last", "sqlite:///last.db#t", after("raw")))
    runs = done(call, 1)
    assert states(runs) == {"raw": "completed", "verify raw": "completed", "last": "planned"}
    why = f"{runs['verify raw']['run']} found that {runs['raw']['run']} is not equal"
    assert runs["last"]["reason"] == f"not begun, it waits for raw: {why}"
    with sqlite3.connect("t.db") as connection:
        connection.execute("DROP TABLE raw")
    write(
        made("raw", "sqlite:///t.db#raw", "verify = true", count=30), made("last", "sqlite:///last.db#t", after("raw"))
    )
    assert set(states(done(call)).values()) == {"completed"}


def test_what_tables_lose_is_said_when_they_are_planned_on_the_way(call: Call) -> None:
    with sqlite3.connect("t.db") as connection:
        connection.executescript(
            "CREATE TABLE orders (id INTEGER NOT NULL PRIMARY KEY);"
            "CREATE TRIGGER told AFTER DELETE ON orders BEGIN SELECT 1; END"
        )
    write(shop(after("orders")), made("orders"))
    result = call("book.toml", "--no-ui")
    assert result.code == 0, result
    assert "trigger told" in result.err + result.out
