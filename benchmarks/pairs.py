"""Interleaved pairs: A B A B …, and the median of their ratios. These machines are noisy; ratios are not."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import monotonic


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the table.

    Args:
        name: what was measured.
        figure: what came out, in words.
        value: the number the bar is held against.
        bar: the least (or, with `at_most`, the most) it must be; None for a figure without one.
    """

    name: str
    figure: str
    value: float
    bar: float | None = None
    at_most: bool = False

    def passes(self, *, short: bool) -> bool:
        """Whether the bar is met; a short run, in which start-up weighs more, only a third of it."""
        if self.bar is None:
            return True
        slack = 3.0 if short else 1.0
        return self.value <= self.bar * slack if self.at_most else self.value >= self.bar / slack


@dataclass(frozen=True, slots=True)
class Ran:
    """How one command ran: seconds, and the largest resident memory of its process tree in MiB."""

    seconds: float
    peak: float


def pairs(count: int, ours: Callable[[], float], theirs: Callable[[], float]) -> list[tuple[float, float]]:
    """Times of both, taken in turn, after a warm-up of each."""
    theirs()
    ours()
    return [(ours(), theirs()) for _ in range(count)]


def ratio(name: str, taken: Sequence[tuple[float, float]], bar: float) -> Result:
    """How fast we are beside the other: above 1 is faster."""
    ratios = sorted(theirs / ours for ours, theirs in taken)
    middle = median(ratios)
    times = f"{median(ours for ours, _ in taken):.2f} s against {median(theirs for _, theirs in taken):.2f} s"
    return Result(name, f"{middle:.2f}× ({ratios[0]:.2f}–{ratios[-1]:.2f}), {times}", middle, bar)


def run(command: Sequence[str], cwd: Path) -> Ran:
    """Run a command to its end, watching the memory of its process tree.

    Raises:
        SystemExit: it failed.
    """
    began = monotonic()
    process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    watch = PeakMemory(process.pid)
    _, stderr = process.communicate()
    seconds = monotonic() - began
    watch.stop()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{stderr.decode()}")
    return Ran(seconds, watch.peak)


class PeakMemory:
    """Samples the proportional memory (PSS) of a process and its children; `peak` in MiB."""

    def __init__(self, pid: int) -> None:
        self.peak = 0.0
        self._pid = pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            self.peak = max(self.peak, sum(map(_pss, tree(self._pid))) / 1024)


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for parent in found:
        try:
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
        except OSError:
            continue
    return found


def _pss(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0
