"""`--tables`: a database moved whole, as a user would see it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.program import Result, run

SHOP = """
CREATE TABLE lines (order_id INTEGER NOT NULL REFERENCES orders ON DELETE CASCADE, "no" INTEGER NOT NULL, what TEXT,
    PRIMARY KEY (order_id, "no"));
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT NOT NULL REFERENCES customers (code), total DECIMAL(9, 2)
    CHECK (total >= 0));
CREATE TABLE customers (code TEXT PRIMARY KEY NOT NULL, email TEXT NOT NULL UNIQUE, boss TEXT REFERENCES customers,
    city TEXT DEFAULT 'Porto');
CREATE TABLE "empty ""one" (id INTEGER PRIMARY KEY, v BLOB NOT NULL);
CREATE INDEX by_city ON customers (city, email);
CREATE INDEX large ON orders (total) WHERE total > 100;
CREATE VIEW cities AS SELECT DISTINCT city FROM customers;
INSERT INTO customers VALUES ('a', 'a@x', NULL, 'Lyon'), ('b', 'b@x', 'a', 'Oslo'), ('c', 'c@x', 'c', NULL);
INSERT INTO orders VALUES (1, 'a', 5), (2, 'c', 7.25), (9, 'a', 0);
INSERT INTO lines VALUES (1, 1, 'cable'), (1, 2, 'rack'), (9, 1, NULL);
"""


def make(path: Path, script: str = SHOP) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)


def ask(path: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def migrate(folder: Path, *options: str) -> Result:
    return run("migrate", "sqlite:///shop.db", "sqlite:///copy.db", *options, "--no-ui", cwd=folder)


def test_all_tables_with_keys_indexes_and_constraints(tmp_path: Path) -> None:
    make(tmp_path / "shop.db")
    result = migrate(tmp_path, "--tables", "all", "--json")
    assert result.code == 0, result.err
    names = [each["name"] for each in result.summary["runs"]]
    assert sorted(names) == ["customers", 'empty "one', "lines", "orders"]
    assert names.index("customers") < names.index("orders") < names.index("lines")
    copy = tmp_path / "copy.db"
    for table, key in (("customers", "code"), ("orders", "id"), ("lines", "order_id, no")):
        order = f"SELECT * FROM {table} ORDER BY {key}"
        assert ask(copy, order) == ask(tmp_path / "shop.db", order)
    assert ask(copy, 'SELECT * FROM "empty ""one"') == []
    keys = 'SELECT "table", "from", "to", on_delete FROM pragma_foreign_key_list'
    assert ask(copy, f"{keys}('lines')") == [("orders", "order_id", "id", "CASCADE")]
    assert ask(copy, f"{keys}('orders')") == [("customers", "customer", "code", "NO ACTION")]
    assert ask(copy, f"{keys}('customers')") == [("customers", "boss", "code", "NO ACTION")]
    with closing(sqlite3.connect(copy)) as connection:
        for wrong in ("('z', 'a@x', NULL, NULL)", "('z', NULL, NULL, NULL)", "('a', 'z', NULL, NULL)"):
            with pytest.raises(sqlite3.IntegrityError):
                connection.execute(f"INSERT INTO customers VALUES {wrong}")
    assert ask(copy, "SELECT name FROM pragma_index_info('by_city') ORDER BY seqno") == [("city",), ("email",)]
    for lost in ("CHECK (total >= 0)", "index large", "DEFAULT 'Porto' of city"):
        assert f"{lost}" in result.err
    assert ask(copy, "PRAGMA foreign_key_check") == []


def test_a_dry_run_shows_each_table_and_writes_nothing(tmp_path: Path) -> None:
    make(tmp_path / "shop.db")
    result = migrate(tmp_path, "--tables", "all", "--dry-run")
    assert result.code == 0, result.err
    assert "sqlite:///" in result.out
    assert "copy.db#lines" in result.out
    assert not (tmp_path / "copy.db").exists()


def test_transforms_rename_what_constraints_are_about(tmp_path: Path) -> None:
    make(tmp_path / "shop.db")
    renaming = ("--tables", "orders", "--transform", "rename:customer=buyer")
    result = migrate(tmp_path, *renaming)
    assert result.code == 1
    assert "3 rows of orders refer to rows of customers that are not there" in result.out
    copy = tmp_path / "copy.db"
    assert ask(copy, "SELECT id, buyer FROM orders ORDER BY id") == [(1, "a"), (2, "c"), (9, "a")]
    assert ask(copy, "SELECT \"from\" FROM pragma_foreign_key_list('orders')") == [("buyer",)]


def test_some_tables_and_a_rerun_that_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "shop.db")
    assert migrate(tmp_path, "--tables", "customers").code == 0
    assert ask(tmp_path / "copy.db", "SELECT count(*) FROM customers") == [(3,)]
    again = migrate(tmp_path, "--tables", "orders,customers")
    assert again.code == 2
    assert "holds rows already" in again.err
    assert ask(tmp_path / "copy.db", "SELECT count(*) FROM sqlite_master WHERE name = 'orders'") == [(0,)]


def test_references_that_lead_nowhere_are_told(tmp_path: Path) -> None:
    make(tmp_path / "shop.db", SHOP + "DELETE FROM customers WHERE code = 'a';")
    result = migrate(tmp_path, "--tables", "all")
    assert result.code == 1
    assert "2 rows of orders refer to rows of customers that are not there" in result.out


def test_a_failed_table_does_not_stop_the_others(tmp_path: Path) -> None:
    make(tmp_path / "shop.db")
    result = run(
        "migrate",
        "sqlite:///shop.db",
        "sqlite:///copy.db",
        "--tables=all",
        "--json",
        cwd=tmp_path,
        # The first table's only window, each of its three attempts.
        faults="fail@window.start:1*3",
    )
    assert result.code == 1
    assert [each["units"]["failed"] for each in result.summary["runs"]].count(1) == 1
    assert sum(each["rows"] for each in result.summary["runs"]) >= 6


def test_cycles_are_filled_all_the_same(tmp_path: Path) -> None:
    make(
        tmp_path / "shop.db",
        "CREATE TABLE a (id INTEGER PRIMARY KEY, b INTEGER REFERENCES b);"
        "CREATE TABLE b (id INTEGER PRIMARY KEY, a INTEGER REFERENCES a);"
        "INSERT INTO a VALUES (1, 2), (2, NULL); INSERT INTO b VALUES (2, 1);",
    )
    assert migrate(tmp_path, "--tables", "all").code == 0
    assert ask(tmp_path / "copy.db", "SELECT * FROM a") == [(1, 2), (2, None)]
    assert ask(tmp_path / "copy.db", "PRAGMA foreign_key_check") == []


def test_a_runbook_names_tables_and_goes_on_where_it_was(tmp_path: Path) -> None:
    make(tmp_path / "shop.db")
    (tmp_path / "book.toml").write_text(
        '[[migration]]\nname = "shop"\nsource = "sqlite:///shop.db"\ntarget = "sqlite:///copy.db"\ntables = "all"\n'
        "retry = { attempts = 1 }\n"
    )
    looked = run("doctor", "book.toml", cwd=tmp_path)
    assert "migration shop.customers: can begin" in looked.out
    first = run("book.toml", "--json", cwd=tmp_path, faults="kill@window.before_commit:1")
    assert first.killed
    second = run("book.toml", "--json", cwd=tmp_path)
    assert second.code == 0, second.err
    assert {each["name"] for each in second.summary["runs"]} >= {"shop.customers", "shop.orders", "shop.lines"}
    assert ask(tmp_path / "copy.db", "SELECT count(*) FROM lines") == [(3,)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("sqlite:///shop.db#orders", "sqlite:///copy.db", "--tables", "all"), "without #orders"),
        (("sqlite:///shop.db", "copy.ndjson", "--tables", "all"), "is no database"),
        (("sqlite:///shop.db", "sqlite:///copy.db", "--tables", "ordes"), "there are orders"),
        (("sqlite:///none.db", "sqlite:///copy.db", "--tables", "all"), "does not exist"),
        (("sqlite:///shop.db", "sqlite:///copy.db"), "names no table"),
    ],
)
def test_what_cannot_be_is_refused(arguments: tuple[str, ...], words: str, tmp_path: Path) -> None:
    make(tmp_path / "shop.db")
    result = run("migrate", *arguments, "--no-ui", cwd=tmp_path)
    assert result.code == 2
    assert words in result.err
    assert not (tmp_path / "copy.db").exists()
