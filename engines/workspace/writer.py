"""The one writer of a workspace in this process: group commit.

Coroutines hand small operations to a thread; it drains what has gathered, runs it in one
transaction that no other writer's overlaps, commits with full durability, and only then wakes every caller.
Operations of one kind that stand next to each other run as one bulk statement. When an operation
fails, the batch is rolled back and redone one by one, so a bad one fails alone; when the
transaction itself is lost (disk full, say) all its callers are told.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from random import uniform
from time import monotonic, sleep
from typing import Any, Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from streamconsole.engines.errors import SideLost

BATCH = 500
"""Operations in one transaction, at most."""

BUDGET = 0.04
"""Seconds after which a transaction takes no further operation: others share the file."""

LINGER = 0.001
"""Seconds to wait for callers just woken to come back, when the last batch was a large one."""

WATCH = 0.1
"""Seconds between two looks for changes by other processes."""

PAUSE = (0.0005, 0.004)
"""Least and most seconds before a file that another process holds is tried again."""

PATIENCE = 60.0
"""Seconds another program may hold the file before callers are told."""


@dataclass(frozen=True, slots=True)
class Bulk:
    """A kind of operation that has a bulk form.

    Args:
        name: names it in errors.
        apply: does all the given parameters on a connection; gives one result each, or None.
    """

    name: str
    apply: Callable[[Connection, Sequence[Any]], Sequence[Any] | None]


@dataclass(slots=True, eq=False)
class _Operation:
    kind: Bulk | None
    apply: Callable[..., Any] | None
    args: tuple[Any, ...]
    future: asyncio.Future[Any] | Future[Any]
    result: Any = None
    error: BaseException | None = None

    def redo(self, connection: Connection) -> None:
        if self.kind is not None:
            results = self.kind.apply(connection, [self.args[0]])
            self.result = results[0] if results is not None else None
        elif self.apply is not None:
            self.result = self.apply(connection, *self.args)

    def settle(self) -> None:
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class Store(Protocol):
    """The database behind a workspace. Its text names it in errors, secrets hidden."""

    @property
    def readers(self) -> Engine:
        """Gives connections whose transactions see one moment."""
        ...

    @property
    def writers(self) -> Engine:
        """Gives connections whose transactions come one after the other, whatever process they are of."""
        ...

    @property
    def place(self) -> Path:
        """A path on this host beside which the workspace's private files are."""
        ...

    def found_on(self, connection: Connection) -> AbstractContextManager[None]:
        """Its tables on somebody else's connection to it, for as long as the block runs."""
        ...

    def prepare(self, connection: Connection) -> None:
        """Make a connection the writer's own (in its thread): when it has to wait it is to say so soon."""
        ...

    def wrote(self) -> None:
        """A transaction was committed here (called in the writer's thread)."""
        ...

    def changed_elsewhere(self, connection: Connection) -> bool:
        """Whether another process has committed since the last call (in the writer's thread)."""
        ...

    def after_failed_commit(self, connection: Connection) -> None:
        """Make the writer's connection usable again."""
        ...

    def is_busy(self, error: DBAPIError) -> bool:
        """Whether another process stands in the way, and it is worth to try again."""
        ...

    def loss(self, error: DBAPIError) -> str | None:
        """What is the matter when the database is lost to us; None when it is not."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


class _OperationFailed(Exception):
    """One operation of a batch failed; the batch is to be redone one by one."""


@dataclass(slots=True)
class _Inbox:
    urgent: deque[_Operation] = field(default_factory=deque)
    normal: deque[_Operation] = field(default_factory=deque)

    def __len__(self) -> int:
        return len(self.urgent) + len(self.normal)

    def take(self, count: int) -> list[_Operation]:
        taken = [self.urgent.popleft() for _ in range(min(count, len(self.urgent)))]
        taken += [self.normal.popleft() for _ in range(min(count - len(taken), len(self.normal)))]
        return taken


class Writer:
    """Makes all writes of this process to one workspace.

    Args:
        store: the database behind it.
        on_foreign_change: called from the writer's thread when another process has changed it.
    """

    def __init__(self, store: Store, on_foreign_change: Callable[[], None]) -> None:
        self._store = store
        self._where = f"workspace {store}"
        self._on_foreign_change = on_foreign_change
        self._loop = asyncio.get_running_loop()
        self._inbox = _Inbox()
        self._ready = threading.Condition()
        self._closing = False
        self._last = 0
        self._looked_at = 0.0
        self.commits = 0
        self._thread = threading.Thread(target=self._serve, name="workspace-writer", daemon=True)
        self._thread.start()

    async def run(self, apply: Callable[..., Any], *args: Any) -> Any:
        """Run a repository function in the next transaction; back after the commit."""
        return await self._submit(_Operation(None, apply, args, self._loop.create_future()))

    async def bulk(self, kind: Bulk, params: Any) -> Any:
        """Run one operation of a bulk kind in the next transaction; back after the commit."""
        return await self._submit(_Operation(kind, None, (params,), self._loop.create_future()))

    def call(self, apply: Callable[..., Any], *args: Any, timeout: float | None = None) -> Any:
        """Run a repository function from another thread, before what is already waiting."""
        future: Future[Any] = Future()
        self._put(_Operation(None, apply, args, future), urgent=True)
        return future.result(timeout)

    async def close(self) -> None:
        """Write what was handed over, then end the thread."""
        with self._ready:
            self._closing = True
            self._ready.notify()
        await asyncio.to_thread(self._thread.join)

    def _submit(self, operation: _Operation) -> asyncio.Future[Any]:
        self._put(operation, urgent=False)
        assert isinstance(operation.future, asyncio.Future)
        return operation.future

    def _put(self, operation: _Operation, *, urgent: bool) -> None:
        with self._ready:
            if self._closing:
                raise SideLost("workspace", f"{self._where} is closed")
            (self._inbox.urgent if urgent else self._inbox.normal).append(operation)
            self._ready.notify()

    # The thread ---------------------------------------------------------------------------------

    def _serve(self) -> None:
        try:
            with self._store.writers.connect() as connection:
                self._store.prepare(connection)
                while (batch := self._gather(connection)) is not None:
                    for operations in self._write(connection, batch):
                        self._wake(operations)
        except Exception as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        """Nobody may wait for a thread that is gone."""
        with self._ready:
            self._closing = True
            left = self._inbox.take(len(self._inbox))
        for operation in left:
            operation.error = SideLost("workspace", f"{self._where} cannot be used any more: {error}")
        self._wake(left)

    def _gather(self, connection: Connection) -> list[_Operation] | None:
        """Wait for operations; None once closed and empty."""
        while True:
            self._look_for_foreign_changes(connection)
            with self._ready:
                if not self._inbox and not self._closing:
                    self._ready.wait(WATCH)
                if self._inbox and self._last > 4 and len(self._inbox) < self._last:
                    # Callers woken by the last commit are on their way back: one commit for all.
                    self._ready.wait_for(lambda: len(self._inbox) >= self._last or self._closing, LINGER)
                if self._inbox:
                    batch = self._inbox.take(BATCH)
                    self._last = len(batch)
                    return batch
                if self._closing:
                    return None

    def _write(self, connection: Connection, batch: list[_Operation]) -> Iterator[list[_Operation]]:
        """Write a batch; yields operations as they are settled."""
        while batch:
            written: list[_Operation] = []
            try:
                with self._transaction(connection):
                    written = self._run_until_budget(connection, batch)
            except _OperationFailed:
                yield from self._one_by_one(connection, batch)
                return
            except Exception as error:
                for operation in batch:
                    operation.error = self._told(error)
                yield batch
                return
            batch = batch[len(written) :]
            yield written

    def _run_until_budget(self, connection: Connection, batch: list[_Operation]) -> list[_Operation]:
        started = monotonic()
        written: list[_Operation] = []
        for _, grouped in groupby(batch, key=lambda operation: operation.kind or operation):
            group = list(grouped)
            try:
                self._run_group(connection, group)
            except Exception as error:
                raise _OperationFailed from error
            written += group
            if monotonic() - started > BUDGET:
                break
        return written

    @staticmethod
    def _run_group(connection: Connection, group: list[_Operation]) -> None:
        kind = group[0].kind
        if kind is None:
            group[0].redo(connection)
            return
        results = kind.apply(connection, [operation.args[0] for operation in group])
        for operation, result in zip(group, results or [None] * len(group), strict=True):
            operation.result = result

    def _one_by_one(self, connection: Connection, batch: list[_Operation]) -> Iterator[list[_Operation]]:
        for operation in batch:
            try:
                with self._transaction(connection):
                    operation.redo(connection)
            except Exception as error:
                operation.error = self._told(error)
            yield [operation]

    @contextmanager
    def _transaction(self, connection: Connection) -> Iterator[None]:
        transaction = self._begin(connection)
        try:
            yield
        except BaseException:
            transaction.rollback()
            raise
        try:
            transaction.commit()
        except BaseException:
            transaction.rollback()
            self._store.after_failed_commit(connection)
            raise
        self.commits += 1
        self._store.wrote()

    def _begin(self, connection: Connection) -> Any:
        """Begin, however long another process holds the file (up to PATIENCE)."""
        started = monotonic()
        while True:
            try:
                return connection.begin()
            except DBAPIError as error:
                if not self._store.is_busy(error) or monotonic() - started > PATIENCE:
                    raise
                # At odd moments: who always comes a little late would be left out by those who come again at once.
                sleep(uniform(*PAUSE))

    def _look_for_foreign_changes(self, connection: Connection) -> None:
        if monotonic() - self._looked_at < WATCH:
            return
        self._looked_at = monotonic()
        if self._store.changed_elsewhere(connection):
            self._tell_of_foreign_change()

    def _tell_of_foreign_change(self) -> None:
        try:
            self._on_foreign_change()
        except Exception:
            logging.getLogger(__name__).exception("a listener to changes of the workspace failed")

    def _told(self, error: Exception) -> Exception:
        """The error as its caller should see it."""
        if not isinstance(error, DBAPIError):
            return error
        if self._store.is_busy(error):
            return SideLost("workspace", f"{self._where} has been locked by another program for {PATIENCE:.0f} s")
        lost = self._store.loss(error)
        return error if lost is None else SideLost("workspace", lost)

    def _wake(self, operations: list[_Operation]) -> None:
        waiting = []
        for operation in operations:
            if isinstance(operation.future, Future):
                operation.settle()
            else:
                waiting.append(operation)
        if waiting and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_settle, waiting)


def _settle(operations: list[_Operation]) -> None:
    for operation in operations:
        operation.settle()
