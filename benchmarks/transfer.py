"""Uploads and downloads by the command line beside zstd, restic, borg and cp; memory; re-upload; the loop's silence."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from time import monotonic

from benchmarks import peers
from benchmarks.data import CACHE, rows_file
from benchmarks.pairs import Result, pairs, ratio, run

LIMIT_MIB = 150
SILENCE_MS = 20


def measure(*, short: bool) -> list[Result]:
    """The transfer benchmarks."""
    rows, random_size, count = (300_000, 64 << 20, 3) if short else (2_900_000, 512 << 20, 5)
    text, noise = rows_file(rows), _noise(random_size)
    # Beside what is measured, so that both write to the same disk; and warm in the page cache.
    with tempfile.TemporaryDirectory(dir=CACHE) as made:
        bench = Bench(Path(made), short=short)
        results = [*bench.uploads(text, count), *bench.downloads(text, count), *bench.incompressible(noise, count)]
        if not short:
            results += [*bench.peers(text, count), *bench.again(text, count), bench.silence(text)]
        results.append(bench.memory())
    return results


class Bench:
    """Measures in a folder of its own."""

    def __init__(self, folder: Path, *, short: bool) -> None:
        self.folder = folder
        self.short = short
        self.peaks: list[float] = []

    def _ours(self, verb: str, *arguments: str, keep: bool = False) -> float:
        command = [sys.executable, "-m", "streamconsole", verb, *arguments, "--no-ui", "--workspace", "w.db"]
        ran = run(command, self.folder)
        self.peaks.append(ran.peak)
        seconds = self._of_the_run() if self.short else ran.seconds
        if not keep:
            self.clear()
        return seconds

    def _of_the_run(self) -> float:
        """Seconds of the last run without the program's start, which would be most of a short one."""
        with closing(sqlite3.connect(self.folder / "w.db")) as connection:
            statement = "SELECT finished_at - started_at FROM runs ORDER BY created_at DESC LIMIT 1"
            return max(1, int(connection.execute(statement).fetchone()[0])) / 1000

    def clear(self) -> None:
        for path in self.folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        # What one run leaves to be written must not be written in the next one's time.
        os.sync()

    def _upload(self, file: Path, *, keep: bool = False, level: int = 3) -> float:
        options = ("--store", "store", "--manifest", "m.json", "--level", str(level))
        return self._ours("upload", str(file), *options, keep=keep)

    def uploads(self, file: Path, count: int) -> list[Result]:
        size = file.stat().st_size / 2**20
        found = []
        if peers.ZSTD:
            taken = pairs(count, lambda: self._upload(file), lambda: self._after(peers.zstd, file))
            found.append(ratio(f"upload to a folder, {size:,.0f} MiB of NDJSON, beside zstd -3 -T2", taken, 0.85))
            best = min(ours for ours, _ in taken)
            found.append(Result("upload to a folder", f"{size / best:,.0f} MiB/s", size / best))
        return found

    def peers(self, file: Path, count: int) -> list[Result]:
        found = []
        for name, peer in (("restic", peers.restic_backup), ("borg", peers.borg_create)):
            if shutil.which(name) is None:
                found.append(Result(f"upload beside {name}", "not measured: it is not installed", 0))
                continue
            taken = pairs(max(1, count - 2), lambda: self._upload(file), partial(self._after, peer, file))
            found.append(ratio(f"upload to a folder beside {name}", taken, 1.5))
        return found

    def downloads(self, file: Path, count: int) -> list[Result]:
        if not peers.ZSTD:
            return [Result("download beside zstd -d", "not measured: zstd is not installed", 0)]
        self._upload(file, keep=True)
        subprocess.run(["zstd", "-3", "-T2", "-q", str(file), "-o", "peer.zst"], cwd=self.folder, check=True)
        os.sync()

        def ours() -> float:
            seconds = self._ours("download", "m.json", "out", "--store", "store", keep=True)
            (self.folder / "out").unlink()
            os.sync()
            return seconds

        def theirs() -> float:
            # A download is durable when it says that it is done; the other is made so, too.
            seconds = peers.unzstd(self.folder)
            (self.folder / "peer.out").unlink()
            os.sync()
            return seconds

        taken = pairs(count, ours, theirs)
        self.clear()
        return [ratio("download from a folder beside zstd -d and sync", taken, 0.85)]

    def incompressible(self, file: Path, count: int) -> list[Result]:
        taken = pairs(count, lambda: self._upload(file), lambda: self._after(peers.cp_and_sha256sum, file))
        return [ratio(f"upload of {file.stat().st_size >> 20} MiB of noise beside cp and sha256sum", taken, 1.2)]

    def again(self, file: Path, count: int) -> list[Result]:
        self._upload(file, keep=True)
        taken = pairs(count, lambda: self._upload(file, keep=True), lambda: hashing(file))
        self.clear()
        return [ratio("upload of an unchanged file beside hashing it once", taken, 0.9)]

    def memory(self) -> Result:
        return Result("peak memory", f"{max(self.peaks):.0f} MiB", max(self.peaks), LIMIT_MIB, at_most=True)

    def silence(self, file: Path) -> Result:
        worst = asyncio.run(_silence(file, self.folder)) * 1000
        self.clear()
        return Result("longest silence of the loop in an upload", f"{worst:.0f} ms", worst, SILENCE_MS, at_most=True)

    def _after(self, peer: Callable[[Path, Path], float], file: Path) -> float:
        seconds = peer(file, self.folder)
        self.clear()
        return seconds


def hashing(file: Path) -> float:
    """Read and hash a file once, with Python's own SHA-256."""
    began = monotonic()
    with file.open("rb") as opened:
        hashlib.file_digest(opened, "sha256")
    return monotonic() - began


async def _silence(file: Path, folder: Path) -> float:
    """The longest time that the loop answered nobody while a file was uploaded in its process, in seconds."""
    from streamconsole.engines.transfer.planning import plan
    from streamconsole.engines.transfer.settings import TransferSettings
    from streamconsole.session import open_session

    gaps: list[float] = []

    async def beat() -> None:
        while True:
            began = monotonic()
            await asyncio.sleep(0.002)
            gaps.append(monotonic() - began - 0.002)

    async with open_session(str(folder / "silence.db")) as session:
        settings = TransferSettings(upload=str(file), store=str(folder / "store"), manifest=str(folder / "m.json"))
        run_ = await session.transfer.create(await plan(settings))
        beating = asyncio.create_task(beat())
        await (await session.supervisor.start(run_.id))
        beating.cancel()
    return max(gaps)


def _noise(size: int) -> Path:
    path = CACHE / f"noise-{size}"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(1) as writer, path.with_suffix(".part").open("wb") as file:
            list(writer.map(file.write, (os.urandom(1 << 20) for _ in range(size >> 20))))
        path.with_suffix(".part").rename(path)
    return path
