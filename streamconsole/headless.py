"""Work without a screen: runs to their end, progress or plain lines or JSON, signals, exit status."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from streamconsole.chain import Chain, Place, held_back, spread
from streamconsole.engines.bus import Bus
from streamconsole.engines.errors import StreamConsoleError
from streamconsole.engines.states import FINISHED_RUNS
from streamconsole.engines.supervisor import Ended
from streamconsole.engines.workspace import runs
from streamconsole.reporting import Reporter
from streamconsole.session import Session
from streamconsole.summary import Summary, summarise

DONE_ALREADY = "done already, left as it is"


@dataclass(frozen=True, slots=True)
class Work:
    """A run to be worked on.

    Args:
        run: its id.
        retry_failed: do its failed windows again, too.
        done: why it is left as it is, and only counts in the summary.
        place: among the migrations of a runbook.
    """

    run: str
    retry_failed: bool = False
    done: str | None = None
    place: Place | None = None


class Stopper:
    """Turns signals into a drain; a second one ends the program at once.

    Args:
        session: whose runs are drained.
        within: seconds that active units get.
        on_hangup: what a lost terminal (SIGHUP) does: `continue` or `drain`.
        say: tells the operator what happens.
    """

    def __init__(self, session: Session, within: float, on_hangup: str, say: Callable[[str], None]) -> None:
        self.signal: int | None = None
        self._session = session
        self._within = within
        self._on_hangup = on_hangup
        self._say = say
        self._draining: list[asyncio.Task[None]] = []

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Handle SIGINT, SIGTERM and SIGHUP while the block runs."""
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in signals:
            loop.add_signal_handler(number, self._received, number)
        try:
            yield
            await asyncio.gather(*self._draining)
        finally:
            for number in signals:
                loop.remove_signal_handler(number)

    @property
    def stopping(self) -> bool:
        """Whether the program is on its way out."""
        return self.signal is not None

    def _received(self, number: int) -> None:
        if number == signal.SIGHUP and self._on_hangup == "continue":
            return
        if self.stopping:
            # Committed units are safe wherever this hits; that is what the ledger is for.
            os._exit(128 + number)
        self.signal = number
        self._say("stopping: active units finish; once more to stop at once")
        self.drain()

    def drain(self) -> None:
        """Let what is being worked on end early."""
        self._draining.append(asyncio.create_task(self._drain()))

    async def _drain(self) -> None:
        for left in await self._session.supervisor.drain(self._within):
            self._say(f"{left.run}: {left.left}")


async def work(session: Session, todo: Sequence[Work], reporter: Reporter, *, within: float, on_hangup: str) -> Summary:
    """Work on runs one after the other; gives what became of them.

    Args:
        session: the open workspace.
        todo: the runs, in order.
        reporter: shows what happens.
        within: seconds that active units get when the program is told to end.
        on_hangup: what a lost terminal does: `continue` or `drain`.
    """
    stopper = Stopper(session, within, on_hangup, reporter.say)
    ended: list[Ended] = []
    held: dict[str, str] = {}
    begun, left = list[Work](), list(todo)
    refused: list[str] = []
    async with stopper.listening(), reporting(session, reporter):
        while left and not stopper.stopping:
            each = left.pop(0)
            begun.append(each)
            if each.done:
                reporter.say(f"{each.run}: {each.done}")
                left[:0] = await _verification_after(session, each.run, refused)
                continue
            reason = await held_back(session.workspace, each.place, chain_of(begun))
            if reason is not None:
                held[each.run] = f"not begun, it {reason}"
                reporter.say(f"{each.run}: {held[each.run]}")
            elif each.place is not None and each.place.whole:
                left[:0] = await _spread(session, begun, ended, reporter)
            else:
                ended.append(await _one(session, each, stopper))
                left[:0] = await _verification_after(session, each.run, refused)
    todo = [*begun, *left]
    summary = Summary(await summarise(session.workspace, [each.run for each in todo], ended, held), refused=refused)
    summary.stopped_by = stopper.signal
    return summary


@asynccontextmanager
async def reporting(session: Session, reporter: Reporter) -> AsyncIterator[None]:
    """Feed a reporter from the bus while the block runs, to the last event."""
    async with reporting_bus(session.bus, reporter):
        yield


@asynccontextmanager
async def reporting_bus(bus: Bus, reporter: Reporter, *, listen: bool = True) -> AsyncIterator[None]:
    """The same for a bus alone; `listen=False` when the reporter has no use for events."""
    if not listen:
        with reporter:
            yield
        return
    journal = bus.journal()

    async def pass_on() -> None:
        async for event in journal:
            reporter.event(event)

    passing = asyncio.create_task(pass_on())
    try:
        with reporter:
            yield
            journal.close()
            await passing
    finally:
        bus.remove(journal)
        passing.cancel()


def chain_of(todo: Sequence[Work]) -> Chain:
    """The runs of a runbook's migrations, with their places."""
    return [(each.run, each.place) for each in todo if each.place is not None]


async def say_notes(session: Session, run_id: str, reporter: Reporter) -> None:
    """Say what the operator should know before a run begins."""
    for note in (await session.workspace.read(runs.get, run_id)).plan.get("notes", ()):
        reporter.say(f"{run_id}: {note}")


async def _spread(session: Session, begun: list[Work], ended: list[Ended], reporter: Reporter) -> list[Work]:
    """The tables in the place of the last one begun, which stands for them."""
    standing = begun[-1]
    assert standing.place is not None
    try:
        tables = await spread(session.workspace, session.migration, standing.run, standing.place)
    except StreamConsoleError as error:
        ended.append(Ended(standing.run, None, error))
        return []
    begun.pop()
    for run_id, _ in tables:
        await say_notes(session, run_id, reporter)
    return [Work(run_id, place=place) for run_id, place in tables]


async def _verification_after(session: Session, run: str, refused: list[str]) -> list[Work]:
    """The verification that a completed run asks for, if it does; why it cannot be made goes to `refused`."""
    try:
        verification = await session.migration.verification_after(run)
    except StreamConsoleError as error:
        refused.append(str(error))
        return []
    if verification is None:
        return []
    done = "verified already" if verification.state in FINISHED_RUNS else None
    return [Work(verification.id, done=done)]


async def _one(session: Session, each: Work, stopper: Stopper) -> Ended:
    try:
        working = await session.supervisor.start(each.run, retry_failed=each.retry_failed)
        if stopper.stopping:
            # The signal came while the run was being claimed: the drain did not know of it.
            stopper.drain()
        return await working
    except StreamConsoleError as error:
        return Ended(each.run, None, error)


def finish(summary: Summary, reporter: Reporter) -> int:
    """Say what became of it all; gives the exit status."""
    reporter.summary(summary)
    sys.stdout.flush()
    return summary.exit_code()


def run(main: Callable[[], Awaitable[int]]) -> int:
    """Run a coroutine function to its end on a fresh loop; gives its exit status."""

    async def wrapped() -> int:
        return await main()

    return asyncio.run(wrapped())
