"""From the URLs of a migration to its source and its target."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

from streamconsole.engines.errors import Refused
from streamconsole.engines.migration.settings import MigrationSettings
from streamconsole.engines.migration.sources.generate import KINDS, GenerateSource
from streamconsole.engines.migration.sources.ndjson import NdjsonSource
from streamconsole.engines.migration.sources.source import Source
from streamconsole.engines.migration.targets.ndjson import NdjsonTarget
from streamconsole.engines.migration.targets.sqlite import SqliteTarget
from streamconsole.engines.migration.targets.target import Target
from streamconsole.engines.secrets import mask

SCHEME = re.compile(r"^([a-zA-Z][a-zA-Z0-9+.-]*)://")

FILE_ENDINGS = (".ndjson", ".jsonl", ".json")

DEFAULT_COUNT = 1_000_000


def source_of(settings: MigrationSettings) -> Source:
    """The source that the settings name.

    Raises:
        Refused: nothing this program can read.
    """
    url = settings.source
    scheme = _scheme(url)
    if scheme == "generate":
        return _generate(url, settings)
    if scheme in ("", "file"):
        path = _path(url)
        if path.suffix.lower() in FILE_ENDINGS or path.is_dir() or not path.exists():
            return NdjsonSource(path, settings.window_rows, settings.window_bytes)
        raise Refused(f"source {path}: files that can be read end in {', '.join(FILE_ENDINGS)}")
    if scheme == "sqlite":
        raise Refused(f"source {url}: this version writes sqlite:// and does not read it; SOURCE comes before TARGET")
    raise Refused(_unknown("source", url, scheme, ["generate"], "a .ndjson file or generate://users?count=1000"))


def target_of(settings: MigrationSettings) -> Target:
    """The target that the settings name.

    Raises:
        Refused: nothing this program can write.
    """
    url = settings.target
    scheme = _scheme(url)
    if scheme == "sqlite":
        return _sqlite(url, settings)
    if scheme in ("", "file"):
        path = _path(url)
        if path.suffix.lower() in FILE_ENDINGS or path.is_dir():
            return NdjsonTarget(path)
        if path.suffix.lower() in (".db", ".sqlite", ".sqlite3"):
            raise Refused(f"target {url}: write it as sqlite:///{quote(url, safe='/ ')}#table")
        raise Refused(f"target {path}: files that can be written end in {', '.join(FILE_ENDINGS)}")
    if scheme == "generate":
        raise Refused(f"target {url}: generate:// makes rows and takes none; SOURCE comes before TARGET")
    raise Refused(_unknown("target", url, scheme, ["sqlite"], "sqlite:///shop.db#customers or a .ndjson file"))


def name_of(settings: MigrationSettings) -> str:
    """What a migration is called unless its runbook says so: the table or file it fills."""
    if _scheme(settings.target) in ("", "file"):
        return _path(settings.target).name.split(".")[0] or "migration"
    location, _, table = settings.target.partition("#")
    return unquote(table) or Path(urlsplit(location).path or location).name.split(".")[0] or "migration"


def absolute(url: str, folder: Path) -> str:
    """The same source, target or workspace, with a path that does not depend on the current folder."""
    scheme = _scheme(url)
    if scheme in ("", "file"):
        return str((folder / Path(url.removeprefix("file://")).expanduser()).absolute())
    if scheme != "sqlite":
        return url
    location, mark, table = url.partition("#")
    path = location.split("://", 1)[1]
    if not path.startswith("/") or path == "/":
        return url
    # The path given is part of a URL already; the folder is not: # and % in its name mean nothing.
    return f"sqlite:///{Path(quote(str(folder.absolute()), safe='/ ')) / Path(path[1:]).expanduser()}{mark}{table}"


def _scheme(url: str) -> str:
    match = SCHEME.match(url)
    return match.group(1).lower() if match else ""


def _path(url: str) -> Path:
    bare = url.removeprefix("file://")
    # A fragment has no meaning for a file, but # may stand in a file's name.
    path = Path(bare).expanduser()
    if "#" in path.name and path.suffix.lower() not in FILE_ENDINGS and not path.exists():
        path = path.with_name(path.name.partition("#")[0] or path.name)
    return path.absolute()


def _sqlite(url: str, settings: MigrationSettings) -> SqliteTarget:
    location, _, table = url.partition("#")
    path, _, query = location.split("://", 1)[1].partition("?")
    if query:
        raise Refused(f"target {mask(url)}: ?{mask(query)} is not known; a ? in a file's name is written %3F")
    path = unquote(path)
    if not path.startswith("/") or path == "/":
        raise Refused(f"target {url}: write sqlite:///relative/path.db#table or sqlite:////absolute/path.db#table")
    if not table:
        raise Refused(f"target {url} names no table: add it after a #, {url}#customers")
    place = Path(path[1:]).expanduser().absolute()
    return SqliteTarget(place, unquote(table), settings.mode, create=settings.create)


def _generate(url: str, settings: MigrationSettings) -> GenerateSource:
    parsed = urlsplit(url)
    if parsed.netloc not in KINDS:
        raise Refused(f"source {url}: what can be generated is {', '.join(f'generate://{kind}' for kind in KINDS)}")
    query = parse_qs(parsed.query, keep_blank_values=True)
    unknown = set(query) - {"count", "seed"}
    if unknown:
        raise Refused(f"source {url}: {unknown.pop()!r} is not known, write ?count=1000000&seed=1")
    count = _number(url, query, "count", DEFAULT_COUNT)
    if count < 1:
        raise Refused(f"source {url}: count must be at least 1")
    return GenerateSource(parsed.netloc, count, _number(url, query, "seed", 1), settings.window_rows)


def _number(url: str, query: dict[str, list[str]], name: str, default: int) -> int:
    text = query.get(name, [str(default)])[-1]
    try:
        return int(text)
    except ValueError:
        raise Refused(f"source {url}: {name} must be a whole number, not {text!r}") from None


def _unknown(what: str, url: str, scheme: str, known: list[str], example: str) -> str:
    close = difflib.get_close_matches(scheme, known, 1)
    hint = f"did you mean {close[0]}://?" if close else f"write {example}"
    return f"{what} {mask(url)}: {scheme}:// is not known to this version: {hint}"
