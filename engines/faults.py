"""Named points at which tests make the program die or fail on purpose.

`STREAMCONSOLE_FAULTS` holds `action@point[:unit][*times]` entries, separated by `;`. Actions: `kill`
(SIGKILL to the whole program), `kill-child` (only to the process that is there), `fail` (an ordinary
error), `lost` (the target is gone), `hang` (wait for ever).
Unset, a point costs one look at an empty dict.
"""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass

from streamconsole.engines.errors import SideLost


class InjectedFault(OSError):
    """An error made on purpose; it counts as a passing one."""


@dataclass(slots=True)
class _Fault:
    action: str
    unit: str | None
    times: int


def _parse(text: str) -> dict[str, list[_Fault]]:
    faults: dict[str, list[_Fault]] = {}
    for entry in filter(None, text.split(";")):
        action, _, place = entry.strip().partition("@")
        place, _, times = place.partition("*")
        point, _, unit = place.partition(":")
        faults.setdefault(point, []).append(_Fault(action, unit or None, int(times or 1)))
    return faults


_faults = _parse(os.environ.get("STREAMCONSOLE_FAULTS", ""))

_program: list[int] = []
"""Processes that die first when the program is to die: a child's parent."""


def die_with(parent: int) -> None:
    """This process is a child: `kill` means its parent, too."""
    _program.append(parent)


def reach(point: str, unit: object = None) -> None:
    """Pass a named point; dies or fails there when a test asked for it.

    Raises:
        InjectedFault: asked for by `fail`.
        SideLost: asked for by `lost`.
    """
    if not _faults:
        return
    for fault in _faults.get(point, ()):
        if fault.times > 0 and fault.unit in (None, str(unit)):
            fault.times -= 1
            _act(fault.action, point)


def _act(action: str, point: str) -> None:
    if action in ("kill", "kill-child"):
        for pid in [*(_program if action == "kill" else ()), os.getpid()]:
            os.kill(pid, signal.SIGKILL)
    if action == "fail":
        raise InjectedFault(f"fault injected at {point}")
    if action == "lost":
        raise SideLost("target", f"fault injected at {point}")
    if action == "hang":
        threading.Event().wait()
