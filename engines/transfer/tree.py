"""What is below a folder: files to send, and folders and links to be made again. Links are never followed."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from streamconsole.engines.errors import Refused
from streamconsole.engines.text import clean
from streamconsole.engines.transfer.manifest import Entry, EntryType
from streamconsole.engines.transfer.reading import FileToSend


@dataclass(frozen=True, slots=True)
class Found:
    """What is to be uploaded.

    Args:
        kind: `file` or `directory`.
        name: of the file or folder.
        files: in the order of their names, numbered from 1.
        others: folders and symbolic links.
        unreadable: what should be uploaded and cannot be, and why.
        left_out: what is neither file, folder nor link.
        mode: permission bits of a folder itself.
        mtime_ns: when the folder itself was changed.
    """

    kind: str
    name: str
    files: list[FileToSend]
    others: list[Entry]
    unreadable: list[tuple[str, str]]
    left_out: list[str]
    mode: int | None = None
    mtime_ns: int | None = None

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def look(path: Path) -> Found:
    """Look at a file or folder. Blocking.

    Raises:
        Refused: it is not there, or neither.
    """
    try:
        about = path.stat()
    except OSError as error:
        raise Refused(f"{clean(str(path))} cannot be uploaded: {error.strerror}") from None
    name = path.resolve().name or "root"
    if stat.S_ISREG(about.st_mode):
        if not os.access(path, os.R_OK):
            raise Refused(f"{clean(str(path))} cannot be uploaded: Permission denied")
        return Found("file", name, [_file(1, path.resolve(), name, about)], [], [], [])
    if not stat.S_ISDIR(about.st_mode):
        raise Refused(f"{clean(str(path))} is neither a file nor a folder")
    found = Found("directory", name, [], [], [], [], stat.S_IMODE(about.st_mode), about.st_mtime_ns)
    _below(path.resolve(), "", found)
    return found


def _below(folder: Path, prefix: str, found: Found) -> None:
    waiting = [(folder, prefix)]
    while waiting:
        folder, prefix = waiting.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            found.unreadable.append((prefix or ".", f"it cannot be listed: {error.strerror}"))
            continue
        for entry in entries:
            name = f"{prefix}/{entry.name}" if prefix else entry.name
            try:
                if _take(entry, name, found):
                    waiting.append((folder / entry.name, name))
            except OSError as error:
                found.unreadable.append((name, f"it cannot be read: {error.strerror}"))


def _take(entry: os.DirEntry[str], name: str, found: Found) -> bool:
    """Take one entry in; says whether it is a folder to look into."""
    about = entry.stat(follow_symlinks=False)
    try:
        name.encode()
    except UnicodeEncodeError:
        found.unreadable.append((name, "its name is not UTF-8: rename it"))
        return False
    mode = stat.S_IMODE(about.st_mode)
    if stat.S_ISLNK(about.st_mode):
        target = str(Path(entry.path).readlink())
        found.others.append(
            Entry(path=name, type=EntryType.SYMLINK, mode=mode, mtime_ns=about.st_mtime_ns, target=target)
        )
    elif stat.S_ISDIR(about.st_mode):
        found.others.append(Entry(path=name, type=EntryType.DIRECTORY, mode=mode, mtime_ns=about.st_mtime_ns))
        return True
    elif stat.S_ISREG(about.st_mode):
        found.files.append(_file(len(found.files) + 1, Path(entry.path), name, about))
    else:
        found.left_out.append(name)
    return False


def _file(number: int, path: Path, name: str, about: os.stat_result) -> FileToSend:
    return FileToSend(number, path, name, about.st_size, about.st_mtime_ns, stat.S_IMODE(about.st_mode))
