"""Commands to a run's owner, written by any process, with their recorded outcome."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Row, insert, select, update

from streamconsole.engines.workspace.clock import now_ms
from streamconsole.engines.workspace.tables import commands


@dataclass(frozen=True, slots=True)
class SentCommand:
    """A command as it lies in the workspace.

    Args:
        state: `pending`, `done` or `refused`.
        outcome: what came of it, in the operator's words.
    """

    id: int
    run: str
    unit: str | None
    verb: str
    args: dict[str, Any]
    state: str
    outcome: str | None


def send(connection: Connection, run: str, unit: str | None, verb: str, args: dict[str, Any], sent_by: str) -> int:
    """Leave a command for the run's owner; gives its id."""
    key = connection.execute(
        insert(commands).values(
            run=run,
            unit=unit,
            verb=verb,
            args=orjson.dumps(args).decode(),
            sent_by=sent_by,
            sent_at=now_ms(),
            state="pending",
        )
    ).inserted_primary_key
    return int(key[0]) if key else 0


def pending(connection: Connection, runs: list[str]) -> list[SentCommand]:
    """Commands not yet obeyed for the given runs, oldest first."""
    rows = connection.execute(
        select(commands).where(commands.c.state == "pending", commands.c.run.in_(runs)).order_by(commands.c.id)
    )
    return [_from_row(row) for row in rows]


def get(connection: Connection, command_id: int) -> SentCommand:
    """One command."""
    return _from_row(connection.execute(select(commands).where(commands.c.id == command_id)).one())


def settle(connection: Connection, command_id: int, state: str, outcome: str) -> None:
    """Record what came of a command."""
    connection.execute(
        update(commands)
        .where(commands.c.id == command_id, commands.c.state == "pending")
        .values(state=state, outcome=outcome, done_at=now_ms())
    )


def outlive(connection: Connection, run: str, but: int | None) -> None:
    """Refuse what was sent to an owner that is gone: the next one begins without old orders, `but` one."""
    connection.execute(
        update(commands)
        .where(commands.c.run == run, commands.c.state == "pending", commands.c.id != (but or 0))
        .values(state="refused", outcome="the process it was sent to is gone", done_at=now_ms())
    )


def _from_row(row: Row[Any]) -> SentCommand:
    return SentCommand(row.id, row.run, row.unit, row.verb, orjson.loads(row.args), row.state, row.outcome)
