"""Other programs that do the like, timed from start to end; each writes into a folder that is cleared afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from time import monotonic

ZSTD = shutil.which("zstd")

HASH = ["openssl", "dgst", "-sha256"] if shutil.which("openssl") else ["sha256sum"]

SECRET = {
    "RESTIC_PASSWORD": "benchmark",
    "BORG_PASSPHRASE": "benchmark",
    "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "y",
}


def timed(*commands: list[str], cwd: Path) -> float:
    """Seconds that commands take one after the other."""
    environment = {**os.environ, **SECRET, "BORG_BASE_DIR": str(cwd), "RESTIC_CACHE_DIR": str(cwd / "cache")}
    began = monotonic()
    for command in commands:
        subprocess.run(
            command, cwd=cwd, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    return monotonic() - began


def zstd(file: Path, folder: Path) -> float:
    """Compress to a file, and hash what was read: what an upload does, too. By the fastest hash there is."""
    return timed(["zstd", "-3", "-T2", "-q", str(file), "-o", "peer.zst"], [*HASH, str(file)], cwd=folder)


def unzstd(folder: Path) -> float:
    """Decompress to a file, and make it durable."""
    return timed(["zstd", "-d", "-q", "peer.zst", "-o", "peer.out"], ["sync", "peer.out"], cwd=folder)


def cp_and_sha256sum(file: Path, folder: Path) -> float:
    """Copy, and hash."""
    return timed(["cp", str(file), "copy"], ["sha256sum", str(file)], cwd=folder)


def restic_backup(file: Path, folder: Path) -> float:
    """Back up into a new repository; making that is not counted."""
    timed(["restic", "init", "--repo", "restic"], cwd=folder)
    return timed(["restic", "backup", "--repo", "restic", "--quiet", str(file)], cwd=folder)


def borg_create(file: Path, folder: Path) -> float:
    """Back up into a new repository with zstd level 3; making that is not counted."""
    timed(["borg", "init", "--encryption=none", "borg"], cwd=folder)
    return timed(["borg", "create", "--compression", "zstd,3", "borg::one", str(file)], cwd=folder)
