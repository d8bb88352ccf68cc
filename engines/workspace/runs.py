"""Runs: created, claimed by one owner at a time, moved from state to state."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, Row, delete, func, insert, select, update

from streamconsole.engines.bus import Event
from streamconsole.engines.errors import Held, Refused, StaleEpoch
from streamconsole.engines.sealing import is_closed, seal, unseal, where
from streamconsole.engines.states import EngineKind, RunState
from streamconsole.engines.workspace import events, nodes, transfer_tables
from streamconsole.engines.workspace.clock import now_ms
from streamconsole.engines.workspace.tables import commands, digests, failures, rejects, runs, windows
from streamconsole.engines.workspace.tables import events as event_table

ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Run:
    """One piece of work that an engine does to its end.

    Args:
        id: short, unique, typed by operators (`customers-7k3m`).
        name: what the operator calls it.
        reason: why it is in its state, when there is something to say.
        spec: what was asked for (the engine's settings).
        plan: what the engine found out (schema, size of the source, …).
        owner: id of the node that works on it, if one does.
        epoch: grows with each owner; what carries an older one is refused.
        created_at: milliseconds since the epoch, as are `started_at` and `finished_at`.
        tuning: what operators have turned since it was asked for: `workers`, `rate`.
    """

    id: str
    engine: EngineKind
    name: str
    state: RunState
    reason: str | None
    spec: dict[str, Any]
    plan: dict[str, Any]
    owner: str | None
    epoch: int
    created_at: int
    started_at: int | None
    finished_at: int | None
    tuning: dict[str, Any] = field(default_factory=dict)


def create(connection: Connection, engine: EngineKind, name: str, spec: dict[str, Any], plan: dict[str, Any]) -> Run:
    """Record a new run as planned."""
    run_id = _free_id(connection, name)
    connection.execute(
        insert(runs).values(
            id=run_id,
            engine=engine,
            name=name,
            state=RunState.PLANNED,
            spec=_kept(spec),
            plan=_kept(plan),
            epoch=0,
            created_at=now_ms(),
        )
    )
    return get(connection, run_id)


def get(connection: Connection, run_id: str) -> Run:
    """The run of that id, or the only one whose id starts so.

    Raises:
        Refused: none, or several.
    """
    row = connection.execute(select(runs).where(runs.c.id == run_id)).first()
    if row is None:
        rows = connection.execute(select(runs).where(runs.c.id.startswith(run_id, autoescape=True)).limit(5)).all()
        if len(rows) > 1:
            raise Refused(f"run {run_id} could be {', '.join(found.id for found in rows)}: write more of it")
        if not rows:
            raise Refused(f"there is no run {run_id} in this workspace: `streamconsole runs list` shows what there is")
        row = rows[0]
    return _from_row(row)


def listing(connection: Connection, limit: int = 200, states: Collection[RunState] | None = None) -> list[Run]:
    """The newest runs, newest first, of the given states or all."""
    statement = select(runs).order_by(runs.c.created_at.desc(), runs.c.id).limit(limit)
    if states is not None:
        statement = statement.where(runs.c.state.in_(list(states)))
    return [_from_row(row) for row in connection.execute(statement)]


def newest_like(connection: Connection, engine: EngineKind, name: str, spec: dict[str, Any]) -> Run | None:
    """The newest run of that name and settings."""
    rows = connection.execute(
        select(runs).where(runs.c.engine == engine, runs.c.name == name).order_by(runs.c.created_at.desc())
    )
    return next((run for run in map(_from_row, rows) if run.spec == spec), None)


def claim(connection: Connection, run_id: str, node: nodes.Node, locks: Path) -> Run:
    """Make `node` the run's owner under a new epoch.

    Raises:
        Held: a living process owns it.
        Refused: its passwords cannot be opened here.
    """
    run = get(connection, run_id)
    if is_closed(run.spec) or is_closed(run.plan):
        raise Refused(
            f"the passwords of run {run.id} are sealed with another key than {where()}: bring the key of the machine "
            f"that began it (~/.config/streamconsole/key) here, or give it in $STREAMCONSOLE_KEY"
        )
    if run.owner is not None and run.owner != node.id:
        holder = nodes.get(connection, run.owner)
        if holder is not None and nodes.is_alive(holder, locks):
            raise held_by(run, holder)
    connection.execute(update(runs).where(runs.c.id == run.id).values(owner=node.id, epoch=run.epoch + 1))
    return get(connection, run.id)


def held_by(run: Run, holder: nodes.Node) -> Held:
    """The error that says who works on a run, and what to do instead."""
    return Held(
        f"run {run.id} is held by {holder}: stop it there, or steer it from here with "
        f"`streamconsole runs pause|resume|retry|cancel|stop {run.id}`"
    )


def owner_of(connection: Connection, run_id: str, locks: Path) -> nodes.Node | None:
    """The living process that owns the run, if one does."""
    owner = connection.execute(select(runs.c.owner).where(runs.c.id == run_id)).scalar()
    node = nodes.get(connection, owner) if owner else None
    return node if node is not None and nodes.is_alive(node, locks) else None


def move(
    connection: Connection, run: Run, state: RunState, reason: str | None = None, event: Event | None = None
) -> None:
    """Put an owned run into a state, with the event that says so.

    Raises:
        StaleEpoch: somebody else owns it by now.
    """
    values: dict[str, Any] = {"state": state, "reason": reason}
    if state is RunState.RUNNING:
        values |= {"started_at": func.coalesce(runs.c.started_at, now_ms()), "finished_at": None}
    if state in (RunState.COMPLETED, RunState.CANCELLED, RunState.FAILURE):
        values["finished_at"] = now_ms()
    _update(connection, run, values)
    if event is not None:
        events.append(connection, [event])


def save_plan(connection: Connection, run: Run, plan: dict[str, Any]) -> None:
    """Keep what the engine found out."""
    _update(connection, run, {"plan": _kept(plan)})


def tune(connection: Connection, run: Run, said: dict[str, Any]) -> None:
    """Keep what an operator has turned, for as long as there is the run.

    Raises:
        StaleEpoch: somebody else owns it by now.
    """
    kept = get(connection, run.id).tuning | said
    _update(connection, run, {"tuning": orjson.dumps(kept).decode()})


def release(connection: Connection, run: Run) -> None:
    """Own the run no longer. Does nothing when somebody else owns it by now."""
    connection.execute(update(runs).where(runs.c.id == run.id, runs.c.epoch == run.epoch).values(owner=None))


def check_epoch(connection: Connection, run: Run) -> None:
    """Refuse a late owner.

    Raises:
        StaleEpoch: somebody else owns the run by now.
    """
    if connection.execute(select(runs.c.epoch).where(runs.c.id == run.id)).scalar() != run.epoch:
        raise _taken_over(run)


def remove(connection: Connection, run_id: str) -> None:
    """Remove a run and all that is kept about it."""
    connection.execute(delete(runs).where(runs.c.id == run_id))
    of_transfers = (transfer_tables.files, transfer_tables.chunks)
    kept = (windows, failures, rejects, digests, commands, event_table, *of_transfers)
    for table in kept:
        connection.execute(delete(table).where(table.c.run == run_id))


def _update(connection: Connection, run: Run, values: dict[str, Any]) -> None:
    changed = connection.execute(update(runs).where(runs.c.id == run.id, runs.c.epoch == run.epoch).values(**values))
    if changed.rowcount == 0:
        raise _taken_over(run)


def _taken_over(run: Run) -> StaleEpoch:
    return StaleEpoch(f"run {run.id} has been taken over by another process")


def _free_id(connection: Connection, name: str) -> str:
    slug = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name.lower())
    slug = "-".join(part for part in slug.split("-") if part)[:40] or "run"
    while True:
        run_id = f"{slug}-{''.join(secrets.choice(ALPHABET) for _ in range(4))}"
        if connection.execute(select(runs.c.id).where(runs.c.id == run_id)).first() is None:
            return run_id


def _kept(value: dict[str, Any]) -> str:
    return orjson.dumps(seal(value)).decode()


def _from_row(row: Row[Any]) -> Run:
    return Run(
        id=row.id,
        engine=EngineKind(row.engine),
        name=row.name,
        state=RunState(row.state),
        reason=row.reason,
        spec=unseal(orjson.loads(row.spec)),
        plan=unseal(orjson.loads(row.plan)),
        owner=row.owner,
        epoch=row.epoch,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        tuning=orjson.loads(row.tuning) if row.tuning else {},
    )
