"""What the driver makes of a read that fails: a terminal gone, or only lent to another job."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator

import pytest
from textual.app import App

from streamconsole.driver import ConsoleDriver, TerminalLost

pytestmark = pytest.mark.terminal


class Listener(App[None]):
    """Keeps what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.reasons: list[str] = []

    def on_terminal_lost(self, message: TerminalLost) -> None:
        self.reasons.append(message.reason)


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    """Put back the handlers that a driver installs."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTSTP, signal.SIGCONT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def failing(code: int) -> int:
    raise OSError(code, os.strerror(code))


async def read_once(monkeypatch: pytest.MonkeyPatch, *, owner: int) -> tuple[bytes | None, list[str], bool]:
    app = Listener()
    async with app.run_test() as pilot:
        driver = ConsoleDriver(app)
        with monkeypatch.context() as patch:
            patch.setattr(os, "read", lambda *_: failing(errno.EIO))
            patch.setattr(os, "tcgetpgrp", lambda _: owner or failing(errno.ENOTTY))
            data = driver._read()
            driver._read()
        await pilot.pause()
        return data, app.reasons, driver.lost


async def test_an_error_of_the_terminal_is_its_loss_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await read_once(monkeypatch, owner=0) == (None, ["Input/output error"], True)


async def test_a_terminal_lent_to_another_job_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await read_once(monkeypatch, owner=1) == (b"", [], False)
