"""What an operator does to queues and jobs from a screen: asked where it cannot be undone, told how it went."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy.exc import SQLAlchemyError
from textual.app import App

from streamconsole.engines.errors import StreamConsoleError
from streamconsole.engines.queue import Queue, Worker, verbs
from streamconsole.engines.queue.chosen import Verb, change, gather
from streamconsole.engines.queue.options import MAX_PRIORITY
from streamconsole.engines.queue.pages import Shelf
from streamconsole.engines.text import clean
from streamconsole.engines.workspace import Workspace
from streamconsole.screens.ask import Ask
from streamconsole.screens.base import READ_ONLY
from streamconsole.screens.confirm import Confirm
from streamconsole.screens.steering import Desk


@dataclass(frozen=True, slots=True)
class Jobs:
    """Jobs that a verb is for, as they were when the operator chose them.

    Args:
        queue: whose they are.
        numbers: theirs.
        named: what to call them: `job 17`, `12 marked jobs`.
    """

    queue: str
    numbers: Sequence[int]
    named: str

    @property
    def them(self) -> str:
        """Them, in a sentence."""
        return "it" if len(self.numbers) == 1 else "them"


class QueueVerbs:
    """The verbs, for the screens of queues.

    Args:
        app: the application.
    """

    def __init__(self, app: App[Any]) -> None:
        self._app = app
        self._desk = cast("Desk", app)

    @property
    def _workspace(self) -> Workspace:
        return self._desk.model.workspace

    # Queues ----------------------------------------------------------------------------------------

    def pause(self, name: str) -> None:
        """No job of it starts any more."""

        async def act() -> str:
            changed = await Queue(self._workspace, name).pause()
            return f"queue {name}: " + ("no new job starts, active ones end" if changed else "is paused already")

        self._do(f"pause queue {name}", act)

    def resume(self, name: str) -> None:
        """Its jobs start again."""

        async def act() -> str:
            changed = await Queue(self._workspace, name).resume()
            return f"queue {name}: " + ("jobs start again" if changed else "is not paused")

        self._do(f"resume queue {name}", act)

    def more_workers(self, name: str, by: int) -> None:
        """This console does so many more (or fewer) of its jobs at once."""

        def turn() -> None:
            for worker in self._workers(name)[:1]:
                worker.set_concurrency(worker.concurrency + by)
                self._desk.tell(f"queue {name}: {worker.concurrency} at once in this console")

        self._unlocked(turn)

    def rest(self, name: str) -> None:
        """This console takes no more of its jobs, or goes on; other processes are not meant."""

        def turn() -> None:
            workers = self._workers(name)
            resting = any(worker.paused for worker in workers)
            for worker in workers:
                worker.resume() if resting else worker.pause()
            if workers:
                self._desk.tell(f"queue {name}: this console {'takes jobs again' if resting else 'takes no more jobs'}")

        self._unlocked(turn)

    def _workers(self, name: str) -> list[Worker]:
        found = self._desk.model.queues.workers_of(name)
        if not found:
            self._desk.tell(f"queue {name} has no worker in this console: its runbook says nothing of it", bad=True)
        return found

    # Jobs ------------------------------------------------------------------------------------------

    def retry(self, chosen: Jobs) -> None:
        """They wait again, with all their attempts before them."""
        self._change("retry", verbs.retry, chosen, "finished", "retried")

    def promote(self, chosen: Jobs) -> None:
        """Delayed ones are ready now."""
        self._change("promote", verbs.promote, chosen, "delayed", "promoted")

    def cancel(self, chosen: Jobs) -> None:
        """They fail as cancelled, active ones are stopped; asks first."""
        question = (
            f"Cancel {chosen.named} of queue {chosen.queue}?\n\n"
            f"What waits fails as cancelled, what is active is told to stop, wherever it is. "
            f"Nothing tries {chosen.them} again by itself."
        )
        self._asked(question, f"Cancel {chosen.named}", lambda: self._cancel(chosen))

    def _cancel(self, chosen: Jobs) -> None:
        self._change("cancel", verbs.cancel, chosen, "unfinished", "cancelled")

    def remove(self, chosen: Jobs) -> None:
        """They go, with all that is kept about them; asks first."""
        question = (
            f"Remove {chosen.named} from queue {chosen.queue}?\n\n"
            f"Payload, result, failures and log go with {chosen.them}. Active jobs stay."
        )
        self._asked(question, f"Remove {chosen.named}", lambda: self._remove(chosen))

    def _remove(self, chosen: Jobs) -> None:
        self._change("remove", verbs.remove, chosen, "inactive", "removed")

    def prioritize(self, queue: str, job_id: str, priority: int) -> None:
        """Another priority, for a job that has not started; asks which."""

        def answered(text: str | None) -> None:
            if text is not None:
                self._do(f"priority of job {job_id}", lambda: self._prioritize(queue, job_id, int(text)))

        question = f"Which priority has job {job_id} of queue {queue}?"
        self._unlocked(
            lambda: self._app.push_screen(
                Ask(question, "0 comes first, then 1, 2, …", str(priority), wrong_priority), answered
            )
        )

    async def _prioritize(self, queue: str, job_id: str, priority: int) -> str:
        await Queue(self._workspace, queue).change_priority(job_id, priority)
        return f"job {job_id}: priority {priority}"

    # Many ------------------------------------------------------------------------------------------

    def retry_all(self, queue: str, words: str = "") -> None:
        """All failed jobs that hold some words; they are counted, and that is asked, first."""
        effect = "They wait again, with all their attempts before them."
        self._all(queue, Shelf.FAILED, words, "Retry", effect, self.retry)

    def remove_all(self, queue: str, shelf: Shelf, words: str = "") -> None:
        """All jobs of a shelf that hold some words; they are counted, and that is asked, first."""
        effect = "Payloads, results, failures and logs go with them."
        self._all(queue, shelf, words, "Remove", effect, self._remove)

    def _all(self, queue: str, shelf: Shelf, words: str, verb: str, effect: str, act: Callable[[Jobs], None]) -> None:
        async def count() -> str:
            # Frozen as a list: what fails or is added while the question is up is not meant.
            numbers = await gather(self._workspace, queue, shelf, words)
            if not numbers:
                return f"queue {queue}: no {shelf} job" + (f" holds {words!r}" if words else "")
            chosen = Jobs(queue, numbers, f"{len(numbers):,} {shelf} job{'s' if len(numbers) != 1 else ''}")
            holding = f" that hold “{clean(words, limit=60)}”" if words else ""
            question = f"{verb} {chosen.named} of queue {queue}{holding}?\n\n{effect}"
            self._asked(question, f"{verb} {len(numbers):,}", lambda: act(chosen))
            return f"{chosen.named} of queue {queue} counted"

        self._do(f"count {shelf} jobs of queue {queue}", count)

    # Inside ----------------------------------------------------------------------------------------

    def _change(self, verb: str, does: Verb, chosen: Jobs, fit: str, done: str) -> None:
        def told(total: int) -> None:
            if len(chosen.numbers) > 1_000:
                self._desk.tell(f"{verb} {chosen.named}: {total:,} so far…")

        async def act() -> str:
            total = await change(self._workspace, chosen.queue, does, chosen.numbers, told)
            if len(chosen.numbers) == 1:
                return f"{chosen.named}: {done}" if total else f"{chosen.named} is not {fit}: nothing is changed"
            left = len(chosen.numbers) - total
            return f"{total:,} jobs {done}" + (f", {left:,} are not {fit}" if left else "")

        self._do(f"{verb} {chosen.named}", act)

    def _asked(self, question: str, yes: str, act: Callable[[], None]) -> None:
        def answered(sure: bool | None) -> None:
            if sure:
                act()

        self._unlocked(lambda: self._app.push_screen(Confirm(question, yes), answered))

    def _unlocked(self, act: Callable[[], object]) -> None:
        if self._desk.read_only:
            self._desk.tell(READ_ONLY, bad=True)
        else:
            act()

    def _do(self, what: str, act: Callable[[], Awaitable[str]]) -> None:
        async def guarded() -> None:
            try:
                self._desk.tell(await act())
            except (StreamConsoleError, SQLAlchemyError, OSError) as error:
                self._desk.tell(f"{what}: {error}", bad=True)

        def begin() -> None:
            self._desk.tell(f"{what}: requested…")
            self._app.run_worker(guarded(), group="queue-verbs", exit_on_error=False)

        self._unlocked(begin)


def wrong_priority(text: str) -> str | None:
    """Why a text is no priority; None when it is one."""
    if text.isascii() and text.isdecimal() and int(text) <= MAX_PRIORITY:
        return None
    return f"It is a whole number, 0 to {MAX_PRIORITY:,}"
