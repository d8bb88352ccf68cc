"""Queues themselves: made with their first job, set up, paused."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from streamconsole.engines.errors import Refused
from streamconsole.engines.queue import journal
from streamconsole.engines.queue.options import DEFAULT_SETTINGS, QueueSettings
from streamconsole.engines.queue.prepared import Prepared
from streamconsole.engines.queue.states import Happened
from streamconsole.engines.text import clean
from streamconsole.engines.workspace.clock import now_ms
from streamconsole.engines.workspace.queue_tables import queues


@dataclass(frozen=True, slots=True)
class QueueRow:
    """A queue as it lies in its table.

    Args:
        paused: no job of it starts.
        grouped: it has had jobs in groups: claims look at groups.
        group_cursor: the group whose turn it was last.
        window_start: when the limiter's present window began.
        window_used: jobs that have started in it.
    """

    name: str
    paused: bool
    settings: QueueSettings
    grouped: bool
    group_cursor: str
    window_start: int
    window_used: int


_FIND = Prepared(
    "SELECT name, paused, settings, grouped, group_cursor, window_start, window_used FROM queues WHERE name = :name"
)


def find(connection: Connection, name: str) -> QueueRow | None:
    """The queue of that name."""
    row = _FIND.one(connection, name).first()
    if row is None:
        return None
    settings = DEFAULT_SETTINGS if row[2] == "{}" else QueueSettings.model_validate_json(row[2])
    return QueueRow(row[0], bool(row[1]), settings, bool(row[3]), row[4], row[5], row[6])


def get(connection: Connection, name: str) -> QueueRow:
    """The queue of that name.

    Raises:
        Refused: there is none.
    """
    found = find(connection, name)
    if found is None:
        raise Refused(f"there is no queue {name} in this workspace: `streamconsole queue counts` shows what there is")
    return found


def ensure(connection: Connection, name: str) -> QueueRow:
    """The queue of that name, made when there is none."""
    found = find(connection, name)
    if found is None:
        connection.execute(
            insert(queues).values(
                name=name_of(name),
                paused=0,
                settings="{}",
                grouped=0,
                group_cursor="",
                window_start=0,
                window_used=0,
                created_at=now_ms(),
            )
        )
        found = get(connection, name)
    return found


def name_of(name: str) -> str:
    """A queue's name, checked.

    Raises:
        Refused: empty, too long, or not printable.
    """
    if not name or len(name) > 200 or clean(name) != name or name != name.strip():
        raise Refused(f"{clean(name, limit=60)!r} cannot be a queue's name: 1 to 200 printable characters")
    return name


def names(connection: Connection) -> list[str]:
    """All queues, by name."""
    return list(connection.execute(select(queues.c.name).order_by(queues.c.name)).scalars())


def configure(connection: Connection, name: str, settings: QueueSettings) -> None:
    """Set a queue up; it is made when there is none."""
    ensure(connection, name)
    text = settings.model_dump_json(exclude_defaults=True)
    connection.execute(update(queues).where(queues.c.name == name).values(settings=text))


def set_paused(connection: Connection, name: str, paused: bool) -> bool:
    """Pause or resume a queue; whether that changed anything."""
    if ensure(connection, name).paused is paused:
        return False
    connection.execute(update(queues).where(queues.c.name == name).values(paused=int(paused)))
    journal.append(connection, now_ms(), name, Happened.PAUSED if paused else Happened.RESUMED, [None])
    return True
