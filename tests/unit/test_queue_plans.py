"""What the queue screen reads it reads by indexes, and a bounded part of it: a million jobs do not slow it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, event

from streamconsole.engines.queue import Queue, pages
from streamconsole.engines.queue.pages import JobLine, Key, Shelf
from streamconsole.engines.workspace import Workspace
from streamconsole.screens import queue_loading

AFTER: dict[Shelf, Key] = {
    Shelf.WAITING: (0, 5, 5),
    Shelf.ACTIVE: (5,),
    Shelf.DELAYED: (5, 5),
    Shelf.COMPLETED: (5, 5),
    Shelf.FAILED: (5, 5),
    Shelf.ALL: (5,),
}

BY: dict[Shelf, str] = {
    Shelf.WAITING: "jobs_ready",
    Shelf.ACTIVE: "jobs_active",
    Shelf.DELAYED: "jobs_delayed",
    Shelf.COMPLETED: "jobs_finished",
    Shelf.FAILED: "jobs_finished",
}


@contextmanager
def statements(connection: Connection) -> Iterator[list[tuple[str, Any]]]:
    """What is asked of the database while the block runs."""
    asked: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        asked.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(connection, "before_cursor_execute", note)


async def plans(workspace: Workspace, function: Callable[..., Any], *args: Any) -> list[str]:
    """The plans of all that a function reads."""

    def read(connection: Connection) -> list[str]:
        with statements(connection) as asked:
            function(connection, *args)
        found = []
        for statement, parameters in asked:
            found += [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
        return found

    return await workspace.read(read)


@pytest.mark.parametrize("paged", [False, True])
@pytest.mark.parametrize("shelf", BY)
async def test_a_shelf_is_read_in_the_order_of_its_index(workspace: Workspace, shelf: Shelf, paged: bool) -> None:
    await Queue(workspace, "mail").add("welcome")
    found = await plans(workspace, pages._keys, "mail", shelf, AFTER[shelf] if paged else None, 10)
    assert BY[shelf] in found[0], found
    # The active ones are few: as many as there are slots.
    assert not any("TEMP B-TREE" in line for line in found) or shelf is Shelf.ACTIVE, found


@pytest.mark.parametrize("paged", [False, True])
async def test_all_jobs_are_read_by_their_number(workspace: Workspace, paged: bool) -> None:
    await Queue(workspace, "mail").add("welcome")
    found = await plans(workspace, pages._keys, "mail", Shelf.ALL, (5,) if paged else None, 10)
    assert not any("TEMP B-TREE" in line or "USING INDEX" in line for line in found), found


async def test_lines_are_read_by_number_also_by_a_search(workspace: Workspace) -> None:
    found = await plans(workspace, pages._lines, "mail", [1, 2, 3], "words")
    assert found == ["SEARCH jobs USING INTEGER PRIMARY KEY (rowid=?)"]


async def test_the_board_counts_no_job_that_is_not_active(workspace: Workspace) -> None:
    await Queue(workspace, "mail").add("welcome")
    found = await plans(workspace, queue_loading.load, workspace.locks)
    of_jobs = [line for line in found if " jobs" in line]
    assert of_jobs == ["SCAN jobs USING INDEX jobs_active"]
    assert any(line.startswith("SEARCH queue_metrics") for line in found), found


async def test_what_is_read_of_a_job_is_cut(workspace: Workspace) -> None:
    queue = Queue(workspace, "mail")
    job = await queue.add("big", "x" * 100_000)
    page = await workspace.read(pages.page, "mail", Shelf.WAITING)
    assert [line.seq for line in page.lines] == [job.row.seq]
    assert len(page.lines[0].payload) == pages.SHOWN
    assert JobLine._fields[-1] == "payload"
