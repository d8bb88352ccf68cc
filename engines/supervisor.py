"""The supervisor: owns runs for this process, lets engines work on them, passes commands on."""

from __future__ import annotations

import asyncio
import getpass
import os
import socket
import traceback
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from streamconsole.engines import private_files
from streamconsole.engines.bus import Bus
from streamconsole.engines.control import Command, Engine, Leftover, Outcome, Snapshot, Verb
from streamconsole.engines.errors import Refused, SideLost, StreamConsoleError
from streamconsole.engines.secrets import mask
from streamconsole.engines.states import FINISHED_RUNS, EngineKind, RunState
from streamconsole.engines.turning import NotTurned, told_turn, turn, workers_of
from streamconsole.engines.workspace import Workspace, commands, events, runs
from streamconsole.engines.workspace.nodes import Presence
from streamconsole.engines.workspace.runs import Run

ANSWER_WITHIN = 10.0
"""Seconds that the sender of a command waits for the owner's answer."""

VERBS = frozenset(Verb)

LOOK_AGAIN = 1.0
"""Seconds between two looks for commands even when nothing was noticed."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How work on a run ended in this process.

    Args:
        state: the state it was left in; None when it could not even begin.
        error: why it stopped, when it did not come to its own end.
    """

    run: str
    state: RunState | None
    error: StreamConsoleError | None = None


class InternalError(SideLost):
    """A programming error stopped a run; the details are in a file."""

    def __init__(self, text: str) -> None:
        super().__init__("program", text)


class Supervisor:
    """Runs engines in this process. Use as an async context manager.

    Args:
        workspace: where runs are kept.
        bus: told by the engines of everything that happens.
        engines: the engines of this process.
        keep_events: rows of the event log that are kept.
    """

    def __init__(
        self, workspace: Workspace, bus: Bus, engines: Iterable[Engine], keep_events: int = events.KEEP_EVENTS
    ) -> None:
        self.workspace = workspace
        self.bus = bus
        self._engines: dict[EngineKind, Engine] = {engine.kind: engine for engine in engines}
        self._presence = Presence(workspace)
        self._owned: dict[str, tuple[Run, asyncio.Task[Ended]]] = {}
        self._keep_events = keep_events
        self._changed = asyncio.Event()
        # A run is started, and a command obeyed, by one caller at a time.
        self._starting, self._obeying = asyncio.Lock(), asyncio.Lock()
        self._leaving: dict[str, asyncio.Task[Any]] = {}
        self._loop = asyncio.get_running_loop()
        self._listening: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Supervisor:
        await self._presence.start()
        self.workspace.listen(self._foreign_change)
        self._listening = asyncio.create_task(self._obey_commands())
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.workspace.unlisten(self._foreign_change)
        if self._listening is not None:
            self._listening.cancel()
            with suppress(asyncio.CancelledError):
                await self._listening
        for _, working in list(self._owned.values()):
            working.cancel()
            with suppress(asyncio.CancelledError):
                await working
        for run_id in list(self._leaving):
            await self._left(run_id)
        await self._presence.stop()

    @property
    def owned(self) -> list[str]:
        """Runs that this process works on."""
        return list(self._owned)

    def snapshot(self, run_id: str) -> Snapshot | None:
        """A run as its engine sees it; None when this process does not work on it."""
        if run_id not in self._owned:
            return None
        return self._engines[self._owned[run_id][0].engine].snapshot(run_id)

    async def start(
        self, run_id: str, *, retry_failed: bool = False, command: int | None = None
    ) -> asyncio.Task[Ended]:
        """Take a run over and work on it; the task says how that ended.

        Args:
            run_id: the run.
            retry_failed: do its failed windows again, too.
            command: id of the command that asks for it; others of earlier times are refused.

        Raises:
            Held: a living process owns it.
        """
        async with self._starting:
            await self._left(run_id)
            if run_id in self._owned:
                return self._owned[run_id][1]
            run = await self.workspace.write(self._claim, run_id, command)
            task = asyncio.create_task(self._work(run, retry_failed), name=f"run-{run.id}")
            self._owned[run.id] = (run, task)
            return task

    async def command(self, command: Command) -> Outcome:
        """Do a command, wherever its run is: here, in another process, or nowhere."""
        sent = await self.workspace.write(
            commands.send, command.run, command.unit, command.verb, dict(command.args), sender()
        )
        async with self._obeying:
            await self._left(command.run)
            if command.run in self._owned:
                return await self._obey(sent, command)
            if await self.workspace.read(runs.owner_of, command.run, self.workspace.locks) is None:
                outcome = await self._do_unowned(sent, command)
                await self._settle(sent, outcome)
                return outcome
        return await answer_to(self.workspace, sent)

    async def drain(self, within: float) -> list[Leftover]:
        """Let every run finish what is active within so many seconds; says what is left."""
        owned = [(run_id, run.engine) for run_id, (run, _) in self._owned.items()]
        return list(await asyncio.gather(*(self._engines[kind].drain(run_id, within) for run_id, kind in owned)))

    async def wait(self) -> list[Ended]:
        """Wait until no run is worked on; how each ended."""
        return list(await asyncio.gather(*(task for _, task in list(self._owned.values()))))

    # Runs --------------------------------------------------------------------------------------

    async def _work(self, run: Run, retry_failed: bool) -> Ended:
        try:
            state = await self._engines[run.engine].start(run, retry_failed=retry_failed)
            return Ended(run.id, state)
        except Refused as error:
            # What has come to its end is left exactly as it is.
            if run.state not in FINISHED_RUNS:
                await self._note(run, RunState.FAILURE if run.state is RunState.RUNNING else run.state, error)
            return Ended(run.id, None, error)
        except StreamConsoleError as error:
            return Ended(run.id, RunState.FAILURE, error)
        except Exception as error:
            told = InternalError(f"run {run.id} stopped by {_report(self.workspace.path, run, error)}")
            await self._note(run, RunState.FAILURE, told)
            return Ended(run.id, RunState.FAILURE, told)
        finally:
            await self._release(run)

    async def _note(self, run: Run, state: RunState, error: StreamConsoleError) -> None:
        with suppress(StreamConsoleError):
            await self.workspace.write(runs.move, run, state, mask(str(error)))

    def _claim(self, connection: Connection, run_id: str, command: int | None) -> Run:
        run = runs.claim(connection, run_id, self._presence.node, self.workspace.locks)
        commands.outlive(connection, run.id, command)
        return run

    async def _release(self, run: Run) -> None:
        _, self._leaving[run.id] = self._owned.pop(run.id)
        try:
            with suppress(StreamConsoleError):
                await self.workspace.write(runs.release, run)
                await self.workspace.write(events.trim, self._keep_events)
        finally:
            del self._leaving[run.id]

    async def _left(self, run_id: str) -> None:
        """Wait until a run that has just ended is released: until then it looks as if it were held."""
        if run_id in self._leaving:
            await asyncio.wait([self._leaving[run_id]])

    async def _do_unowned(self, sent: int, command: Command) -> Outcome:
        if command.verb in (Verb.RESUME, Verb.RETRY):
            return await self._start_again(sent, command)
        return await self.workspace.write(change_unowned, command)

    async def _start_again(self, sent: int, command: Command) -> Outcome:
        run = await self.workspace.read(runs.get, command.run)
        if command.verb is Verb.RESUME and run.state in FINISHED_RUNS:
            return Outcome(False, f"the run is {run.state}: there is nothing to resume")
        try:
            await self.start(run.id, retry_failed=command.verb is Verb.RETRY, command=sent)
        except StreamConsoleError as error:
            return Outcome(False, str(error))
        return Outcome(True, "retrying what failed" if command.verb is Verb.RETRY else "resumed")

    # Commands ------------------------------------------------------------------------------------

    def _foreign_change(self) -> None:
        self._loop.call_soon_threadsafe(self._changed.set)

    async def _obey_commands(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AGAIN):
                    await self._changed.wait()
            self._changed.clear()
            if not self._owned:
                continue
            with suppress(StreamConsoleError):
                async with self._obeying:
                    await self._obey_pending()

    async def _obey_pending(self) -> None:
        for sent in await self.workspace.read(commands.pending, self.owned):
            if sent.verb not in VERBS:
                await self._settle(sent.id, Outcome(False, f"this version does not know how to {sent.verb}"))
            elif sent.run in self._owned:
                await self._obey(sent.id, Command(sent.run, Verb(sent.verb), sent.unit, sent.args))

    async def _obey(self, sent: int, command: Command) -> Outcome:
        run, _ = self._owned[command.run]
        try:
            outcome = await self._engines[run.engine].obey(command)
        except StreamConsoleError as error:
            outcome = Outcome(False, str(error))
        except Exception as error:
            # The next command must be obeyed all the same.
            outcome = Outcome(False, f"not done because of {_report(self.workspace.path, run, error)}")
        await self._settle(sent, outcome)
        return outcome

    async def _settle(self, sent: int, outcome: Outcome) -> None:
        await self.workspace.write(commands.settle, sent, "done" if outcome.done else "refused", outcome.text)


async def answer_to(workspace: Workspace, sent: int) -> Outcome:
    """Wait for the owner's answer to a command."""
    changed, loop = asyncio.Event(), asyncio.get_running_loop()

    def wake() -> None:
        loop.call_soon_threadsafe(changed.set)

    workspace.listen(wake)
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            while True:
                command = await workspace.read(commands.get, sent)
                if command.state != "pending":
                    return Outcome(command.state == "done", command.outcome or "")
                await changed.wait()
                changed.clear()
    except TimeoutError:
        return Outcome(True, f"sent; the owner has not answered within {ANSWER_WITHIN:.0f} s")
    finally:
        workspace.unlisten(wake)


def change_unowned(connection: Connection, command: Command) -> Outcome:
    """Pause, cancel or stop a run that nobody works on."""
    run = runs.get(connection, command.run)
    if run.state in FINISHED_RUNS:
        return Outcome(False, f"the run is {run.state} already")
    match command.verb:
        case Verb.PAUSE:
            runs.move(connection, run, RunState.PAUSED, "paused by an operator")
            return Outcome(True, "paused: nobody was working on it")
        case Verb.CANCEL:
            runs.move(connection, run, RunState.CANCELLED, "cancelled by an operator")
            return Outcome(True, "cancelled: committed windows stay")
        case Verb.WORKERS | Verb.RATE if run.engine is EngineKind.MIGRATION:
            return _tune_unowned(connection, run, command)
        case _:
            return Outcome(False, "nobody works on it")


def _tune_unowned(connection: Connection, run: Run, command: Command) -> Outcome:
    """Keep what it is to go on with."""
    try:
        said = turn(command, workers_of(run))
    except NotTurned as error:
        return Outcome(False, str(error))
    runs.tune(connection, run, said)
    return Outcome(True, f"{told_turn(said)}, from when somebody works on it")


def sender() -> str:
    """Names who sends a command: user, host and process."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()} pid {os.getpid()}"


def _report(workspace: Path, run: Run, error: BaseException) -> str:
    path = workspace.with_name(f"error-{run.id}.log")
    text = mask("".join(traceback.format_exception(error)))
    with suppress(OSError):
        private_files.append(path, text)
    return f"an error of this program ({type(error).__name__}): details in {path}"
